// Package checker judges a run under faults by what it has on record, and by nothing else.
//
// What it concludes holds whatever the clients' clocks missed. A call took effect, if it did, at some moment after its
// start, and at the latest by its answer; so of two calls that overlap it is not known which came first. A call that
// was not answered, or with a failure of the service's own, may have taken effect, then or later, or not at all: it
// excuses what it may have caused, and proves nothing.
package checker

import (
	"slices"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

// Invariant is one of the things that hold whatever fails. Their numbers are those of the plan.
type Invariant int

// The invariants. [Result.Promise] says each in a sentence.
const (
	Acknowledged Invariant = iota + 1
	Delivered
	Ordered
	Identified
	OneWinner
	Observed
	ReadyIsTrue
	Confirmed
	Caused
	Released
	Recovered
)

// rule is an invariant with its judge, which adds what it examines and finds to the result.
type rule struct {
	invariant Invariant
	promise   string
	judge     func(*index, *Result)
}

func rules() []rule {
	return []rule{
		{Acknowledged, "What was answered with success is in the database.", acknowledged},
		{Delivered, "Every committed change has reached a subscriber.", delivered},
		{Ordered, "The changes of a resource are first published in the order of their commits.", ordered},
		{Identified, "A change has one event, and a duplicate of that has the same id and body.", identified},
		{OneWinner, "An ETag lets one change through, and an Idempotency-Key makes one resource.", oneWinner},
		{Observed, "The generation that a controller has observed never goes back.", observed},
		{ReadyIsTrue, "Nothing is Ready while a controller that is waited for is missing or behind.", readyIsTrue},
		{Confirmed, "Nothing is gone before all have let go that its deletion waits for.", confirmed},
		{Caused, "No event is delivered without the change that it tells of.", caused},
		{Released, "No goroutine, connection or lock is left behind.", released},
		{Recovered, "Two intervals after a fault everything is as declared.", recovered},
	}
}

// Check judges a run. What is excepted does not apply in it: it is not looked at, and the report says so. The history
// is not changed.
func Check(h history.History, except ...Invariant) Report {
	x := newIndex(h)
	var report Report
	for _, rule := range rules() {
		r := Result{Invariant: rule.invariant, Promise: rule.promise}
		if !slices.Contains(except, rule.invariant) {
			rule.judge(x, &r)
			r.Runs = 1
			if r.Examined == 0 {
				r.Idle = 1
			}
		}
		report.Results = append(report.Results, r)
	}
	return report
}
