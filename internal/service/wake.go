package service

import (
	"context"
	"time"

	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// WakeDue appends a wake-up for up to limit resources that are due at the database's time
// plus offset, and returns how late each of them was. offset is 0 but in tests.
func (s *Resources) WakeDue(ctx context.Context, offset time.Duration, limit int) ([]time.Duration, error) {
	var late []time.Duration
	err := s.db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		due, err := tx.ClaimDue(ctx, offset, limit)
		if err != nil || len(due) == 0 {
			return err
		}
		wakes := make([]models.Wake, len(due))
		for i, d := range due {
			wakes[i] = s.settings.Cadence.Wake(d, newID(), s.kind, draw())
			late = append(late, d.Now.Sub(d.DueAt))
		}
		return tx.Wake(ctx, wakes)
	})
	if err != nil {
		return nil, err
	}
	if len(late) > 0 {
		s.send(nil)
	}
	return late, nil
}
