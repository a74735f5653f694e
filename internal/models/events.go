package models

import (
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// QueuedEvent is an event as it waits in the outbox, with all that its message carries.
type QueuedEvent struct {
	// Seq is its place in the outbox, and the handle by which it is marked.
	Seq   int64
	Event v1.Event
	Kind  Kind
	// Platform is in lower case, "" when the spec names none.
	Platform  string
	CreatedBy string
	// RequestID and Traceparent are those of the call that caused the event; "" when none did.
	RequestID   string
	Traceparent string
	// Attempts counts how often Pub/Sub has refused the event for good.
	Attempts int
	// Claim is the lease under which the event was claimed, and LeasedUntil, by the clock of the process that has
	// claimed it, when that is over.
	Claim       string
	LeasedUntil time.Time
	// Wake says that the event is a wake-up and not a change: level-triggered, without order.
	Wake bool
}

// OrderingKey is the Pub/Sub ordering key: the cluster's id, on every topic.
func (q QueuedEvent) OrderingKey() string { return q.Event.ClusterID }

// NewEvent is an event to be appended to the outbox in the transaction of its change.
// The database adds what only it knows: the place in the queue, the generation, the time.
type NewEvent struct {
	ID       string
	Type     string
	Reason   string
	Metadata v1.EventMetadata
	// RequestID and Traceparent are those of the call; "" when there is none.
	RequestID   string
	Traceparent string
	// Lease is what a relay offers the event of a creation, so that it can be published as soon as it is committed.
	Lease Lease
}

// Lease is what a relay offers to the event of a creation that is about to be committed: it is born claimed, and is to
// be handed to that relay. The zero Lease offers nothing, and the event waits to be claimed.
type Lease struct {
	Claim  string // a UUID
	Length time.Duration
	// Until is when a lease that begins later than this is over at the earliest, by the clock of this process.
	Until time.Time
}

// Queued returns the event as it is claimed at its birth, with what the database has added.
func (e NewEvent) Queued(seq int64, at time.Time, of *Resource) *QueuedEvent {
	ref := of.Ref()
	return &QueuedEvent{
		Seq: seq, Kind: of.Kind, Platform: of.Platform, CreatedBy: of.CreatedBy, RequestID: e.RequestID, Traceparent: e.Traceparent,
		Claim: e.Lease.Claim, LeasedUntil: e.Lease.Until,
		Event: v1.Event{
			ID: e.ID, Type: e.Type, Source: v1.Source, ClusterID: ref.ClusterID, NodePoolID: ref.NodePoolID(), Generation: of.Generation,
			Reason: e.Reason, Timestamp: at, Metadata: e.Metadata,
		},
	}
}

// UserEvent returns the event of a change that the actor makes.
func UserEvent(id, eventType, reason string, by Actor) NewEvent {
	return NewEvent{
		ID: id, Type: eventType, Reason: reason,
		Metadata:  v1.EventMetadata{TriggeredBy: v1.TriggeredByUser, UserEmail: by.Email},
		RequestID: by.RequestID, Traceparent: by.Traceparent,
	}
}

// ManualWake returns the wake-up that the actor asks for.
func ManualWake(id string, kind Kind, by Actor) NewEvent {
	e := UserEvent(id, kind.Event(Reconcile), v1.ReasonManual, by)
	e.Metadata.TriggeredBy = v1.TriggeredByManual
	return e
}

// ScheduledWake returns the wake-up of a lane. A reactive one, caused by a report, names
// the lane's interval too, since that is what follows it.
func ScheduledWake(id string, kind Kind, lane Lane, reactive bool) NewEvent {
	e := NewEvent{
		ID: id, Type: kind.Event(Reconcile), Reason: lane.Reason,
		Metadata: v1.EventMetadata{TriggeredBy: v1.TriggeredByScheduler, Interval: IntervalName(lane.Interval)},
	}
	if reactive {
		e.Reason, e.Metadata.TriggeredBy = v1.ReasonReactive, v1.TriggeredByReactive
	}
	return e
}

// Backlog is the state of the queue and of the statuses, for metrics.
type Backlog struct {
	Unpublished      int64
	SetAside         int64
	OldestAge        time.Duration
	ClustersByPhase  map[string]int64
	NodePoolsByPhase map[string]int64
	DirtyRows        int64
}

// MaxAttempts is how often Pub/Sub may refuse an event for good before it is set aside,
// so that it holds up its successors no longer.
const MaxAttempts = 10

// FailedEvent is an event that could not be published.
type FailedEvent struct {
	Seq   int64
	Error string
	// RetryIn is how long to leave it alone.
	RetryIn time.Duration
	// Refused says that Pub/Sub refused this very event, as opposed to being away.
	Refused bool
}
