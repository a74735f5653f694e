package outbox

import (
	"errors"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/internal/models"
)

func TestRetryInDoublesWithinItsLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := New(nil, nil, nil, nil, Options{})
	for _, c := range []struct {
		age, want time.Duration
		cutOff    bool
		why       string
	}{
		{age: time.Millisecond, want: 500 * time.Millisecond, why: "the shortest pause"},
		{age: 510 * time.Millisecond, want: 510 * time.Millisecond, why: "as long as it has waited"},
		{age: 1100 * time.Millisecond, want: 1100 * time.Millisecond, why: "which has doubled since"},
		{age: 12 * time.Hour, want: 5 * time.Second, why: "the longest pause: it is out soon after the outage"},
		{age: -time.Hour, want: 500 * time.Millisecond, why: "our clock is behind the database's"},
		{age: 12 * time.Hour, cutOff: true, want: 0, why: "a stop is no reason to wait"},
	} {
		o := outcome{event: models.QueuedEvent{}, err: errors.New("away"), cutOff: c.cutOff}
		o.event.Event.Timestamp = now.Add(-c.age)
		if got := r.retryIn(o, now); got != c.want {
			t.Errorf("at %v: %v, want %v: %s", c.age, got, c.want, c.why)
		}
	}
}
