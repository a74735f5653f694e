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
