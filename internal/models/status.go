package models

import (
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Facts is all that a status depends on.
type Facts struct {
	Object   Object
	Reports  []Report
	Expected Expected
	// Previous are the conditions last calculated; they keep their transition times.
	Previous []v1.Condition
	// Now is the database's time.
	Now time.Time
	// ProgressDeadline is how long a resource may be under way before it counts as failed.
	ProgressDeadline time.Duration
}

// Object is what a status needs to know of the resource itself.
type Object struct {
	Kind       Kind
	Generation int64
	// GenerationStartedAt is the time of the creation or of the last change of the spec.
	GenerationStartedAt time.Time
	// DeletionTimestamp is zero for a living resource.
	DeletionTimestamp time.Time
	// Platform is in lower case, "" when the spec names none.
	Platform string
	// Holders are the controllers that the deletion still waits for.
	Holders []string
	// Pools says that the deletion of a cluster still waits for its node pools.
	Pools bool
}

// Expected is who must have reported for a resource to be Ready.
type Expected struct {
	Names []string
	// ChangedAt is when Names last changed; zero for never.
	ChangedAt time.Time
}

// Report is a stored report, with the times that the database gave to its facts.
type Report struct {
	ControllerName     string
	ObservedGeneration int64
	Conditions         []v1.ReportedCondition
	LastError          *v1.ReportError
	// FirstAt is the time of the controller's first report on the resource.
	FirstAt time.Time
	// CountedAt is the time of the last report that differed in what a status depends on:
	// the observed generation, the Available and Failed conditions' statuses, the error's type.
	CountedAt time.Time
	// AvailableChangedAt is the time at which the status of its Available condition last changed.
	AvailableChangedAt time.Time
}

// Outcome is a calculated status, and when time alone will change it.
type Outcome struct {
	Status v1.Status
	// RecheckAt is the deadline after which the same facts give another status; zero for never.
	RecheckAt time.Time
}

// The reasons of phases; the Ready condition carries the same one.
const (
	ReasonWaitingForFinalizers     = "WaitingForFinalizers"
	ReasonNoControllers            = "NoControllers"
	ReasonControllerFailed         = "ControllerFailed"
	ReasonAllControllersReady      = "AllControllersReady"
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	ReasonControllersWithErrors    = "ControllersWithErrors"
	ReasonPartialProgress          = "PartialProgress"
	ReasonControllersProvisioning  = "ControllersProvisioning"
)

// Aggregate calculates the status of a resource. It is a pure function, the same for
// every kind: the same facts give the same phase, reason, message and condition statuses
// whenever and however often it is called. Only the transition times depend on
// [Facts].Previous: a condition whose status stands keeps its time.
//
// Reports of controllers that are not expected count for nothing.
func Aggregate(f Facts) Outcome {
	t := newTally(f)
	deadline := t.deadline(f)
	v := t.verdict(f, deadline)

	status := v1.Status{
		ObservedGeneration: t.observedGeneration(),
		Phase:              v.phase,
		Reason:             v.reason,
		Message:            v.message,
		LastUpdateTime:     t.lastFact,
	}
	if v.reason == ReasonProgressDeadlineExceeded {
		status.LastUpdateTime = later(status.LastUpdateTime, deadline)
	}
	status.Conditions = conditions(f, t, v, status.LastUpdateTime)

	var recheck time.Time
	if v.phase == v1.PhaseProgressing {
		recheck = deadline
	}
	return Outcome{Status: status, RecheckAt: recheck}
}

// verdict is a row of the table of phases.
type verdict struct {
	phase   v1.Phase
	reason  string
	message string
}

// verdict goes through the table of phases from the top.
func (t *tally) verdict(f Facts, deadline time.Time) verdict {
	switch {
	case !f.Object.DeletionTimestamp.IsZero():
		return verdict{v1.PhaseDeleting, ReasonWaitingForFinalizers, deletingMessage(f.Object, names(f.Object.Holders))}
	case len(t.reported) == 0:
		return verdict{v1.PhasePending, ReasonNoControllers, pendingMessage(f)}
	case len(t.failed) > 0:
		return verdict{v1.PhaseFailed, ReasonControllerFailed, "failed: " + names(t.failed) + "; " + t.progress()}
	case len(t.ready) == len(t.expected):
		return verdict{v1.PhaseReady, ReasonAllControllersReady, t.progress()}
	case !f.Now.Before(deadline):
		return verdict{v1.PhaseFailed, ReasonProgressDeadlineExceeded, "no progress within the deadline; " + t.progress()}
	case len(t.erring) > 0:
		return verdict{v1.PhaseProgressing, ReasonControllersWithErrors, "errors that will be retried: " + names(t.erring) + "; " + t.progress()}
	case len(t.ready) > 0:
		return verdict{v1.PhaseProgressing, ReasonPartialProgress, t.progress()}
	default:
		return verdict{v1.PhaseProgressing, ReasonControllersProvisioning, t.progress()}
	}
}
