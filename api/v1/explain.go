package v1

import "time"

// Why a controller is waited for. Of two that hold the first is said.
const (
	// WaitFinalizer: the deletion waits for its condition Finalized=True.
	WaitFinalizer = "Finalizer"
	// WaitNeverReported: it is required, and no report of it is stored.
	WaitNeverReported = "NeverReported"
	// WaitBehindGeneration: its report is of an older generation.
	WaitBehindGeneration = "BehindGeneration"
	// WaitError: it reports an error, or the condition Failed=True.
	WaitError = "Error"
	// WaitNotAvailable: it does not report Available=True.
	WaitNotAvailable = "NotAvailable"
)

// Explanation is the answer to GET /clusters/{id}/explain and /nodepools/{id}/explain: why a
// resource is not Ready, or that it is.
type Explanation struct {
	ClusterID string `json:"cluster_id"`
	// NodePoolID is the node pool that is explained; absent when it is the cluster.
	NodePoolID string `json:"nodepool_id,omitempty"`
	Generation int64  `json:"generation"`
	// Phase and Reason are those of the [Status] at the same moment.
	Phase  Phase  `json:"phase"`
	Reason string `json:"reason"`
	// Sentences tell it in English, in the order in which one would: at least one. They are for
	// people, and may be worded otherwise tomorrow.
	Sentences []string `json:"sentences"`
	// WaitingFor are all controllers that are waited for, in the order of their names.
	WaitingFor []WaitedFor `json:"waiting_for"`
	// NextEvent is what the scheduler sends next; absent when nothing comes by itself.
	NextEvent *NextEvent `json:"next_event,omitempty"`
}

// WaitedFor is a controller that a resource waits for.
type WaitedFor struct {
	ControllerName string `json:"controller_name"`
	// Why is Finalizer, NeverReported, BehindGeneration, Error or NotAvailable.
	Why string `json:"why"`
	// Message is what it says itself, at most 256 characters of it; "" when it says nothing.
	Message string `json:"message"`
	// Since is when what Why says began, by the database's clock.
	Since *time.Time `json:"since,omitempty"`
}

// NextEvent is the event that the scheduler sends next, unless something happens before.
type NextEvent struct {
	// Type is that of a reconcile event, or cluster.deleted or nodepool.deleted while a deletion waits.
	Type string `json:"type"`
	// DueAt is when it is due, by the database's clock. In the past, it goes out with the next pass.
	DueAt time.Time `json:"due_at"`
	// Lane is why it comes then: attention, stable, or reactive when a report has pulled it forward.
	Lane string `json:"lane"`
}
