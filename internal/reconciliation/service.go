package reconciliation

import (
	"context"
	"time"
)

// Service is what the scheduler sets to work, for the resources of one kind.
type Service interface {
	// Refresh calculates up to limit statuses whose facts have changed, and returns how many.
	Refresh(ctx context.Context, limit int) (int, error)
	// WakeDue wakes up to limit resources that are due at the database's time plus offset,
	// and returns how late each was.
	WakeDue(ctx context.Context, offset time.Duration, limit int) ([]time.Duration, error)
}

// Observer is told of each pass.
type Observer interface {
	PassDone(elapsed time.Duration, due int, lateness []time.Duration)
}
