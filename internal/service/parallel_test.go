package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// together calls f n times at once and returns the errors.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// countCodes counts errors by their codes; "" counts the successes.
func countCodes(errs []error) map[v1.Code]int {
	codes := map[v1.Code]int{}
	for _, err := range errs {
		if err == nil {
			codes[""]++
		} else {
			codes[models.CodeOf(err)]++
		}
	}
	return codes
}

const writers = 100

// TestTrap17_ParallelPutsEachGetAGeneration: a read, an addition in the program and a
// blind write gave 30 parallel PUTs only 5 generations.
func TestTrap17_ParallelPutsEachGetAGeneration(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		c := w.create(t, "busy")
		answers := make([]*models.Resource, writers)
		for _, err := range together(writers, func(i int) (err error) {
			answers[i], err = w.Update(t.Context(), alice, c.ID, models.Edit{Spec: spec(i + 1)}, "")
			return err
		}) {
			must(t, err)
		}
		generations, versions := map[int64]string{}, map[string]bool{}
		for i, a := range answers {
			if other, taken := generations[a.Generation]; taken {
				t.Errorf("generation %d names two specs: %s and %s", a.Generation, other, a.Spec)
			}
			if want := fmt.Sprintf(`{"n": %d}`, i+1); a.Spec.String() != want {
				t.Errorf("PUT of %s answered %s", want, a.Spec)
			}
			generations[a.Generation], versions[a.ETag()] = a.Spec.String(), true
		}
		if len(generations) != writers || len(versions) != writers {
			t.Errorf("%d generations and %d ETags of %d PUTs", len(generations), len(versions), writers)
		}
		last, _ := w.get(t, c.ID)
		if last.Generation != 1+writers || generations[last.Generation] != last.Spec.String() {
			t.Errorf("ends at generation %d with %s", last.Generation, last.Spec)
		}
		w.wantEventsInOrder(t, c.ID, 1+writers)
	})
}

// wantEventsInOrder expects one change event for each generation 1..n, with numbers in the same order.
func (w world) wantEventsInOrder(t *testing.T, id string, n int) {
	t.Helper()
	events := values[int64](t, w, `SELECT generation FROM outbox WHERE resource_id = $1 AND NOT wake ORDER BY seq`, id)
	if len(events) != n {
		t.Fatalf("%d events, want %d", len(events), n)
	}
	for i, generation := range events {
		if generation != int64(i)+1 {
			t.Fatalf("event %d is of generation %d: the numbers are not in the order of the commits", i, generation)
		}
	}
	if ids := value[int](t, w, `SELECT count(DISTINCT id) FROM outbox`); ids != n {
		t.Errorf("%d different event ids, want %d", ids, n)
	}
}

// TestParallelPatchesAddUp: patches of different fields need no precondition; none is lost.
func TestParallelPatchesAddUp(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		c := w.create(t, "busy")
		for _, err := range together(writers, func(i int) error {
			_, err := w.Patch(t.Context(), alice, c.ID, models.Patch{Spec: v1.Object(fmt.Sprintf(`{"field%d":%d}`, i, i))}, "")
			return err
		}) {
			must(t, err)
		}
		last, _ := w.get(t, c.ID)
		var fields map[string]int
		must(t, json.Unmarshal(last.Spec, &fields))
		for i := range writers {
			if fields[fmt.Sprintf("field%d", i)] != i {
				t.Errorf("field%d is lost: %s", i, last.Spec)
			}
		}
		w.wantEventsInOrder(t, c.ID, 1+writers)
	})
}

