package service_test

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// explain asks as alice.
func (w world) explain(t testing.TB, id string) v1.Explanation {
	t.Helper()
	e, err := w.Explain(t.Context(), alice, id)
	must(t, err)
	return e
}

// TestAnExplanationStoresTheStatusBefore it reads the schedule, as any read does: a failure by the
// deadline that nobody has seen is in the attention lane in the first answer.
func TestAnExplanationStoresTheStatusBefore(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		s := newSimulation(t, w)
		s.settleDown(t, available("dns", v1.ConditionTrue))
		w.report(t, s.id, available("dns", v1.ConditionFalse))
		w.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = now() + interval '5 min', reactive = false`)
		if e := w.explain(t, s.id); e.Phase != v1.PhaseProgressing || e.NextEvent.Lane != v1.ReasonStable {
			t.Fatalf("begins as %+v", e)
		}
		w.age(t, "31 min")
		e := w.explain(t, s.id)
		due := value[time.Time](t, w, `SELECT next_reconcile_at FROM reconciliation_schedule`)
		in30s := value[bool](t, w, `SELECT next_reconcile_at <= now() + interval '30 s' FROM reconciliation_schedule`)
		if e.Reason != models.ReasonProgressDeadlineExceeded || e.NextEvent.Lane != v1.ReasonAttention || !in30s || !e.NextEvent.DueAt.Equal(due) {
			t.Errorf("after the deadline: %+v, next %+v; the schedule says %v", e, e.NextEvent, due)
		}
		if _, status := w.get(t, s.id); status.Phase != e.Phase || status.Reason != e.Reason {
			t.Errorf("explained as %s/%s, and read as %+v", e.Phase, e.Reason, status)
		}
		before := w.footprint(t, s.id)
		w.explain(t, s.id)
		if w.footprint(t, s.id) != before {
			t.Error("the explanation of a fresh status writes")
		}
	})
}

// TestARetiredHolderIsNotExplained: a deletion waits for it no longer, in the first answer after.
func TestARetiredHolderIsNotExplained(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		for _, name := range []string{"dns", "net"} {
			w.register(t, name, v1.RegisterController{Finalizes: true})
		}
		id := w.create(t, "one").ID
		w.end(t, id, models.DeleteRequest{})
		if e := w.explain(t, id); len(e.WaitingFor) != 2 {
			t.Fatalf("begins as %+v", e)
		}
		w.retire(t, "dns")
		e := w.explain(t, id)
		if len(e.WaitingFor) != 1 || e.WaitingFor[0].ControllerName != "net" || strings.Contains(strings.Join(e.Sentences, " "), "dns") {
			t.Errorf("waits for %+v: %q", e.WaitingFor, e.Sentences)
		}
	})
}
