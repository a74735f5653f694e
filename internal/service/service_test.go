package service_test

import (
	"encoding/json"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type noObserver struct{}

func (noObserver) AggregationDone(time.Duration, int) {}

func settings() service.Settings {
	return service.Settings{
		Secrets: models.NewSecrets(nil),
		Cadence: models.Cadence{
			Attention: 30 * time.Second, Stable: 5 * time.Minute, AttentionAge: 2 * time.Hour, Debounce: 2 * time.Second,
		},
		ProgressDeadline: 30 * time.Minute,
	}
}

var (
	alice = models.Actor{Email: "alice@example.com", RequestID: "req-1"}
	robot = models.Actor{Email: "controller@system.local", Controller: true}
)

func available(name string, status v1.ConditionStatus) v1.StatusReport {
	return v1.StatusReport{
		ControllerName: name,
		Conditions:     []v1.ReportedCondition{{Type: "Available", Status: status, Reason: "Because"}},
	}
}

func phaseOf(t *testing.T, c *models.Resource) v1.Status {
	t.Helper()
	var s v1.Status
	if err := json.Unmarshal(c.Status, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLifeOfAResource follows one resource through every use case.
func TestLifeOfAResource(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		ctx := t.Context()

		c, err := w.Create(ctx, alice, models.Draft{Name: "one", Labels: map[string]string{"a": "b"}, Spec: v1.Object(`{"platform":{"type":"GCP"}}`)})
		if err != nil {
			t.Fatal(err)
		}
		if s := phaseOf(t, c); s.Phase != v1.PhasePending || c.Platform != "gcp" {
			t.Fatalf("created: %+v", s)
		}
		events, err := w.db.ClaimEvents(ctx, "0197a7c0-0000-7000-8000-000000000001", time.Second, 10)
		if err != nil || len(events) != 1 || events[0].Event.Type != w.event(models.Created) {
			t.Fatalf("events %+v, %v", events, err)
		}
		if _, err := w.db.MarkPublished(ctx, events); err != nil {
			t.Fatal(err)
		}
		res, err := w.Report(ctx, robot, c.ID, available("dns", v1.ConditionTrue))
		if err != nil || !res.Applied {
			t.Fatalf("report: %+v %v", res, err)
		}
		got, err := w.Get(ctx, alice, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if s := phaseOf(t, got); s.Phase != v1.PhaseReady {
			t.Fatalf("after report: %+v", s)
		}
		up, err := w.Update(ctx, alice, c.ID, models.Edit{Spec: v1.Object(`{"x":1}`)}, got.ETag())
		if err != nil {
			t.Fatal(err)
		}
		if s := phaseOf(t, up); s.Phase != v1.PhaseProgressing || up.Generation != 2 {
			t.Fatalf("after update: %+v %d", s, up.Generation)
		}
		if n, err := w.Refresh(ctx, 10); n != 1 || err != nil {
			t.Fatalf("refresh: %d %v", n, err)
		}
		if _, err := w.Reconcile(ctx, alice, c.ID); err != nil {
			t.Fatal(err)
		}
		late, err := w.WakeDue(ctx, time.Hour, 10)
		if err != nil || len(late) != 1 {
			t.Fatalf("wake: %v %v", late, err)
		}
		page, err := w.List(ctx, alice, models.ListQuery{Phase: v1.PhaseProgressing})
		if err != nil || len(page.Resources) != 1 || page.Total != 1 {
			t.Fatalf("list: %+v %v", page, err)
		}
		for _, sel := range []string{"a=b", "a in (b,c)", "a", "!z", "a!=c", "z notin (b)"} {
			reqs, err := models.ParseSelector(sel)
			if err != nil {
				t.Fatal(err)
			}
			page, err := w.List(ctx, alice, models.ListQuery{Labels: reqs, ExactTotal: true})
			if err != nil || len(page.Resources) != 1 {
				t.Fatalf("list %s: %+v %v", sel, page, err)
			}
		}
		if _, reports, err := w.Status(ctx, alice, c.ID); err != nil || len(reports) != 1 {
			t.Fatalf("status: %+v %v", reports, err)
		}
		if _, err := w.Delete(ctx, alice, c.ID, models.DeleteRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Get(ctx, alice, c.ID); models.CodeOf(err) != v1.CodeNotFound {
			t.Fatalf("get after delete: %v", err)
		}
		res, err = w.Report(ctx, robot, c.ID, available("dns", v1.ConditionTrue))
		if err != nil || res.Applied || res.Reason != w.notAppliedDeleted() {
			t.Fatalf("report after delete: %+v %v", res, err)
		}
		if b, err := w.db.Backlog(ctx); err != nil || b.Unpublished != 3 {
			t.Fatalf("backlog: %+v %v", b, err)
		}
	})
}
