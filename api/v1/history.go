package v1

import (
	"encoding/json"
	"time"
)

// Revision is one spec that a resource has had: a generation of it.
type Revision struct {
	Generation int64 `json:"generation"`
	// CreatedBy is the e-mail address of whoever began the generation; "" when that was not written down.
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	RequestID string    `json:"request_id,omitempty"`
	// Diff turns the spec of the generation before into this one: a JSON Patch (RFC 6902). That of
	// the first generation begins with an empty object. It is absent when the one before is not kept.
	Diff json.RawMessage `json:"diff,omitempty"`
}

// RevisionList is a page of the revisions of a resource, newest first.
type RevisionList struct {
	Revisions     []Revision `json:"revisions"`
	Limit         int        `json:"limit"`
	NextPageToken string     `json:"next_page_token,omitempty"`
}

// What an entry of a [Timeline] tells of.
const (
	// TimelineChange: somebody has created, changed, deleted or woken the resource.
	TimelineChange = "change"
	// TimelinePublication: the event of a change has reached Pub/Sub.
	TimelinePublication = "publication"
	// TimelineReport: a report has moved something that others wait for.
	TimelineReport = "report"
)

// TimelineEntry is one thing that has happened to a resource.
type TimelineEntry struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	What       string    `json:"what"`
	Generation int64     `json:"generation"`
	// RequestID is that of the call that caused it; absent when none did.
	RequestID string `json:"request_id,omitempty"`
	// EventID, EventType and Reason are those of the event of a change or publication.
	EventID   string `json:"event_id,omitempty"`
	EventType string `json:"event_type,omitempty"`
	Reason    string `json:"reason,omitempty"`
	// UserEmail is who made the change.
	UserEmail string `json:"user_email,omitempty"`
	// ControllerName, Conditions, ErrorType and ErrorCode are what a report says.
	ControllerName string              `json:"controller_name,omitempty"`
	Conditions     []ReportedCondition `json:"conditions,omitempty"`
	ErrorType      string              `json:"error_type,omitempty"`
	ErrorCode      string              `json:"error_code,omitempty"`
}

// Timeline is a page of what has happened to a resource, the latest first.
type Timeline struct {
	Events        []TimelineEntry `json:"events"`
	Limit         int             `json:"limit"`
	NextPageToken string          `json:"next_page_token,omitempty"`
}
