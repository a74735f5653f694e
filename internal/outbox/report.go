package outbox

import (
	"context"
	"log/slog"
	"time"
)

// reportEvery bounds how often failed publishes are logged. The metrics count each.
const reportEvery = 30 * time.Second

// report logs what the loops run into, without a line for every try. Each field but the log belongs to one loop.
type report struct {
	log      *slog.Logger
	unread   bool      // the store cannot be read
	unmarked bool      // nor written
	failures int       // publishes since the last line
	last     time.Time // of that line
}

// read logs when the store begins to fail those who claim, and when it works again.
func (r *report) read(ctx context.Context, err error) {
	r.store(ctx, &r.unread, "claim", err)
}

// written is read for those who settle.
func (r *report) written(ctx context.Context, err error) {
	r.store(ctx, &r.unmarked, "mark", err)
}

func (r *report) store(ctx context.Context, failing *bool, step string, err error) {
	switch {
	case err != nil && !*failing:
		r.log.WarnContext(ctx, "outbox cannot be read or written; trying on", "step", step, "error", err)
	case err == nil && *failing:
		r.log.InfoContext(ctx, "outbox can be read and written again", "step", step)
	}
	*failing = err != nil
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
