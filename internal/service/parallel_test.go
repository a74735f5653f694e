package service_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"

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
						_, err = w.Patch(t.Context(), alice, c.ID, models.Patch{Spec: spec(i + 1), Generation: row.generation}, row.ifMatch)
					} else {
						_, err = w.Update(t.Context(), alice, c.ID, models.Edit{Spec: spec(i + 1), Generation: row.generation}, row.ifMatch)
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
		_, err = w.Delete(t.Context(), alice, c.ID, c.ETag())
		wantCode(t, err, v1.CodePreconditionFailed)
		_, err = w.Update(t.Context(), alice, c.ID, models.Edit{Spec: spec(1), Generation: &c.Generation}, "")
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

// TestNothingDeadlocks lets all that locks more than one row meet: changes, reports,
// refreshes, passes, wakes and a relay. A deadlock costs a second and a 503.
func TestNothingDeadlocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 40
	ids := make([]string, n)
	for i := range ids {
		ids[i] = w.create(t, fmt.Sprintf("c%d", i)).ID
	}
	w.publish(t)
	ctx := t.Context()
	work := []func(i int) error{
		func(i int) error {
			_, err := w.Update(ctx, alice, ids[i%n], models.Edit{Spec: spec(i)}, "")
			return err
		},
		func(i int) error {
			_, err := w.Report(ctx, robot, ids[i%n], condition("dns", v1.ConditionTrue, strconv.Itoa(i), "", ""))
			return err
		},
		func(i int) error {
			if err := w.DropReport(ctx, robot, ids[i%n], "dns"); models.CodeOf(err) != v1.CodeNotFound {
				return err
			}
			return nil
		},
		func(int) error { _, err := w.Refresh(ctx, n); return err },
		func(i int) error { _, err := w.WakeDue(ctx, ahead(i), n); return err },
		func(i int) error { _, err := w.WakeDue(ctx, ahead(i), n); return err },
		func(i int) error { _, err := w.Reconcile(ctx, alice, ids[i%n]); return err },
		func(int) error {
			events, err := w.db.ClaimEvents(ctx, uuid.NewString(), 0, n)
			if err != nil {
				return err
			}
			return w.db.MarkPublished(ctx, events)
		},
	}
	for _, err := range together(len(work), func(worker int) error {
		for i := range 400 {
			if err := work[worker](i); err != nil {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	if deadlocks := value[int](t, w, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); deadlocks > 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}
