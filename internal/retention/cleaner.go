// Package retention removes rows that have outlived their purpose: published events,
// and the tombstones of deleted clusters.
package retention

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
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
// has locked. It is run, or its RunOnce called, by one goroutine.
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

// Run runs cleaners until ctx ends, and returns nil then. Each begins at once, but one
// cleans at a time: nobody waits for them, and together they would take that many new
// connections at the moment in which a service that starts opens its first ones. A
// failure is logged when it begins and when it is over.
func Run(ctx context.Context, cleaners ...*Cleaner) error {
	turn := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range cleaners {
		group.Go(func() error { return c.run(ctx, turn) })
	}
	return group.Wait()
}

// run cleans again and again, whenever it has the turn.
func (c *Cleaner) run(ctx context.Context, turn chan struct{}) error {
	tick := time.NewTicker(min(max(c.age/4, minPause), maxPause))
	defer tick.Stop()
	for {
		turn <- struct{}{} // Whoever has it ends with ctx too.
		_, err := c.RunOnce(ctx)
		<-turn
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
