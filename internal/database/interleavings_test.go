package database_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

const (
	seeds         = 10
	seedsOfPools  = 3
	interleavings = 100 // of each seed
	deadline      = 30 * time.Minute
)

// TestTrap08_Interleavings puts reports, reads and changes of the spec in 1,000 random orders,
// and judges what a read shows in the end by the pure rule over the facts in the tables.
func TestTrap08_Interleavings(t *testing.T) {
	t.Parallel()
	eachSeed(t, func(t *testing.T, f fixture, seed uint64) {
		if n, err := interleave(t, f, f.Resources, seed); err != nil {
			t.Fatalf("interleaving %d: %v", n, err)
		}
	})
}

// eachSeed runs a test on clusters, and for some seeds on node pools: it is the same code.
func eachSeed(t *testing.T, test func(t *testing.T, f fixture, seed uint64)) {
	t.Helper()
	for kind, n := range map[models.Kind]uint64{models.KindCluster: seeds, models.KindNodePool: seedsOfPools} {
		for seed := range n {
			t.Run(fmt.Sprint(kind, " seed ", seed), func(t *testing.T) {
				t.Parallel()
				test(t, newFixture(t).of(t, kind), seed)
			})
		}
	}
}

// TestTrap08_AnUnconditionalStoreIsNoticed holds the test above against the fault it
// is for: without the condition of the conditional store, each seed must find a violation.
func TestTrap08_AnUnconditionalStoreIsNoticed(t *testing.T) {
	t.Parallel()
	eachSeed(t, func(t *testing.T, f fixture, seed uint64) {
		n, err := interleave(t, f, f.WithoutStoreCondition(f.kind), seed)
		if err == nil {
			t.Fatalf("%d interleavings hid a store without its condition", n)
		}
		t.Logf("found by interleaving %d: %.120s", n, err)
	})
}

// interleave runs the interleavings of a seed up to the first violation, and returns how
// many it ran. Failures of another kind end the test.
func interleave(t *testing.T, f fixture, db *database.Resources, seed uint64) (int, error) {
	t.Helper()
	for i := range interleavings {
		s := newScene(t, f, db, rand.New(rand.NewPCG(seed, uint64(i))))
		s.run(t)
		if err := s.judge(t); err != nil {
			return i, err
		}
	}
	return interleavings, nil
}

// scene is one cluster and those who work on it, each over a connection of its own. Each
// round releases a random choice of them to take their next step at the same time, and
// waits until all have: a reader can be held between the read of the facts and the store of the
// status for as long as the draw says.
type scene struct {
	fixture
	db     *database.Resources
	rng    *rand.Rand
	id     string
	actors []*actor

	mu         sync.Mutex
	violations []string
	facts      int64 // changes and reports that must each be a resource version
}

// actor takes one step at each call of next, until none is left.
type actor struct {
	left int
	next func(ctx context.Context) error
}

func newScene(t *testing.T, f fixture, db *database.Resources, rng *rand.Rand) *scene {
	t.Helper()
	s := &scene{fixture: f, db: db, rng: rng}
	s.id = f.create(t, "c"+newID()).ID
	s.actors = []*actor{s.reader(), s.reader(), s.reporter("dns"), s.reporter("dns"), s.reporter("net"), s.editor()}
	return s
}

func (s *scene) run(t *testing.T) {
	t.Helper()
	working := append([]*actor(nil), s.actors...)
	for len(working) > 0 {
		s.rng.Shuffle(len(working), func(i, j int) { working[i], working[j] = working[j], working[i] })
		round := working[:1+s.rng.IntN(min(3, len(working)))]
		failures := make([]error, len(round))
		var wg sync.WaitGroup
		for i, a := range round {
			wg.Go(func() { failures[i] = a.next(t.Context()) })
		}
		wg.Wait()
		var rest []*actor
		for i, a := range working {
			if i < len(round) {
				must(t, failures[i])
				a.left--
			}
			if a.left > 0 {
				rest = append(rest, a)
			}
		}
		working = rest
	}
}

// reader reads twice, each in two steps: the facts, and the store of what follows from them.
func (s *scene) reader() *actor {
	var stale *database.Snapshot
	return &actor{left: 4, next: func(ctx context.Context) error {
		if stale != nil {
			_, err := s.db.StoreStatuses(ctx, []database.NewStatus{calculate(stale)})
			stale = nil
			return err
		}
		snap, err := s.db.Get(ctx, s.id, "")
		if err != nil {
			return err
		}
		if snap.Stale {
			stale = snap
		}
		s.check(snap)
		return nil
	}}
}

// check looks at what a reader is shown in the middle of it all.
func (s *scene) check(snap *database.Snapshot) {
	text := snap.Resource.Status
	if snap.Stale {
		text = calculate(snap).Status
	}
	var shown v1.Status
	if err := json.Unmarshal(text, &shown); err != nil {
		s.violatef("a status that is no JSON: %v", err)
	} else if shown.Phase == v1.PhaseReady && shown.ObservedGeneration != snap.Resource.Generation {
		s.violatef("Ready at generation %d with reports of %d", snap.Resource.Generation, shown.ObservedGeneration)
	}
}