// TestPreconditionsLetOneThrough: of many changes made for one version, or for one
// generation, exactly one succeeds, whichever it is.
func TestPreconditionsLetOneThrough(t *testing.T) {
	t.Parallel()
	one := int64(1)
	for name, row := range map[string]struct {
		ifMatch    string
		generation *int64
		patch      bool
		refusal    v1.Code
	}{
		"one ETag":                {`"1"`, nil, false, v1.CodePreconditionFailed},
		"one generation":          {"", &one, false, v1.CodeGenerationConflict},
		"one ETag, patched":       {`"1"`, nil, true, v1.CodePreconditionFailed},
		"one generation, patched": {"", &one, true, v1.CodeGenerationConflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachKind(t, func(t *testing.T, w world) {
				c := w.create(t, "busy")
				codes := countCodes(together(writers, func(i int) error {
					var err error
					if row.patch {
						_, err = w.Patch(t.Context(), alice, c.ID, models.Patch{Common: models.Common{Generation: row.generation}, Spec: spec(i + 1)}, row.ifMatch)
					} else {
						_, err = w.Update(t.Context(), alice, c.ID, models.Edit{Common: models.Common{Generation: row.generation}, Spec: spec(i + 1)}, row.ifMatch)
					}
					return err
				}))
				if codes[""] != 1 || codes[row.refusal] != writers-1 {
					t.Errorf("outcomes %v, want one success and %d of %s", codes, writers-1, row.refusal)
				}
				w.wantEventsInOrder(t, c.ID, 2)
			})
		})
	}
}

// TestReportsDoNotDisturbTheGeneration: a report breaks If-Match, and not the generation.
func TestReportsDoNotDisturbTheGeneration(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		c := w.create(t, "one")
		w.report(t, c.ID, available("dns", v1.ConditionTrue))
		_, err := w.Update(t.Context(), alice, c.ID, models.Edit{Spec: spec(1)}, c.ETag())
		wantCode(t, err, v1.CodePreconditionFailed)
		_, err = w.Delete(t.Context(), alice, c.ID, models.DeleteRequest{IfMatch: c.ETag()})
		wantCode(t, err, v1.CodePreconditionFailed)
		_, err = w.Update(t.Context(), alice, c.ID, models.Edit{Common: models.Common{Generation: &c.Generation}, Spec: spec(1)}, "")
		must(t, err)
	})
}

// TestParallelCreatesOfOneName: a name is taken once, and 99 are told so.
func TestParallelCreatesOfOneName(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		codes := countCodes(together(writers, func(int) error {
			_, err := w.Create(t.Context(), alice, models.Draft{Name: "same"})
			return err
		}))
		if codes[""] != 1 || codes[w.nameExists()] != writers-1 {
			t.Errorf("outcomes %v", codes)
		}
		if n := value[int](t, w, `SELECT count(*) FROM outbox`); n != 1 {
			t.Errorf("%d events of one cluster", n)
		}
	})
}

