package service_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// TestTrap09_ReadyGoesWithItsGeneration: "update, then wait for Ready" returned at once,
// by the cached status of the spec before.
func TestTrap09_ReadyGoesWithItsGeneration(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, available("dns", v1.ConditionTrue))
		if _, s := w.get(t, id); s.Phase != v1.PhaseReady {
			t.Fatalf("not Ready to begin with: %+v", s)
		}
		up := w.put(t, id, `{"n":1}`)
		_, read := w.get(t, id)
		page, err := w.List(t.Context(), alice, models.ListQuery{})
		must(t, err)
		for view, s := range map[string]v1.Status{"PUT": statusOf(t, up), "GET": read, "list": statusOf(t, page.Resources[0])} {
			if s.Phase != v1.PhaseProgressing || s.ObservedGeneration != 1 || s.Conditions[0].ObservedGeneration != 2 {
				t.Errorf("%s after a new spec: %+v", view, s)
			}
			if s.Conditions[1].Status != v1.ConditionTrue {
				t.Errorf("%s: Available fell while the new spec rolls out: %+v", view, s.Conditions[1])
			}
		}
		// As the scheduler and a list by phase find it, with nobody having read it.
		w.put(t, id, `{"n":2}`)
		for phase, want := range map[v1.Phase]int{v1.PhaseReady: 0, v1.PhaseProgressing: 1} {
			page, err := w.List(t.Context(), alice, models.ListQuery{Phase: phase})
			if err != nil || len(page.Resources) != want || page.Total != int64(want) {
				t.Errorf("list by %s: %d of %d, %v", phase, len(page.Resources), page.Total, err)
			}
		}
	})
}

// TestTrap11_NotReadyByTheFirstReport: from generation 2 on, those who are expected are
// known, and the first of them is not enough.
func TestTrap11_NotReadyByTheFirstReport(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		for _, name := range []string{"dns", "net", "nodes"} {
			w.report(t, id, available(name, v1.ConditionTrue))
		}
		w.put(t, id, `{"n":1}`)
		for i, name := range []string{"net", "dns", "nodes"} {
			w.report(t, id, available(name, v1.ConditionTrue))
			_, s := w.get(t, id)
			want := v1.PhaseProgressing
			if i == 2 {
				want = v1.PhaseReady
			}
			if s.Phase != want {
				t.Errorf("after %d of 3 reports: %s, %s", i+1, s.Phase, s.Message)
			}
		}
	})
}

// age moves all times of a cluster and its reports into the past.
func (w world) age(t *testing.T, by string) {
	t.Helper()
	w.exec(t, `UPDATE clusters SET generation_started_at = generation_started_at - $1::interval, recheck_at = recheck_at - $1::interval`, by)
	w.exec(t, `UPDATE controller_status SET counted_at = counted_at - $1::interval, created_at = created_at - $1::interval,
		available_changed_at = available_changed_at - $1::interval`, by)
}

// TestTrap12_AStatusDependsOnItsFactsOnly, not on who reads it, when, or how often.
func TestTrap12_AStatusDependsOnItsFactsOnly(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, available("dns", v1.ConditionTrue))
		w.report(t, id, available("net", v1.ConditionFalse))
		_, first := w.get(t, id)
		again := func(how string, before v1.Status) {
			t.Helper()
			if _, s := w.get(t, id); !cmp.Equal(before, s) {
				t.Errorf("%s: %s", how, cmp.Diff(before, s))
			}
		}
		again("read again", first)
		w.exec(t, `UPDATE clusters SET status_dirty = true`)
		again("calculated again by a read", first)
		w.exec(t, `UPDATE clusters SET status_dirty = true`)
		_, err := w.Refresh(t.Context(), 10)
		must(t, err)
		again("calculated again by the pass", first)
		w.exec(t, `UPDATE clusters SET status_dirty = true, status = NULL`)
		again("calculated from nothing", first)
		if _, s, err := w.Status(t.Context(), robot, id); err != nil || len(s) != 2 {
			t.Errorf("reports %+v, %v", s, err)
		}
	})
}

