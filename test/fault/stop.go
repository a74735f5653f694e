package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/cls-backend/cls-backend/internal/faultpoint"
)

func stops() []scenario {
	return []scenario{{
		name: "stop/cont", promise: "A replica that stands still and comes back does nothing that has become stale.",
		about: "One replica is stopped (SIGSTOP) in the middle of a transaction, with its locks, and another with an event claimed and " +
			"not published. The third goes on. Then both go on as if nothing had happened (SIGCONT).",
		full: dose{times: 2, lasts: time.Minute}, short: dose{times: 2, lasts: 12 * time.Second}, unit: "stops at a time", run: stopAndContinue,
	}}
}

func stopAndContinue(ctx context.Context, w *world, d dose) ([]figure, error) {
	quiet, err := w.addStill(ctx, 20)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	l := w.startLoad(ctx, 8, 30)
	victims := w.replicas[:d.times]
	for i, point := range []string{faultpoint.BeforeCommit, faultpoint.BeforePublish} {
		order := fmt.Sprintf("FAULTPOINT=%s:stop@%d", point, 5+w.rng.IntN(20))
		victims[i].arm(func() []string { return []string{order} }, nil)
		if err := victims[i].kill(ctx); err != nil {
			return nil, err
		}
	}
	for _, r := range victims {
		r.arm(nil, nil)
		if err := until(ctx, r.name+" to stop", patience, func() bool { return stopped(r.process().cmd.Process.Pid) }); err != nil {
			return nil, err
		}
	}
	if err := pause(ctx, d.lasts); err != nil {
		return nil, err
	}
	open, err := w.openTransactions(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range victims {
		if at := r.process().atPoint(); at == "" {
			return nil, fmt.Errorf("%s has stopped at no point", r.name)
		}
		r.process().signal(syscall.SIGCONT)
	}
	for _, r := range victims {
		if err := until(ctx, r.name+" to be back", patience, r.ready.Load); err != nil {
			return nil, err
		}
	}
	if err := pause(ctx, attention); err != nil { // For what they have had in hand, with the load on it.
		return nil, err
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	settled, err := w.settle(ctx, "SIGSTOP")
	if err != nil {
		return nil, err
	}
	// A pass that stood still has kept its places until PostgreSQL ended its transaction, after five seconds.
	figures, err := quiet.figures(ctx, began, attention*11/10+10*time.Second)
	figures = append(l.figures(), figures...)
	return append(figures, atMost("transactions that a stopped replica still had open", float64(open), "", 0), settled), err
}

// openTransactions counts those that have stood idle for longer than the service lets them.
func (w *world) openTransactions(ctx context.Context) (n int, err error) {
	err = w.db.QueryRow(ctx, `
		SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '6 s'`).Scan(&n)
	return n, err
}
