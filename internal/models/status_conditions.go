package models

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// The reasons of conditions other than Ready, which carries the reason of its phase.
const (
	ReasonAllAvailable         = "AllControllersAvailable"
	ReasonSomeUnavailable      = "ControllersUnavailable"
	ReasonNotReported          = "ControllersNotReported"
	ReasonAsExpected           = "AsExpected"
	ReasonControllersReporting = "ControllersReportErrors"
)

// conditions calculates the four conditions, and a fifth while a deletion waits. A condition whose status differs from its
// previous one, or that is new, moved with the last report or change; Ready and
// Progressing, which go with the phase, at the given time, that may be a deadline.
func conditions(f Facts, t *tally, v verdict, phaseMoved time.Time) []v1.Condition {
	list := []v1.Condition{
		ready(v),
		available(f, t),
		progressing(v),
		degraded(t),
	}
	if !f.Object.DeletionTimestamp.IsZero() {
		list = append(list, deleting(f.Object))
	}
	for i := range list {
		c := &list[i]
		c.ObservedGeneration = f.Object.Generation
		c.LastTransitionTime = t.lastFact
		switch c.Type {
		case v1.ConditionReady, v1.ConditionProgressing:
			c.LastTransitionTime = phaseMoved
		case v1.ConditionDeleting:
			c.LastTransitionTime = f.Object.DeletionTimestamp
		}
		before := slices.IndexFunc(f.Previous, func(p v1.Condition) bool { return p.Type == c.Type })
		if before >= 0 && f.Previous[before].Status == c.Status {
			c.LastTransitionTime = f.Previous[before].LastTransitionTime
		}
	}
	return list
}

func ready(v verdict) v1.Condition {
	return v1.Condition{
		Type: v1.ConditionReady, Status: statusOf(v.phase == v1.PhaseReady), Reason: v.reason, Message: v.message,
	}
}

// available looks at the latest report of each expected controller, of whatever
// generation, so that it stays True while a new spec rolls out.
func available(f Facts, t *tally) v1.Condition {
	c := v1.Condition{Type: v1.ConditionAvailable}
	switch {
	case len(t.down) > 0:
		c.Status, c.Reason = v1.ConditionFalse, ReasonSomeUnavailable
		c.Message = "not available: " + names(t.down)
	case len(t.reported) == 0:
		c.Status, c.Reason = v1.ConditionUnknown, ReasonNoControllers
		c.Message = pendingMessage(f)
	case len(t.absent) > 0:
		c.Status, c.Reason = v1.ConditionUnknown, ReasonNotReported
		c.Message = "not reported yet: " + names(t.absent)
	default:
		c.Status, c.Reason = v1.ConditionTrue, ReasonAllAvailable
		c.Message = controllers(len(t.expected)) + " available"
	}
	return c
}

func progressing(v verdict) v1.Condition {
	under := v.phase == v1.PhaseProgressing || v.phase == v1.PhaseDeleting
	return v1.Condition{
		Type: v1.ConditionProgressing, Status: statusOf(under), Reason: v.reason, Message: v.message,
	}
}

func degraded(t *tally) v1.Condition {
	if len(t.degraded) == 0 {
		return v1.Condition{
			Type: v1.ConditionDegraded, Status: v1.ConditionFalse, Reason: ReasonAsExpected, Message: "no controller reports an error",
		}
	}
	return v1.Condition{
		Type: v1.ConditionDegraded, Status: v1.ConditionTrue, Reason: ReasonControllersReporting,
		Message: "errors reported by " + names(t.degraded),
	}
}

// deleting names everybody whom the deletion waits for, however many.
func deleting(o Object) v1.Condition {
	return v1.Condition{
		Type: v1.ConditionDeleting, Status: v1.ConditionTrue, Reason: ReasonWaitingForFinalizers,
		Message: deletingMessage(o, strings.Join(o.Holders, ", ")),
	}
}

func statusOf(yes bool) v1.ConditionStatus {
	if yes {
		return v1.ConditionTrue
	}
	return v1.ConditionFalse
}

// progress is the sentence that every message ends with: "2 of 3 controllers ready; waiting for dns".
func (t *tally) progress() string {
	s := fmt.Sprintf("%d of %s ready", len(t.ready), controllers(len(t.expected)))
	if len(t.waiting) > 0 {
		s += "; waiting for " + names(t.waiting)
	}
	return s
}

func pendingMessage(f Facts) string {
	s := "no controller has reported yet"
	if len(f.Expected.Names) > 0 {
		s += "; waiting for " + names(f.Expected.Names)
	}
	if f.Object.Platform != "" {
		s += fmt.Sprintf(" (platform %s)", f.Object.Platform)
	}
	return s
}

// deletingMessage says what a deletion waits for, and since when; holders are those of the object.
func deletingMessage(o Object, holders string) string {
	waited := waitedFor(o.Pools, holders)
	if waited == "" {
		return "being deleted; nobody is waited for"
	}
	return fmt.Sprintf("waiting for %s since %s", waited, moment(o.DeletionTimestamp))
}

func controllers(n int) string {
	if n == 1 {
		return "1 controller"
	}
	return fmt.Sprintf("%d controllers", n)
}

// maxNames and maxName bound a message: how many names it spells out, and how much of each.
const (
	maxNames = 8
	maxName  = 63
)

// names lists names, the longest lists and names shortened.
func names(all []string) string {
	shown := all[:min(len(all), maxNames)]
	parts := make([]string, len(shown))
	for i, name := range shown {
		parts[i] = shorten(name, maxName)
	}
	s := strings.Join(parts, ", ")
	if more := len(all) - len(shown); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// shorten cuts a text to at most limit characters, the last of them an ellipsis.
func shorten(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return string(runes[:limit-1]) + "…"
}
