package service_test

import (
	"testing"

	"github.com/google/uuid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// TestPermissions is the table of who may do what, on a cluster of alice's.
func TestPermissions(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		both := models.Actor{Email: "developer@localhost", Controller: true, Admin: true}
		bound := models.Actor{Email: "dns@system.local", Controller: true, ControllerName: "dns"}
		const (
			ok        v1.Code = ""
			forbidden         = v1.CodeForbidden
			absent            = v1.CodeNotFound
		)
		var id string
		calls := []struct {
			name string
			call func(models.Actor) error
		}{
			{"get", func(by models.Actor) error { _, err := w.Get(t.Context(), by, id); return err }},
			{"status", func(by models.Actor) error { _, _, err := w.Status(t.Context(), by, id); return err }},
			{"explain", func(by models.Actor) error { _, err := w.Explain(t.Context(), by, id); return err }},
			{"reconcile", func(by models.Actor) error { _, err := w.Reconcile(t.Context(), by, id); return err }},
			{"report", func(by models.Actor) error {
				_, err := w.Report(t.Context(), by, id, available("dns", "True"))
				return err
			}},
			{"report as another", func(by models.Actor) error {
				_, err := w.Report(t.Context(), by, id, available("net", "True"))
				return err
			}},
			{"list by creator", func(by models.Actor) error {
				_, err := w.List(t.Context(), by, models.ListQuery{CreatedBy: alice.Email})
				return err
			}},
			{"update", func(by models.Actor) error {
				_, err := w.Update(t.Context(), by, id, models.Edit{Spec: spec(1)}, "")
				return err
			}},
			{"delete", func(by models.Actor) error {
				_, err := w.Delete(t.Context(), by, id, models.DeleteRequest{})
				return err
			}},
		}
		for _, row := range []struct {
			who  string
			by   models.Actor
			want []v1.Code // in the order of calls
		}{
			{"owner", alice, []v1.Code{ok, ok, ok, ok, forbidden, forbidden, ok, ok, ok}},
			{"another user", bob, []v1.Code{absent, absent, absent, absent, forbidden, forbidden, forbidden, absent, absent}},
			{"controller", robot, []v1.Code{ok, ok, ok, ok, ok, ok, ok, forbidden, forbidden}},
			{"bound controller", bound, []v1.Code{ok, ok, ok, ok, ok, forbidden, ok, forbidden, forbidden}},
			{"admin", admin, []v1.Code{ok, ok, ok, ok, forbidden, forbidden, ok, ok, ok}},
			{"admin and controller", both, []v1.Code{ok, ok, ok, ok, ok, ok, ok, ok, ok}},
		} {
			id = w.create(t, "c"+uuid.NewString()[:8]).ID
			for i, c := range calls {
				before := w.footprint(t, id)
				err := c.call(row.by)
				if got := codeOf(err); got != row.want[i] {
					t.Errorf("%s, %s: %q, want %q (%v)", row.who, c.name, got, row.want[i], err)
				}
				if err != nil && w.footprint(t, id) != before {
					t.Errorf("%s, %s: refused, and something was written", row.who, c.name)
				}
			}
		}
		_, err := w.Create(t.Context(), robot, models.Draft{Name: "mine"})
		wantCode(t, err, v1.CodeForbidden)
	})
}

func codeOf(err error) v1.Code {
	if err == nil {
		return ""
	}
	return models.CodeOf(err)
}

// TestTrap30_OnlyControllersReport, before anything is looked up: a user learns nothing
// about clusters from it, not even that they exist.
func TestTrap30_OnlyControllersReport(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		for _, cluster := range []string{id, uuid.NewString(), "no id at all"} {
			_, err := w.Report(t.Context(), alice, cluster, available("dns", v1.ConditionTrue))
			wantCode(t, err, v1.CodeForbidden)
		}
		if n := value[int](t, w, `SELECT count(*) FROM controller_status`); n > 0 {
			t.Errorf("%d forged reports", n)
		}
	})
}

// TestTrap30_ASearchStaysInItsTenant: no filter shows a user somebody else's clusters, or counts them.
func TestTrap30_ASearchStaysInItsTenant(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		mine := w.create(t, "mine")
		for _, name := range []string{"mine", "theirs"} {
			_, err := w.Create(t.Context(), bob, models.Draft{Name: name, Labels: map[string]string{"env": "prod"}, Spec: v1.Object(`{"platform":{"type":"gcp"}}`)})
			must(t, err)
		}
		env := []models.Requirement{{Key: "env", Op: models.OpExists}}
		for _, row := range []struct {
			by   models.Actor
			q    models.ListQuery
			want int
		}{
			{alice, models.ListQuery{}, 1},
			{alice, models.ListQuery{ExactTotal: true}, 1},
			{alice, models.ListQuery{Name: "mine"}, 1},
			{alice, models.ListQuery{Name: "theirs"}, 0},
			{alice, models.ListQuery{Platform: "gcp"}, 0},
			{alice, models.ListQuery{Labels: env}, 0},
			{alice, models.ListQuery{Phase: v1.PhasePending}, 1},
			{alice, models.ListQuery{CreatedBy: "ALICE@example.com"}, 1},
			{bob, models.ListQuery{Platform: "GCP"}, 2},
			{robot, models.ListQuery{}, 3},
			{admin, models.ListQuery{CreatedBy: "Bob@Example.com"}, 2},
			{models.Actor{Email: "nobody@example.com"}, models.ListQuery{}, 0},
		} {
			page, err := w.List(t.Context(), row.by, row.q)
			must(t, err)
			if len(page.Resources) != row.want || page.Total != int64(row.want) {
				t.Errorf("%s %+v: %d of %d, want %d", row.by.Email, row.q, len(page.Resources), page.Total, row.want)
			}
			for _, c := range page.Resources {
				if row.by.Email == alice.Email && c.ID != mine.ID {
					t.Errorf("%+v shows %s of %s", row.q, c.Name, c.CreatedBy)
				}
			}
		}
	})
}
