package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Purger removes published events, up to limit of those older than age.
type Purger interface {
	PurgePublished(ctx context.Context, age time.Duration, limit int) (int, error)
}

const (
	// purgeBatch bounds a delete, and so how long it holds its locks.
	purgeBatch = 1000
	// Between two passes of a cleaner a quarter of the retention goes by, within these.
	minPurgePause = 100 * time.Millisecond
	maxPurgePause = time.Minute
)

// Cleaner removes events from the outbox some time after they were published. Every
// replica may run one. Run and RunOnce are called by one goroutine.
type Cleaner struct {
	store     Purger
	retention time.Duration
	report    *report
}

// NewCleaner returns a Cleaner of events that were published longer than retention ago.
func NewCleaner(store Purger, retention time.Duration, log *slog.Logger) *Cleaner {
	return &Cleaner{store: store, retention: retention, report: &report{log: log}}
}

// Run cleans until ctx ends, and returns nil then. An error is logged when it begins and
// when it is over.
func (c *Cleaner) Run(ctx context.Context) error {
	pause := min(max(c.retention/4, minPurgePause), maxPurgePause)
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		if _, err := c.RunOnce(ctx); ctx.Err() == nil {
			c.report.store(ctx, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// RunOnce removes all that is due, batch by batch, and returns how many events went.
func (c *Cleaner) RunOnce(ctx context.Context) (removed int, err error) {
	for {
		n, err := c.purge(ctx)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("clean the outbox: %w", err)
		}
		if n < purgeBatch {
			return removed, nil
		}
	}
}

func (c *Cleaner) purge(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return c.store.PurgePublished(ctx, c.retention, purgeBatch)
}
