package models

import (
	"slices"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// tally is the reports of the expected controllers, counted. Names are in order.
type tally struct {
	expected []string
	reported []string // have reported at all
	ready    []string // current, available and without error
	waiting  []string // expected and not ready
	failed   []string // current, with a terminal error or Failed=True
	erring   []string // current, with an error that will be retried
	degraded []string // the latest report, of whatever generation, has an error
	absent   []string // never reported
	down     []string // the latest report is not Available=True

	lowest   int64     // the lowest generation observed by those who reported
	lastFact time.Time // the newest fact of all
	since    time.Time // when the progress deadline began to count
}

func newTally(f Facts) *tally {
	began := later(f.Object.GenerationStartedAt, f.Expected.ChangedAt)
	t := &tally{expected: f.Expected.Names, lastFact: later(began, f.Object.DeletionTimestamp), since: began}
	reports := make(map[string]Report, len(f.Reports))
	for _, r := range f.Reports {
		reports[r.ControllerName] = r
	}
	for _, name := range t.expected {
		r, ok := reports[name]
		if !ok {
			t.absent = append(t.absent, name)
			t.waiting = append(t.waiting, name)
			continue
		}
		t.add(r, r.ObservedGeneration == f.Object.Generation)
	}
	return t
}

// add counts one report; current says that it is of the resource's own generation.
func (t *tally) add(r Report, current bool) {
	name := r.ControllerName
	available := conditionStatus(r.Conditions, v1.ConditionAvailable) == v1.ConditionTrue
	failing := r.LastError != nil
	terminal := failing && IsTerminal(r.LastError.ErrorType) ||
		conditionStatus(r.Conditions, v1.ConditionFailed) == v1.ConditionTrue

	if len(t.reported) == 0 || r.ObservedGeneration < t.lowest {
		t.lowest = r.ObservedGeneration
	}
	t.reported = append(t.reported, name)
	ready := current && available && !failing && !terminal
	appendIf(&t.ready, name, ready)
	appendIf(&t.waiting, name, !ready)
	appendIf(&t.failed, name, current && terminal)
	appendIf(&t.erring, name, current && failing && !terminal)
	appendIf(&t.degraded, name, failing)
	appendIf(&t.down, name, !available)

	t.lastFact = later(t.lastFact, r.CountedAt)
	t.since = later(t.since, r.AvailableChangedAt)
}

func appendIf(list *[]string, name string, when bool) {
	if when {
		*list = append(*list, name)
	}
}

// observedGeneration is 0 until every expected controller has reported.
func (t *tally) observedGeneration() int64 {
	if len(t.absent) > 0 {
		return 0
	}
	return t.lowest
}

func (t *tally) deadline(f Facts) time.Time { return t.since.Add(f.ProgressDeadline) }

// IsTerminal reports whether an error of this type will not go away by being retried.
// An unknown type counts as Transient.
func IsTerminal(errorType string) bool {
	return errorType == v1.ErrorFatal || errorType == v1.ErrorConfiguration
}

// conditionStatus returns the status of a reported condition, "" when it was not reported.
func conditionStatus(conditions []v1.ReportedCondition, conditionType string) v1.ConditionStatus {
	at := slices.IndexFunc(conditions, func(c v1.ReportedCondition) bool { return c.Type == conditionType })
	if at < 0 {
		return ""
	}
	return conditions[at].Status
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