// TestTheDeadlinePasses: time alone makes a cluster fail, at the time of the deadline and
// as a new resource version, once.
func TestTheDeadlinePasses(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, available("dns", v1.ConditionFalse))
		before, s := w.get(t, id)
		if s.Phase != v1.PhaseProgressing {
			t.Fatalf("begins as %+v", s)
		}
		w.age(t, "29 min")
		if c, s := w.get(t, id); s.Phase != v1.PhaseProgressing || c.ETag() != before.ETag() {
			t.Errorf("before the deadline: %s at %s, was %s", s.Phase, c.ETag(), before.ETag())
		}
		w.age(t, "2 min")
		deadline := value[time.Time](t, w, `SELECT greatest(max(available_changed_at), max(created_at)) + interval '30 min' FROM controller_status`)
		failed, s := w.get(t, id)
		if s.Phase != v1.PhaseFailed || s.Reason != models.ReasonProgressDeadlineExceeded || strings.Contains(s.Message, "minute") {
			t.Errorf("after the deadline: %+v", s)
		}
		if failed.ResourceVersion != before.ResourceVersion+1 {
			t.Errorf("resource version %d after %d", failed.ResourceVersion, before.ResourceVersion)
		}
		for _, c := range s.Conditions {
			if (c.Type == v1.ConditionProgressing) && !c.LastTransitionTime.Equal(deadline) {
				t.Errorf("%s turned at %s, the deadline is %s", c.Type, c.LastTransitionTime, deadline)
			}
		}
		w.age(t, "1 h")
		if c, again := w.get(t, id); c.ETag() != failed.ETag() || !cmp.Equal(s, again) {
			t.Errorf("an hour later: %s, %s", c.ETag(), cmp.Diff(s, again))
		}
		if pulled := value[bool](t, w, `SELECT next_reconcile_at <= now() + interval '30 s' FROM reconciliation_schedule`); !pulled {
			t.Error("a failure by the deadline is not in the attention lane")
		}
	})
}

// TestAListByPhaseIsFresh: what nobody has read since its facts changed is found by the
// phase that it is in now.
func TestAListByPhaseIsFresh(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		was := map[string]v1.ConditionStatus{"up": v1.ConditionFalse, "down": v1.ConditionTrue, "still": v1.ConditionTrue}
		ids := map[string]string{}
		for name, status := range was {
			ids[name] = w.create(t, name).ID
			w.report(t, ids[name], available("dns", status))
			w.get(t, ids[name])
		}
		w.report(t, ids["up"], available("dns", v1.ConditionTrue))
		w.report(t, ids["down"], available("dns", v1.ConditionFalse))
		for phase, want := range map[v1.Phase][]string{v1.PhaseReady: {"still", "up"}, v1.PhaseProgressing: {"down"}, v1.PhaseFailed: nil} {
			w.exec(t, `UPDATE clusters SET status_dirty = true`)
			page, err := w.List(t.Context(), alice, models.ListQuery{Phase: phase})
			must(t, err)
			var got []string
			for _, c := range page.Resources {
				got = append(got, c.Name)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) || page.Total != int64(len(want)) {
				t.Errorf("%s: %v of %d, want %v", phase, got, page.Total, want)
			}
		}
		if n := value[int](t, w, `SELECT count(*) FROM clusters WHERE status_dirty`); n > 0 {
			t.Errorf("%d rows still dirty after a list by phase", n)
		}
	})
}

// TestRefusedLists name what is wrong, all at once.
func TestRefusedLists(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		_, err := w.List(t.Context(), alice, models.ListQuery{Limit: 101, Offset: -1, OrderBy: "age", Phase: "Odd", Platform: "a b", Name: "A"})
		wantCode(t, err, v1.CodeInvalidQuery)
		e, ok := errors.AsType[*models.Error](err)
		if !ok || len(e.Faults) != 6 {
			t.Errorf("faults %+v", e)
		}
	})
}
