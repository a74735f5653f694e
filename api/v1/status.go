package v1

import "time"

// ConditionStatus is the state of a condition, as in Kubernetes.
type ConditionStatus string

// The three states of a condition. No other value is accepted or answered.
const (
	ConditionTrue    ConditionStatus = "True"
	ConditionFalse   ConditionStatus = "False"
	ConditionUnknown ConditionStatus = "Unknown"
)

// Condition types. The service calculates Ready, Available, Progressing and Degraded, and Deleting
// while a deletion waits. Controllers report Available, Failed and Finalized; any other type of
// theirs is kept and shown.
const (
	ConditionReady       = "Ready"
	ConditionAvailable   = "Available"
	ConditionProgressing = "Progressing"
	ConditionDegraded    = "Degraded"
	ConditionDeleting    = "Deleting"
	ConditionFailed      = "Failed"
	ConditionFinalized   = "Finalized"
)

// Phase is the one-word summary of a status.
type Phase string

// The phases of a resource.
const (
	PhasePending     Phase = "Pending"
	PhaseProgressing Phase = "Progressing"
	PhaseReady       Phase = "Ready"
	PhaseFailed      Phase = "Failed"
	PhaseDeleting    Phase = "Deleting"
)

// Phases returns all phases, in the order of a cluster's life.
func Phases() []Phase {
	return []Phase{PhasePending, PhaseProgressing, PhaseReady, PhaseFailed, PhaseDeleting}
}

// Status is what all reports on a resource amount to.
type Status struct {
	// ObservedGeneration is the newest generation that every expected controller has
	// reported on; 0 while one of them is missing.
	ObservedGeneration int64  `json:"observedGeneration"`
	Phase              Phase  `json:"phase"`
	Reason             string `json:"reason"`
	Message            string `json:"message"`
	// Conditions always holds Ready, Available, Progressing and Degraded, and Deleting while a
	// deletion waits, with the name of everybody it waits for.
	Conditions []Condition `json:"conditions"`
	// LastUpdateTime is the database's time of the newest fact that the status rests on.
	LastUpdateTime time.Time `json:"lastUpdateTime"`
}

// Condition is one aspect of a status, after the Kubernetes API conventions.
type Condition struct {
	Type    string          `json:"type"`
	Status  ConditionStatus `json:"status"`
	Reason  string          `json:"reason"`
	Message string          `json:"message"`
	// LastTransitionTime moves when Status moves and at no other time.
	LastTransitionTime time.Time `json:"lastTransitionTime"`
	// ObservedGeneration is the generation that the condition was calculated for. Wait
	// on it together with Status: a Ready of an older generation says nothing of the new spec.
	ObservedGeneration int64 `json:"observedGeneration"`
}

// ClusterStatus is the answer to GET /clusters/{id}/status.
type ClusterStatus struct {
	ClusterID        string             `json:"cluster_id"`
	Generation       int64              `json:"generation"`
	Status           Status             `json:"status"`
	ControllerStatus []ControllerStatus `json:"controller_status"`
}
