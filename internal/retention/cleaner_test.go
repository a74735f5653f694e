package retention_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cls-backend/cls-backend/internal/retention"
)

// store is a table of so many rows that are due.
type store struct {
	rows, calls int
	away        atomic.Bool
}

func (s *store) purge(_ context.Context, _ time.Duration, limit int) (int, error) {
	s.calls++
	if s.away.Load() {
		return 0, errors.New("away")
	}
	n := min(s.rows, limit)
	s.rows -= n
	return n, nil
}

func TestRunOnceRemovesAllInBatches(t *testing.T) {
	t.Parallel()
	s := &store{rows: 2500}
	c := retention.NewCleaner("rows", s.purge, time.Hour, slog.New(slog.DiscardHandler))
	n, err := c.RunOnce(t.Context())
	if n != 2500 || err != nil || s.calls != 3 {
		t.Errorf("removed %d in %d calls, %v; want 2500 in 3", n, s.calls, err)
	}
}

// counting counts log records.
type counting struct {
	slog.Handler
	records *int
}

func (counting) Enabled(context.Context, slog.Level) bool { return true }

func (c counting) Handle(context.Context, slog.Record) error { *c.records++; return nil }

func TestRunGoesOnAfterAFailureAndLogsItOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		records := 0
		s := &store{rows: 1}
		s.away.Store(true)
		c := retention.NewCleaner("rows", s.purge, time.Hour, slog.New(counting{slog.DiscardHandler, &records}))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- retention.Run(ctx, c) }()
		time.Sleep(3*time.Minute + time.Second) //nolint:forbidigo // a bubble's own time
		s.away.Store(false)
		time.Sleep(time.Minute) //nolint:forbidigo // a bubble's own time
		stop()
		if err := <-done; err != nil || s.rows != 0 || records != 2 {
			t.Errorf("%v, %d rows left, %d log records; want none left and two records", err, s.rows, records)
		}
	})
}

// TestOneCleansAtATime: all begin at the start, when the service opens its first connections, and take one among them.
func TestOneCleansAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var passes, busy int
		purge := func(context.Context, time.Duration, int) (int, error) {
			if busy++; busy > 1 {
				t.Errorf("%d clean at once", busy)
			}
			time.Sleep(time.Millisecond) //nolint:forbidigo // a bubble's own time
			busy--
			passes++
			return 0, nil
		}
		var cleaners []*retention.Cleaner
		for range 3 {
			cleaners = append(cleaners, retention.NewCleaner("rows", purge, time.Hour, slog.New(slog.DiscardHandler)))
		}
		ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
		defer stop()
		if err := retention.Run(ctx, cleaners...); err != nil || passes != 6 {
			t.Errorf("%v, %d passes; want two of each", err, passes)
		}
	})
}
