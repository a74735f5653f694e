package database_test

import (
	"context"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// A pass may read a resource before its deletion and lock its place after: PostgreSQL looks anew at
// the row that it locks, and at no other. What it then wakes is being deleted all the same.
func TestAWakeUpFromBeforeADeletion(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		id := f.create(t, "one").ID
		must(t, f.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			if _, err := tx.Lock(ctx, id, ""); err != nil {
				return err
			}
			_, err := tx.Delete(ctx, id, pull, f.event(models.Deleted, v1.ReasonDeletionRequested))
			return err
		}))
		cadence := models.Cadence{Attention: 30 * time.Second, Stable: 5 * time.Minute}
		must(t, f.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			due, err := tx.ClaimDue(ctx, time.Hour, 10)
			if err != nil {
				return err
			}
			var wakes []models.Wake
			for _, d := range due {
				if d.ID != id || !d.Attention.Deleting {
					t.Errorf("due: %+v", d)
				}
				d.Attention.Deleting = false // As it was read.
				wakes = append(wakes, cadence.Wake(d, newID(), f.kind, 0))
			}
			return tx.Wake(ctx, wakes)
		}))
		got := value[string](t, f, `SELECT type || ' ' || reason || ' ' || generation FROM outbox WHERE wake`)
		if want := f.kind.Event(models.Deleted) + " " + v1.ReasonDeletionPending + " 2"; got != want {
			t.Errorf("woken with %s, want %s", got, want)
		}
	})
}

// A wake-up that a user has asked for may be on its way to Pub/Sub when its resource is deleted. What it
// becomes is another event: one id never stands for two, and the one that arrived is not the other.
func TestAWakeUpOnItsWayWhenTheDeletionComes(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		id := f.create(t, "one").ID
		f.exec(t, `UPDATE outbox SET published_at = now()`)
		asked := models.NewEvent{
			ID: newID(), Type: f.kind.Event(models.Reconcile), Reason: v1.ReasonManual, Metadata: v1.EventMetadata{TriggeredBy: v1.TriggeredByManual},
		}
		_, err := f.WakeNow(t.Context(), id, "", asked)
		must(t, err)
		onItsWay, err := f.ClaimEvents(t.Context(), newID(), time.Minute, 10)
		must(t, err)
		must(t, f.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			if _, err := tx.Lock(ctx, id, ""); err != nil {
				return err
			}
			_, err := tx.Delete(ctx, id, pull, f.event(models.Deleted, v1.ReasonDeletionRequested))
			return err
		}))
		f.mark(t, onItsWay)
		next, err := f.ClaimEvents(t.Context(), newID(), time.Minute, 10)
		must(t, err)
		if len(onItsWay) != 1 || len(next) != 2 || next[0].Event.ID == asked.ID || next[1].Event.ID == asked.ID {
			t.Errorf("on its way: %+v; after the deletion: %+v", onItsWay, next)
		}
	})
}
