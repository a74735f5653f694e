// Package retention removes rows that have outlived their purpose: published events,
// and the tombstones of deleted clusters.
package retention

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Purge removes up to limit rows that are older than age, and returns how many.
type Purge func(ctx context.Context, age time.Duration, limit int) (int, error)

const (
	// batch bounds a delete, and so how long it holds its locks.
	batch = 1000
	// Between two passes a quarter of the retention goes by, within these bounds.
	minPause = 100 * time.Millisecond
	maxPause = time.Minute
)

// Cleaner removes one sort of rows. Every replica may run one: they skip what another
// has locked. Its methods are called by one goroutine.
type Cleaner struct {
	what    string
	purge   Purge
	age     time.Duration
	log     *slog.Logger
	failing bool
}

// NewCleaner returns a cleaner of what purge removes, once it is older than age. what
// names it in the log.
func NewCleaner(what string, purge Purge, age time.Duration, log *slog.Logger) *Cleaner {
	return &Cleaner{what: what, purge: purge, age: age, log: log}
}

// Run cleans until ctx ends, and returns nil then. A failure is logged when it begins
// and when it is over.
func (c *Cleaner) Run(ctx context.Context) error {
	tick := time.NewTicker(min(max(c.age/4, minPause), maxPause))
	defer tick.Stop()
	for {
		_, err := c.RunOnce(ctx)
		c.report(ctx, err)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *Cleaner) report(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !c.failing:
		c.log.ErrorContext(ctx, "cleaning fails; trying again", "what", c.what, "error", err)
	case err == nil && c.failing:
		c.log.InfoContext(ctx, "cleaning works again", "what", c.what)
	}
	c.failing = err != nil
}

// RunOnce removes all that is due, batch by batch, and returns how many rows went.
func (c *Cleaner) RunOnce(ctx context.Context) (removed int, err error) {
	for {
		n, err := c.purge(ctx, c.age, batch)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("clean %s: %w", c.what, err)
		}
		if n < batch {
			return removed, nil
		}
	}
}