func (s *scene) violatef(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, fmt.Sprintf(format, args...))
}

func (s *scene) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts++
}

// reporter reports three times, mostly good news, of the current generation or the first.
func (s *scene) reporter(name string) *actor {
	// Drawn here: the steps of a round run at the same time.
	var reports []v1.StatusReport
	for range 3 {
		status := v1.ConditionTrue
		if s.rng.IntN(4) == 0 {
			status = v1.ConditionFalse
		}
		reports = append(reports, report(name, int64(s.rng.IntN(2)), status, "R", newID()))
	}
	a := &actor{left: len(reports)}
	a.next = func(ctx context.Context) error {
		result, err := s.db.StoreReport(ctx, s.id, reports[a.left-1], debounce, "")
		if err == nil && result.Applied {
			s.count()
		}
		return err
	}
	return a
}

// editor changes the spec once or twice.
func (s *scene) editor() *actor {
	a := &actor{left: 1 + s.rng.IntN(2)}
	a.next = func(ctx context.Context) error {
		s.count()
		return s.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
			c, err := tx.Lock(ctx, s.id, "")
			if err != nil {
				return err
			}
			c.Spec = fmt.Appendf(nil, `{"n":%d}`, c.Generation)
			_, err = tx.Update(ctx, c, models.Change{Spec: true}, pull, s.event(models.Updated, v1.ReasonSpecChanged))
			return err
		})
	}
	return a
}

// judge holds the end of the scene against the pure rule: what a read shows, and what is
// stored when it is not marked as dirty.
func (s *scene) judge(t *testing.T) error {
	t.Helper()
	if len(s.violations) > 0 {
		return fmt.Errorf("seen by a reader: %v", s.violations)
	}
	want, generation := s.byTheRule(t)
	for _, moment := range []string{"as it was left", "after a read"} {
		snap, err := s.db.Get(t.Context(), s.id, "")
		must(t, err)
		text := []byte(snap.Resource.Status)
		if snap.Stale {
			n := calculate(snap)
			text = n.Status
			_, err = s.db.StoreStatuses(t.Context(), []database.NewStatus{n})
			must(t, err)
		}
		var got v1.Status
		must(t, json.Unmarshal(text, &got))
		if diff := cmp.Diff(want, got, exceptTransitions); diff != "" {
			return fmt.Errorf("%s, stale %t (-rule +shown):\n%s", moment, snap.Stale, diff)
		}
		if got.Phase == v1.PhaseReady && got.ObservedGeneration != generation {
			return fmt.Errorf("%s: Ready with a report of generation %d at %d", moment, got.ObservedGeneration, generation)
		}
		if version := snap.Resource.ResourceVersion; version != 1+s.facts {
			return fmt.Errorf("%s: resource version %d after %d changes and reports", moment, version, s.facts)
		}
		if moment == "after a read" && snap.Stale {
			return errors.New("a status that nothing disturbed was not stored")
		}
	}
	return nil
}

// exceptTransitions compares statuses but for what depends on those calculated before.
var exceptTransitions = cmpopts.IgnoreFields(v1.Condition{}, "LastTransitionTime")

// byTheRule calculates the status from the tables, past the package, and returns it with
// the cluster's generation.
func (s *scene) byTheRule(t *testing.T) (v1.Status, int64) {
	t.Helper()
	rows, err := s.raw.Query(t.Context(), s.sql(`
		SELECT controller_name, observed_generation, conditions, created_at, counted_at, available_changed_at
		FROM controller_status WHERE cluster_id = $1`), s.id)
	must(t, err)
	reports, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r models.Report, err error) {
		err = row.Scan(&r.ControllerName, &r.ObservedGeneration, &r.Conditions, &r.FirstAt, &r.CountedAt, &r.AvailableChangedAt)
		return r, err
	})
	must(t, err)
	var object models.Object
	var now time.Time
	must(t, s.raw.QueryRow(t.Context(), s.sql(`SELECT generation, generation_started_at, platform, now() FROM clusters WHERE id = $1`), s.id).
		Scan(&object.Generation, &object.GenerationStartedAt, &object.Platform, &now))
	return models.Aggregate(models.Facts{
		Object: object, Reports: reports, Expected: (models.Registry{}).Expected(models.Object{}, reports, time.Time{}), Now: now, ProgressDeadline: deadline,
	}).Status, object.Generation
}

// calculate gives a stale snapshot its status, as the use cases do.
func calculate(snap *database.Snapshot) database.NewStatus {
	out := models.Aggregate(models.Facts{
		Object: snap.Resource.Object(), Reports: snap.Reports, Expected: (models.Registry{}).Expected(models.Object{}, snap.Reports, time.Time{}),
		Now: snap.Now, ProgressDeadline: deadline,
	})
	text, err := json.Marshal(out.Status)
	if err != nil {
		panic(err)
	}
	return database.NewStatus{
		ID: snap.Resource.ID, ResourceVersion: snap.Resource.ResourceVersion, Status: text,
		RecheckAt: out.RecheckAt, Moved: snap.OfItself, RegistryVersion: snap.RegistryVersion, Pull: pull,
	}
}
