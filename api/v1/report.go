package v1

import (
	"encoding/json"
	"time"
)

// The types of a [ReportError]. Fatal and Configuration are terminal: the controller
// will not succeed without somebody's help. Every other type will be retried.
const (
	ErrorTransient     = "Transient"
	ErrorSystem        = "System"
	ErrorConfiguration = "Configuration"
	ErrorFatal         = "Fatal"
)

// StatusReport is what a controller says of one resource: the body of PUT .../status.
//
// Controllers redeliver what is refused, so decoding is lenient: unknown fields and
// nulls pass, and a field of the wrong type counts as absent. See [StatusReport.UnmarshalJSON].
type StatusReport struct {
	// ControllerName is required: each controller has one slot on each resource.
	ControllerName string `json:"controller_name"`
	// ObservedGeneration is the generation that the controller worked on; 0 means the current one.
	ObservedGeneration int64 `json:"observed_generation,omitempty"`
	// Conditions: of two of one type the last stands.
	Conditions []ReportedCondition `json:"conditions,omitempty"`
	// Metadata is a free object for other controllers to read; it comes back unchanged.
	Metadata  Object       `json:"metadata,omitempty"`
	LastError *ReportError `json:"last_error,omitempty"`
}

// ReportedCondition is a condition as a controller reports it.
type ReportedCondition struct {
	Type    string          `json:"type"`
	Status  ConditionStatus `json:"status"`
	Reason  string          `json:"reason,omitempty"`
	Message string          `json:"message,omitempty"`
	// LastTransitionTime is the controller's own account. The service never orders by it.
	LastTransitionTime *time.Time `json:"lastTransitionTime,omitempty"`
}

// ReportError is why a controller could not do its work.
type ReportError struct {
	// ErrorType is Transient, System, Configuration or Fatal; anything else counts as Transient.
	ErrorType string `json:"error_type"`
	ErrorCode string `json:"error_code,omitempty"`
	Message   string `json:"message,omitempty"`
	// Details is any JSON value.
	Details        json.RawMessage `json:"details,omitempty"`
	UserActionable bool            `json:"user_actionable"`
	// RetryAfter is kept as the controller spelled it: a number of seconds or a duration.
	RetryAfter json.RawMessage `json:"retry_after,omitempty"`
	Timestamp  *time.Time      `json:"timestamp,omitempty"`
}

// ControllerStatus is a stored report, in answers.
type ControllerStatus struct {
	ClusterID string `json:"cluster_id"`
	// NodePoolID is the node pool that was reported on; absent when it is the cluster.
	NodePoolID         string              `json:"nodepool_id,omitempty"`
	ControllerName     string              `json:"controller_name"`
	ObservedGeneration int64               `json:"observed_generation"`
	Conditions         []ReportedCondition `json:"conditions"`
	Metadata           Object              `json:"metadata"`
	LastError          *ReportError        `json:"last_error,omitempty"`
	// LastUpdated is the database's time of the last report, heartbeats included
	// (to within 30 seconds).
	LastUpdated time.Time `json:"last_updated"`
}

// ReportResult is the answer to a report.
type ReportResult struct {
	Message   string `json:"message"`
	ClusterID string `json:"cluster_id"`
	// NodePoolID is the node pool that was reported on; absent when it is the cluster.
	NodePoolID         string `json:"nodepool_id,omitempty"`
	ControllerName     string `json:"controller_name"`
	ObservedGeneration int64  `json:"observed_generation"`
	// Applied is false when the report was not stored; Reason says why. That is no
	// failure: do not send it again.
	Applied bool   `json:"applied"`
	Reason  string `json:"reason,omitempty"`
}

// The reasons for which a report is answered without being stored.
const (
	// NotAppliedStale: a report of a newer generation of this controller is stored.
	NotAppliedStale = "stale_generation"
	// NotAppliedDeleted and NotAppliedNodePoolDeleted: the resource is deleted.
	NotAppliedDeleted         = "cluster_deleted"
	NotAppliedNodePoolDeleted = "nodepool_deleted"
	// NotAppliedRetired: the controller is retired; its reports count when it registers again.
	NotAppliedRetired = "controller_retired"
)
