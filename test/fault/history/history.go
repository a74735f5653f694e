// Package history is the record of a run under faults: what clients asked and were answered, what a subscriber was
// given, and what PostgreSQL has in the end. It is written while the run goes on and judged after it, by a program that
// was not there ([github.com/cls-backend/cls-backend/test/fault/checker]).
//
// All times are of one machine's clock: the harness, PostgreSQL and Pub/Sub run on it.
package history

import "time"

// What a client asks for.
const (
	OpCreate = "create"
	OpUpdate = "update" // PUT
	OpPatch  = "patch"
	OpDelete = "delete"
	OpForce  = "force" // DELETE ?force=true of a Deleting resource
	OpGet    = "get"
	OpStatus = "status" // GET .../status
	OpList   = "list"
	OpReport = "report"
)

// History is everything that a run has on record.
type History struct {
	// Expected are the controllers that a resource of a platform waits for.
	Expected []Controller `json:"expected"`
	// Crashed says that PostgreSQL has died in the run, and with it what was committed without waiting for the disk:
	// wake-ups among it, which are made again.
	Crashed bool `json:"crashed,omitempty"`

	Calls      []Call     `json:"calls"`      // by End; all that there were, of the controllers too
	Deliveries []Delivery `json:"deliveries"` // as they came, in the order of the ordering keys
	Resources  []Resource `json:"resources"`
	Revisions  []Revision `json:"revisions"`
	Outbox     []Queued   `json:"outbox"` // by Seq
	Reports    []Stored   `json:"reports"`
	Leftovers  []Leftover `json:"leftovers"`
	Recoveries []Recovery `json:"recoveries"`
}

// Controller is one that is registered before the run as required.
type Controller struct {
	Name      string   `json:"name"`
	Platforms []string `json:"platforms,omitempty"` // none: all
	Kinds     []string `json:"kinds,omitempty"`     // none: all
	Finalizes bool     `json:"finalizes,omitempty"`
}

// Call is one attempt of a client. A retry is another.
type Call struct {
	Start      time.Time `json:"start"`
	End        time.Time `json:"end"`
	Client     string    `json:"client"`
	Replica    string    `json:"replica"`
	Op         string    `json:"op"`
	Kind       string    `json:"kind"` // cluster or nodepool
	ResourceID string    `json:"resource_id,omitempty"`
	Platform   string    `json:"platform,omitempty"`

	// What was asked.
	Key        string `json:"key,omitempty"`      // Idempotency-Key; one for each creation that is meant, and its retries
	IfMatch    string `json:"if_match,omitempty"` // an ETag; of an update or a patch that does change something
	Mark       string `json:"mark,omitempty"`     // what a write puts into the spec, as no other does but its retries
	Controller string `json:"controller,omitempty"`
	Observed   int64  `json:"observed,omitempty"`  // of a report; never 0
	Finalized  bool   `json:"finalized,omitempty"` // of a report: Finalized=True

	// What was answered. Status is 0 where nothing was.
	Status     int    `json:"status"`
	Code       string `json:"code,omitempty"`
	Body       string `json:"body,omitempty"` // a digest of the answer's body, of creations
	ETag       string `json:"etag,omitempty"`
	Generation int64  `json:"generation,omitempty"`
	Applied    bool   `json:"applied,omitempty"` // of a report
	// Of a status that was read.
	Phase       string     `json:"phase,omitempty"`
	Ready       bool       `json:"ready,omitempty"`
	Controllers []Reported `json:"controllers,omitempty"`
}

// OK says that the call was answered with success.
func (c Call) OK() bool { return c.Status >= 200 && c.Status < 300 }

// Reported is a controller's latest report as a status shows it.
type Reported struct {
	Name      string `json:"name"`
	Observed  int64  `json:"observed"`
	Available bool   `json:"available"`
}

// Delivery is an event as the subscriber was given it.
type Delivery struct {
	At         time.Time `json:"at"`
	EventID    string    `json:"event_id"`
	Type       string    `json:"type"`
	ResourceID string    `json:"resource_id"` // the node pool's where there is one
	Generation int64     `json:"generation"`
	Reason     string    `json:"reason"`
	Body       string    `json:"body"` // a digest of the data
}

// Resource is a row of clusters or nodepools, tombstones included.
type Resource struct {
	Kind              string     `json:"kind"`
	ID                string     `json:"id"`
	Name              string     `json:"name"`
	ClusterID         string     `json:"cluster_id,omitempty"` // of a node pool
	Platform          string     `json:"platform"`
	Generation        int64      `json:"generation"`
	ResourceVersion   int64      `json:"resource_version"`
	DeletionTimestamp *time.Time `json:"deletion_timestamp,omitempty"`
	DeletedAt         *time.Time `json:"deleted_at,omitempty"`
	Forced            bool       `json:"forced,omitempty"`
}

// Revision is a generation of a spec that was committed, the present one too.
type Revision struct {
	ResourceID string `json:"resource_id"`
	Generation int64  `json:"generation"`
	Mark       string `json:"mark,omitempty"` // as in the spec
}

// Queued is an event of the outbox.
type Queued struct {
	Seq        int64  `json:"seq"`
	EventID    string `json:"event_id"`
	Type       string `json:"type"`
	ResourceID string `json:"resource_id"`
	Generation int64  `json:"generation"`
	Reason     string `json:"reason"`
	Published  bool   `json:"published"`
}

// Stored is a controller's report as the database has it.
type Stored struct {
	ResourceID string `json:"resource_id"`
	Controller string `json:"controller"`
	Observed   int64  `json:"observed"`
}

// Leftover compares a thing that a process may leak before the load and after it, at rest: goroutines of a replica,
// connections to PostgreSQL, locks held or waited for.
type Leftover struct {
	What   string `json:"what"`
	Before int    `json:"before"`
	After  int    `json:"after"`
	// Slack is by how much After may be more, where a pool keeps some open.
	Slack int `json:"slack"`
}

// Recovery is how long it took after a fault until everything was as declared: each resource Ready or gone, and nothing
// unpublished.
type Recovery struct {
	Fault     string        `json:"fault"`
	Took      time.Duration `json:"took"` // ns
	Limit     time.Duration `json:"limit"`
	Converged bool          `json:"converged"`
}
