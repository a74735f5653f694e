package v1

import "time"

// Source is the source of every event of the service.
const Source = "cls-backend"

// The types of events, on the topic of clusters and on that of node pools.
const (
	ClusterCreated   = "cluster.created"
	ClusterUpdated   = "cluster.updated"
	ClusterDeleted   = "cluster.deleted"
	ClusterReconcile = "cluster.reconcile"

	NodePoolCreated   = "nodepool.created"
	NodePoolUpdated   = "nodepool.updated"
	NodePoolDeleted   = "nodepool.deleted"
	NodePoolReconcile = "nodepool.reconcile"
)

// The reasons of events: why one was sent.
const (
	ReasonCreated           = "created"
	ReasonSpecChanged       = "spec_changed"
	ReasonMetadataChanged   = "metadata_changed"
	ReasonDeletionRequested = "deletion_requested"
	ReasonDeletionPending   = "deletion_pending"
	ReasonAttention         = "attention"
	ReasonStable            = "stable"
	ReasonReactive          = "reactive"
	ReasonManual            = "manual"
)

// Who caused an event, in [EventMetadata].TriggeredBy.
const (
	TriggeredByUser      = "user"
	TriggeredByScheduler = "scheduler"
	TriggeredByReactive  = "reactive"
	TriggeredByManual    = "manual"
)

// Event is the data of a Pub/Sub message. It is thin on purpose: a controller reads the
// cluster for its state. Events are delivered at least once, so a controller must bear
// duplicates; a duplicate carries the same ID.
type Event struct {
	// ID is a UUID.
	ID         string `json:"id"`
	Type       string `json:"type"`
	ClusterID  string `json:"cluster_id"`
	NodePoolID string `json:"nodepool_id,omitempty"`
	// Generation is that of the resource when the event was written. Echo it as
	// observed_generation in the report on it.
	Generation int64         `json:"generation"`
	Timestamp  time.Time     `json:"timestamp"`
	Source     string        `json:"source"`
	Reason     string        `json:"reason"`
	Metadata   EventMetadata `json:"metadata"`
}

// EventMetadata says who or what caused an event.
type EventMetadata struct {
	// TriggeredBy is user, scheduler, reactive or manual.
	TriggeredBy string `json:"triggered_by"`
	UserEmail   string `json:"user_email,omitempty"`
	// Interval is the lane of a periodic wake-up in the form of its usual values: 30s or 5m.
	Interval string `json:"interval,omitempty"`
	// ForceDelete says that the deletion waits for no controller any more, ForceReason why, in the words of UserEmail.
	ForceDelete bool   `json:"force_delete,omitempty"`
	ForceReason string `json:"force_reason,omitempty"`
}
