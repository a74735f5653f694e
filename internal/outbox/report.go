package outbox

import (
	"context"
	"log/slog"
	"time"
)

// reportEvery bounds how often failed publishes are logged. The metrics count each.
const reportEvery = 30 * time.Second

// report logs what a loop runs into, without a line for every try.
type report struct {
	log      *slog.Logger
	failing  bool      // the store
	failures int       // publishes since the last line
	last     time.Time // of that line
}

// store logs when the store begins to fail and when it works again.
func (r *report) store(ctx context.Context, err error) {
	switch {
	case err != nil && !r.failing:
		r.log.WarnContext(ctx, "outbox cannot be read or written; trying on", "error", err)
	case err == nil && r.failing:
		r.log.InfoContext(ctx, "outbox can be read and written again")
	}
	r.failing = err != nil
}

// publish logs a publish that failed, or counts it for the next line.
func (r *report) publish(ctx context.Context, topic string, err error) {
	r.failures++
	if time.Since(r.last) < reportEvery {
		return
	}
	r.log.WarnContext(ctx, "events cannot be published; trying on", "topic", topic, "failures", r.failures, "error", err)
	r.failures, r.last = 0, time.Now() //nolint:forbidigo // measures
}