// TestNothingDeadlocks lets all that locks more than one row meet, of clusters and of their node
// pools: changes, reports, refreshes, passes, wakes, a relay, and deletions of clusters whose node
// pools are being made. A deadlock costs a second and a 503.
func TestNothingDeadlocks(t *testing.T) {
	t.Parallel()
	clusters := newWorld(t)
	pools := clusters.of(t, models.KindNodePool)
	const n = 20
	doomed := &doomedCluster{world: clusters, pools: pools}
	must(t, doomed.replace(t.Context(), 0))
	work := []func(ctx context.Context, i int) error{doomed.replace, doomed.fill, doomed.fill, doomed.wake, relay(clusters, 2*n), relay(clusters, 2)}
	for _, w := range []world{clusters, pools} {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = w.create(t, fmt.Sprintf("c%d", i)).ID
		}
		work = append(work, busy(w, ids)...)
	}
	clusters.publish(t)
	for _, err := range together(len(work), func(worker int) error {
		for i := range 200 {
			if err := work[worker](t.Context(), i); err != nil {
				return fmt.Errorf("worker %d: %w", worker, err)
			}
		}
		return nil
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	if deadlocks := value[int](t, clusters, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); deadlocks > 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}

// busy is what happens to resources that live on.
func busy(w world, ids []string) []func(ctx context.Context, i int) error {
	n := len(ids)
	pass := func(ctx context.Context, i int) error { _, err := w.WakeDue(ctx, ahead(i), n); return err }
	return []func(ctx context.Context, i int) error{
		func(ctx context.Context, i int) error {
			_, err := w.Update(ctx, alice, ids[i%n], models.Edit{Spec: spec(i)}, "")
			return err
		},
		func(ctx context.Context, i int) error {
			_, err := w.Report(ctx, robot, ids[i%n], condition("dns", v1.ConditionTrue, strconv.Itoa(i), "", ""))
			return err
		},
		func(ctx context.Context, i int) error {
			return unless(w.DropReport(ctx, robot, ids[i%n], "dns"), v1.CodeNotFound)
		},
		func(ctx context.Context, _ int) error { _, err := w.Refresh(ctx, n); return err },
		pass, pass,
		func(ctx context.Context, i int) error { _, err := w.Reconcile(ctx, alice, ids[i%n]); return err },
	}
}

// relay is the work of a relay in batches of a size, of which one in three is given back.
func relay(w world, size int) func(ctx context.Context, i int) error {
	return func(ctx context.Context, i int) error {
		claim := uuid.NewString()
		events, err := w.db.ClaimEvents(ctx, claim, 10*time.Second, size)
		if err != nil || len(events) == 0 {
			return err
		}
		if i%3 > 0 {
			_, err = w.db.MarkPublished(ctx, events)
			return err
		}
		failures := make([]models.FailedEvent, len(events))
		for i, e := range events {
			failures[i] = models.FailedEvent{Seq: e.Seq, Error: "not now"}
		}
		_, err = w.db.ReleaseEvents(ctx, claim, failures)
		return err
	}
}

// unless returns an error but those of some codes, which a race may end in.
func unless(err error, codes ...v1.Code) error {
	if slices.Contains(codes, models.CodeOf(err)) {
		return nil
	}
	return err
}

// doomedCluster is a cluster that is deleted at any moment, and another one takes its place.
type doomedCluster struct {
	world
	pools world

	mu sync.Mutex
	id string
	in []string // its node pools
}

func (d *doomedCluster) now() (id string, pools []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.id, slices.Clone(d.in)
}

// replace deletes the cluster and makes another one with a few node pools.
func (d *doomedCluster) replace(ctx context.Context, i int) error {
	if id, _ := d.now(); id != "" {
		if _, err := d.Delete(ctx, alice, id, models.DeleteRequest{}); err != nil {
			return err
		}
	}
	c, err := d.Create(ctx, alice, models.Draft{Name: fmt.Sprintf("doomed-%d", i)})
	if err != nil {
		return err
	}
	var in []string
	for range 3 {
		pool, err := d.pools.Create(ctx, alice, models.Draft{Name: "p" + uuid.NewString()[:8], ClusterID: c.ID})
		if err != nil {
			return err
		}
		in = append(in, pool.ID)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.id, d.in = c.ID, in
	return nil
}

// fill makes a node pool in the cluster.
func (d *doomedCluster) fill(ctx context.Context, _ int) error {
	id, _ := d.now()
	_, err := d.pools.Create(ctx, alice, models.Draft{Name: "q" + uuid.NewString()[:8], ClusterID: id})
	return unless(err, v1.CodeNotFound, v1.CodeClusterDeleting)
}

// wake leaves wake-ups of the cluster and of its node pools for a deletion to take back.
func (d *doomedCluster) wake(ctx context.Context, _ int) error {
	id, in := d.now()
	_, err := d.Reconcile(ctx, robot, id)
	errs := []error{unless(err, v1.CodeNotFound)}
	for _, pool := range in {
		_, err := d.pools.Reconcile(ctx, robot, pool)
		errs = append(errs, unless(err, v1.CodeNotFound))
	}
	return errors.Join(errs...)
}
