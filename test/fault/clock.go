package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// skew is how far off the clocks are.
const skew = 5 * time.Minute

func clocks() []scenario {
	return []scenario{{
		name: "clock/off", promise: "A replica whose clock is wrong decides nothing by it.",
		about: "The clock of one replica is five minutes ahead and that of another five minutes behind; the third's is right.",
		full:  dose{times: 2, lasts: 2 * time.Minute}, short: dose{times: 2, lasts: 8 * time.Second}, unit: "clocks off", run: clocksOff,
	}}
}

func clocksOff(ctx context.Context, w *world, d dose) ([]figure, error) {
	for i, by := range []time.Duration{skew, -skew} {
		w.replicas[i].arm(func() []string { return []string{"FAULTPOINT_CLOCK=" + by.String()} }, nil)
		if err := w.replicas[i].kill(ctx); err != nil {
			return nil, err
		}
		// That it is off is shown by the one place where the service tells the time by its own clock.
		if off, err := w.replicas[i].clock(ctx); err != nil || (off-by).Abs() > time.Minute {
			return nil, fmt.Errorf("the clock of %s is off by %v, and was to be by %v: %w", w.replicas[i].name, off, by, err)
		}
	}
	quiet, err := w.addStill(ctx, 20)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	l := w.startLoad(ctx, 8, 30)
	if err := pause(ctx, d.lasts); err != nil {
		return nil, err
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	settled, err := w.settle(ctx, "clocks that are off")
	if err != nil {
		return nil, err
	}
	figures, err := quiet.figures(ctx, began, attention*11/10+5*time.Second)
	return append(append(l.figures(), figures...), settled), err
}

// clock is how far a replica's is off ours.
func (r *replica) clock(ctx context.Context) (time.Duration, error) {
	_, body, err := r.w.get(ctx, "http://"+r.process().api+"/health")
	if err != nil {
		return 0, err
	}
	var h v1.Health
	if err := json.Unmarshal(body, &h); err != nil {
		return 0, fmt.Errorf("read the health: %w", err)
	}
	return time.Until(h.Timestamp), nil
}
