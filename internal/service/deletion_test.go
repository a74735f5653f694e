package service_test

import (
	"fmt"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// TestTrap24_ANameIsFreeAgain after a deletion, as often as one likes.
func TestTrap24_ANameIsFreeAgain(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		for range 3 {
			c := w.create(t, "phoenix")
			_, err := w.Create(t.Context(), alice, models.Draft{Name: "phoenix"})
			wantCode(t, err, w.nameExists())
			_, err = w.Delete(t.Context(), alice, c.ID, models.DeleteRequest{})
			must(t, err)
		}
	})
}

// TestADeletion leaves one event and a tombstone that nobody sees and nothing wakes.
func TestADeletion(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		ctx := t.Context()
		c := w.create(t, "one")
		w.report(t, c.ID, available("dns", v1.ConditionTrue))
		w.publish(t)
		if late, err := w.WakeDue(ctx, time.Hour, 10); err != nil || len(late) != 1 {
			t.Fatalf("woken %v, %v", late, err)
		}
		gone, err := w.Delete(ctx, alice, c.ID, models.DeleteRequest{})
		must(t, err)
		if gone.ClusterID != c.Ref().ClusterID || gone.NodePoolID != c.Ref().NodePoolID() || gone.Generation != 2 || gone.DeletionTimestamp.IsZero() {
			t.Errorf("answered %+v", gone)
		}
		events := w.publish(t)
		if len(events) != 1 || events[0].Event.Type != w.event(models.Deleted) || events[0].Event.Generation != 2 || events[0].Event.Reason != v1.ReasonDeletionRequested {
			t.Errorf("events %+v, want the deletion and no wake-up", events)
		}
		for _, by := range []models.Actor{alice, robot, admin} {
			_, err := w.Get(ctx, by, c.ID)
			wantCode(t, err, v1.CodeNotFound)
			_, err = w.Reconcile(ctx, by, c.ID)
			wantCode(t, err, v1.CodeNotFound)
			if page, err := w.List(ctx, by, models.ListQuery{}); err != nil || page.Total != 0 {
				t.Errorf("listed: %+v, %v", page, err)
			}
		}
		_, err = w.Update(ctx, alice, c.ID, models.Edit{Spec: spec(1)}, "")
		wantCode(t, err, v1.CodeNotFound)
		_, err = w.Delete(ctx, alice, c.ID, models.DeleteRequest{})
		wantCode(t, err, v1.CodeNotFound)
		for i := range 3 {
			w.report(t, c.ID, available("dns", v1.ConditionFalse))
			if n, err := w.Refresh(ctx, 10); err != nil || n != 0 {
				t.Errorf("calculated %d, %v", n, err)
			}
			if late, err := w.WakeDue(ctx, ahead(i), 10); err != nil || len(late) > 0 {
				t.Errorf("woken %v, %v", late, err)
			}
		}
		if left := w.publish(t); len(left) > 0 {
			t.Errorf("events of a deleted cluster: %+v", left)
		}
		w.exec(t, `UPDATE clusters SET deleted_at = now() - interval '31 days'`)
		if n, err := w.db.PurgeTombstones(ctx, 720*time.Hour, 10); err != nil || n != 1 {
			t.Errorf("purged %d, %v", n, err)
		}
		_, err = w.Report(ctx, robot, c.ID, available("dns", v1.ConditionTrue))
		wantCode(t, err, v1.CodeNotFound)
	})
}

// TestProtectedClusters are deleted once the protection is lifted.
func TestProtectedClusters(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		c, err := w.Create(t.Context(), alice, models.Draft{Name: "one", DeletionProtection: true})
		must(t, err)
		_, err = w.Delete(t.Context(), alice, c.ID, models.DeleteRequest{})
		wantCode(t, err, v1.CodeDeletionProtected)
		up, err := w.Update(t.Context(), alice, c.ID, models.Edit{Common: models.Common{DeletionProtection: new(false)}, Spec: c.Spec}, "")
		must(t, err)
		_, err = w.Delete(t.Context(), alice, c.ID, models.DeleteRequest{IfMatch: up.ETag()})
		must(t, err)
	})
}

// TestTrap07_NoWakeUpAfterADeletion: a pass that has just claimed the cluster leaves no
// wake-up behind the deletion, on which controllers would build again.
func TestTrap07_NoWakeUpAfterADeletion(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		for i := range 40 {
			id := w.create(t, fmt.Sprintf("c%d", i)).ID
			w.publish(t)
			for _, err := range together(2, func(who int) error {
				if who == 0 {
					_, err := w.Delete(t.Context(), alice, id, models.DeleteRequest{})
					return err
				}
				_, err := w.WakeDue(t.Context(), time.Hour, 10)
				return err
			}) {
				must(t, err)
			}
			if events := w.publish(t); len(events) != 1 || events[0].Event.Type != w.event(models.Deleted) {
				t.Fatalf("events %+v, want the deletion only", events)
			}
		}
	})
}
