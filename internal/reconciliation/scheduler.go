// Package reconciliation keeps waking controllers until each cluster is as declared.
//
// A pass first brings statuses up to date that nobody has read, so that a failure is
// seen within one pass, and then wakes what is due: resources that need attention every
// attention interval, the others every stable interval. Every replica runs passes; they share the work
// by skipping what another has locked, and none of them leads.
package reconciliation

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// batch is how many resources one statement of a pass takes.
	batch = 500
	// maxBatches bounds either half of a pass, so that neither a flood of stale statuses
	// nor rows that somebody keeps locked hold up what else is due. The next pass goes on,
	// at once when more is due.
	maxBatches = 20
)

// Scheduler runs passes. It is used by one goroutine.
type Scheduler struct {
	services []Service
	observer Observer
	log      *slog.Logger
	interval time.Duration
	// offset is added to the database's time; a test steps it through hours.
	offset  time.Duration
	failing bool
}

// NewScheduler returns a scheduler that runs a pass over the resources of each service every interval.
func NewScheduler(interval time.Duration, o Observer, log *slog.Logger, services ...Service) *Scheduler {
	return &Scheduler{services: services, interval: interval, observer: o, log: log}
}

// Result is what a pass did.
type Result struct {
	Refreshed int
	// Lateness is how long after its time each of the woken resources was woken.
	Lateness []time.Duration
	// More says that the pass came to its bound before it had woken all that is due.
	More bool
}

// Run runs passes until the context ends, and returns nil then: one every interval, and one right after another that has
// left something due. A failed pass is logged when the first of a row fails; the next one makes up for it.
func (s *Scheduler) Run(ctx context.Context) error {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		r, err := s.RunOnce(ctx)
		s.report(ctx, err)
		if r.More && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

func (s *Scheduler) report(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !s.failing:
		s.log.ErrorContext(ctx, "reconciliation pass failed; trying again", "error", err)
	case err == nil && s.failing:
		s.log.InfoContext(ctx, "reconciliation passes work again")
	}
	s.failing = err != nil
}

// RunOnce runs one pass: it refreshes what is stale and wakes what is due, the most
// overdue first, up to 10,000 of each kind in batches. Neither half depends on the other, nor one
// kind on another: a status that cannot be calculated keeps nobody asleep. Work done before an
// error stands.
func (s *Scheduler) RunOnce(ctx context.Context) (Result, error) {
	began := time.Now()
	var r Result
	var errs []error
	for _, service := range s.services {
		errs = append(errs, refresh(ctx, service, &r), s.wake(ctx, service, &r))
	}
	s.observer.PassDone(time.Since(began), len(r.Lateness), r.Lateness)
	return r, errors.Join(errs...)
}

func refresh(ctx context.Context, service Service, r *Result) error {
	for range maxBatches {
		n, err := service.Refresh(ctx, batch)
		r.Refreshed += n
		if err != nil || n < batch {
			return err
		}
	}
	return nil
}

// wake wakes what is due. The first batch is nearly always all there is; of a crowd two are taken at a time, so that
// PostgreSQL is at one while we are at the other.
func (s *Scheduler) wake(ctx context.Context, service Service, r *Result) error {
	full, err := s.wakeBatch(ctx, service, r)
	if !full {
		return err
	}
	var (
		left atomic.Int32
		pair errgroup.Group
	)
	left.Store(maxBatches - 1)
	results := make([]Result, 2)
	for i := range results {
		pair.Go(func() error {
			for left.Add(-1) >= 0 {
				if full, err := s.wakeBatch(ctx, service, &results[i]); !full {
					return err
				}
			}
			results[i].More = true
			return nil
		})
	}
	err = pair.Wait()
	for _, one := range results {
		r.Lateness, r.More = append(r.Lateness, one.Lateness...), r.More || one.More
	}
	return err
}

// wakeBatch wakes a batch, and reports whether there may be more.
func (s *Scheduler) wakeBatch(ctx context.Context, service Service, r *Result) (full bool, err error) {
	late, err := service.WakeDue(ctx, s.offset, batch)
	r.Lateness = append(r.Lateness, late...)
	return err == nil && len(late) == batch, err
}
