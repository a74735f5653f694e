package models

import (
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Attention is what decides how often the controllers of a resource are woken.
type Attention struct {
	// GenerationStartedAt is the time of the creation or of the last change of the spec.
	GenerationStartedAt time.Time
	Phase               v1.Phase
	Generation          int64
	ObservedGeneration  int64
	Deleting            bool
}

// Attention returns what decides how often the controllers of a resource of a status are woken.
func (o Object) Attention(s v1.Status) Attention {
	return Attention{
		GenerationStartedAt: o.GenerationStartedAt, Phase: s.Phase,
		Generation: o.Generation, ObservedGeneration: s.ObservedGeneration, Deleting: !o.DeletionTimestamp.IsZero(),
	}
}

// phaseError is the phase of that name in older writings of the contract.
const phaseError v1.Phase = "Error"

// NeedsAttention reports whether a resource belongs in the attention lane: it is younger
// than age, has failed, runs a generation that not everybody has observed, or is being deleted.
func NeedsAttention(a Attention, now time.Time, age time.Duration) bool {
	return a.Deleting ||
		a.Phase == v1.PhaseFailed || a.Phase == phaseError ||
		a.Generation > a.ObservedGeneration ||
		now.Before(a.GenerationStartedAt.Add(age))
}

// Lane is one of the two frequencies of waking.
type Lane struct {
	// Reason is the reason of the lane's events: attention or stable.
	Reason   string
	Interval time.Duration
}

// Cadence holds the settings of the scheduler.
type Cadence struct {
	Attention time.Duration
	Stable    time.Duration
	// AttentionAge is how long a new generation keeps a resource in the attention lane.
	AttentionAge time.Duration
	// Debounce is how soon a report that moves something wakes everybody; 0 for never.
	Debounce time.Duration
}

// Lane returns the lane that a resource belongs in.
func (c Cadence) Lane(a Attention, now time.Time) Lane {
	if NeedsAttention(a, now, c.AttentionAge) {
		return Lane{Reason: v1.ReasonAttention, Interval: c.Attention}
	}
	return Lane{Reason: v1.ReasonStable, Interval: c.Stable}
}

// jitter is how far a wake-up may lie off its interval, as a part of it.
const jitter = 0.1

// Jittered returns the interval to the next wake-up, uniform within 10 % of the lane's.
// u is a random number in [0, 1); draw a new one for each wake-up.
func (l Lane) Jittered(u float64) time.Duration {
	return time.Duration(float64(l.Interval) * (1 - jitter + 2*jitter*u))
}

// Pull returns how long a resource that moves into the attention lane may wait: at most
// one attention interval, at least 90 % of it, so that a burst of changes spreads.
func (c Cadence) Pull(u float64) time.Duration {
	return time.Duration(float64(c.Attention) * (1 - jitter*u))
}

// Due is a resource whose wake-up is due.
type Due struct {
	ID        string
	Attention Attention
	// Reactive says that a report pulled the wake-up forward.
	Reactive bool
	DueAt    time.Time
	// Now is the database's time of the pass.
	Now time.Time
}

// Wake is the answer to a [Due]: the event to send, and when the next one is due.
type Wake struct {
	ID    string
	Event NewEvent
	Next  time.Time
}

// deletionPending makes a wake-up repeat the deletion: on one of the usual type controllers would
// build again what they have torn down.
func deletionPending(e NewEvent, kind Kind) NewEvent {
	e.Type, e.Reason = kind.Event(Deleted), v1.ReasonDeletionPending
	return e
}

// Wake returns the wake-up of a due resource. id is the event's; u is a random number in
// [0, 1) for the jitter.
func (c Cadence) Wake(d Due, id string, kind Kind, u float64) Wake {
	lane := c.Lane(d.Attention, d.Now)
	if d.Attention.Deleting {
		return Wake{ID: d.ID, Event: deletionPending(ScheduledWake(id, kind, lane, d.Reactive), kind), Next: d.Now.Add(lane.Jittered(u))}
	}
	return Wake{ID: d.ID, Event: ScheduledWake(id, kind, lane, d.Reactive), Next: d.Now.Add(lane.Jittered(u))}
}

// IntervalName writes an interval as events carry it: 30s, 5m, 1h30m.
func IntervalName(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = strings.TrimSuffix(s, zero[1:])
		}
	}
	return s
}
