package outbox_test

import (
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/internal/outbox"
	"github.com/cls-backend/cls-backend/internal/retention"
)

func TestPublishedEventsGoAfterTheirRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 1100) // more than a batch
	w.drive(t, w.relay(t, outbox.Options{}))
	w.create(t) // not published, so it stays however old
	for _, c := range []struct {
		age           time.Duration
		removed, left int
		why           string
	}{
		{time.Hour, 0, 1101, "none is as old as that"},
		{time.Nanosecond, 1100, 1, "all that is published is older, in two batches"},
		{time.Nanosecond, 0, 1, "nothing is left to do"},
	} {
		n, err := retention.NewCleaner("published events", w.db.PurgePublished, c.age, quiet()).RunOnce(t.Context())
		if left := len(w.rows(t)); err != nil || n != c.removed || left != c.left {
			t.Errorf("after %v: %d removed, %d left, %v; want %d and %d: %s", c.age, n, left, err, c.removed, c.left, c.why)
		}
	}
}
