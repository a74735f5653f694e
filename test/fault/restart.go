package main

import (
	"context"
	"time"
)

func restarts() []scenario {
	return []scenario{{
		name: "restart/rolling", promise: "A rolling restart costs no client a request.",
		about: "The replicas are stopped in order (SIGTERM), one after the other, and started again, while clients that retry go on.",
		full:  dose{times: 30}, short: dose{times: 3}, unit: "restarts", run: rollingRestart,
	}}
}

func rollingRestart(ctx context.Context, w *world, d dose) ([]figure, error) {
	began := time.Now()
	l := w.startLoad(ctx, 8, 30)
	var longest time.Duration
	for i := range d.times {
		took, err := w.replicas[i%len(w.replicas)].restart(ctx)
		if err != nil {
			return nil, err
		}
		longest = max(longest, took)
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	failed := 0
	for _, c := range w.record.calls(began) {
		if c.Status == 0 || c.Status >= 500 {
			failed++
		}
	}
	settled, err := w.settle(ctx, "a rolling restart")
	return append(l.figures(),
		measured("single tries that got no answer, or a 5xx", float64(failed), ""),
		atMost("longest stop", longest.Seconds(), "s", 25), // SERVER_SHUTDOWN_TIMEOUT
		settled), err
}
