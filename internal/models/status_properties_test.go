package models

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

var (
	statuses   = []v1.ConditionStatus{v1.ConditionTrue, v1.ConditionFalse, v1.ConditionUnknown}
	errorTypes = []string{v1.ErrorTransient, v1.ErrorSystem, v1.ErrorConfiguration, v1.ErrorFatal, "Gremlins"}
)

// drawFacts draws facts of up to seven controllers, two of whom are never expected. Good
// reports are likelier than bad ones, so that every phase is met often.
func drawFacts(t *rapid.T) Facts {
	within := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Minute
	}
	f := Facts{
		Object:           Object{Generation: rapid.Int64Range(1, 3).Draw(t, "generation"), GenerationStartedAt: start.Add(within("start", 20))},
		Expected:         Expected{ChangedAt: start.Add(within("joined", 40))},
		Now:              start.Add(within("now", 180)),
		ProgressDeadline: 30 * time.Minute,
	}
	if rapid.IntRange(0, 9).Draw(t, "deleted") == 0 {
		f.Object.DeletionTimestamp, f.Object.Holders = start.Add(within("deletion", 90)), []string{"c0"}
	}
	healthy := rapid.IntRange(0, 2).Draw(t, "health") > 0
	for i := range rapid.IntRange(0, 7).Draw(t, "controllers") {
		name := fmt.Sprintf("c%d", i)
		if i < 5 {
			f.Expected.Names = append(f.Expected.Names, name)
		}
		if healthy || rapid.Bool().Draw(t, "reports") {
			f.Reports = append(f.Reports, drawReport(t, name, f.Object.Generation, healthy))
		}
	}
	f.Previous = drawPrevious(t)
	return f
}

func drawReport(t *rapid.T, name string, generation int64, healthy bool) Report {
	r := Report{ControllerName: name, ObservedGeneration: generation}
	ill := func(what string) bool {
		return rapid.IntRange(0, 9).Draw(t, what) == 0 || !healthy && rapid.Bool().Draw(t, what)
	}
	if ill("behind") {
		r.ObservedGeneration = rapid.Int64Range(0, generation).Draw(t, "observed")
	}
	available := v1.ConditionTrue
	if ill("unavailable") {
		available = rapid.SampledFrom(statuses).Draw(t, "available")
	}
	r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: v1.ConditionAvailable, Status: available})
	if ill("failed") {
		r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: v1.ConditionFailed, Status: rapid.SampledFrom(statuses).Draw(t, "failed")})
	}
	if ill("error") {
		r.LastError = &v1.ReportError{ErrorType: rapid.SampledFrom(errorTypes).Draw(t, "type")}
	}
	step := func() time.Duration { return time.Duration(rapid.IntRange(0, 30).Draw(t, "step")) * time.Minute }
	r.FirstAt = start.Add(step())
	r.AvailableChangedAt = r.FirstAt.Add(step())
	r.CountedAt = r.AvailableChangedAt.Add(step())
	return r
}

// drawPrevious draws conditions that turned before every fact, so that a transition shows.
func drawPrevious(t *rapid.T) []v1.Condition {
	var list []v1.Condition
	for i, kind := range []string{v1.ConditionReady, v1.ConditionAvailable, v1.ConditionProgressing, v1.ConditionDegraded} {
		if rapid.IntRange(0, 3).Draw(t, "known") > 0 {
			list = append(list, v1.Condition{
				Type: kind, Status: rapid.SampledFrom(statuses).Draw(t, "was"), LastTransitionTime: minute(-60 - i),
			})
		}
	}
	return list
}

// expectedReports returns the reports that count, and whether everybody expected has one.
func expectedReports(f Facts) (reports []Report, complete bool) {
	for _, r := range f.Reports {
		if slices.Contains(f.Expected.Names, r.ControllerName) {
			reports = append(reports, r)
		}
	}
	return reports, len(reports) == len(f.Expected.Names)
}

func holds(r Report, kind string, status v1.ConditionStatus) bool {
	return slices.ContainsFunc(r.Conditions, func(c v1.ReportedCondition) bool { return c.Type == kind && c.Status == status })
}

// naivePhase reads the table of phases aloud.
func naivePhase(f Facts) (phase v1.Phase, reason string) {
	reports, complete := expectedReports(f)
	current := slices.DeleteFunc(slices.Clone(reports), func(r Report) bool { return r.ObservedGeneration != f.Object.Generation })
	terminal := func(r Report) bool {
		return holds(r, "Failed", "True") || r.LastError != nil && (r.LastError.ErrorType == "Fatal" || r.LastError.ErrorType == "Configuration")
	}
	isReady := func(r Report) bool { return holds(r, "Available", "True") && r.LastError == nil && !terminal(r) }
	ready := slices.DeleteFunc(slices.Clone(current), func(r Report) bool { return !isReady(r) })
	since := []time.Time{f.Object.GenerationStartedAt, f.Expected.ChangedAt}
	for _, r := range reports {
		since = append(since, r.AvailableChangedAt)
	}
	waited := f.Now.Sub(slices.MaxFunc(since, time.Time.Compare))
	switch {
	case !f.Object.DeletionTimestamp.IsZero():
		return v1.PhaseDeleting, "WaitingForFinalizers"
	case len(reports) == 0:
		return v1.PhasePending, "NoControllers"
	case slices.ContainsFunc(current, terminal):
		return v1.PhaseFailed, "ControllerFailed"
	case complete && len(ready) == len(reports):
		return v1.PhaseReady, "AllControllersReady"
	case waited >= f.ProgressDeadline:
		return v1.PhaseFailed, "ProgressDeadlineExceeded"
	case slices.ContainsFunc(current, func(r Report) bool { return r.LastError != nil }):
		return v1.PhaseProgressing, "ControllersWithErrors"
	case len(ready) > 0:
		return v1.PhaseProgressing, "PartialProgress"
	}
	return v1.PhaseProgressing, "ControllersProvisioning"
}

// TestAggregateProperties holds the promises of the rule against random facts.
func TestAggregateProperties(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func(*rapid.T, Facts, Outcome){
		"the phase is that of the table":                        phaseIsOfTheTable,
		"the order of reports changes nothing":                  orderChangesNothing,
		"the same facts give the same answer":                   sameFactsSameAnswer,
		"never Ready while somebody is missing, behind or ill":  neverReadyTooEarly,
		"a transition time moves with the status and only then": transitionsOnly,
		"its own outcome as Previous is a fixed point":          fixedPoint,
		"time alone changes it at RecheckAt and at no other":    recheckIsTheOnlyTime,
		"the observed generation is the lowest":                 observedIsLowest,
		"the last update is the newest fact":                    updateIsNewestFact,
		"strangers' reports count for nothing":                  strangersCountForNothing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				f := drawFacts(t)
				check(t, f, Aggregate(f))
			})
		})
	}
}

func phaseIsOfTheTable(t *rapid.T, f Facts, out Outcome) {
	phase, reason := naivePhase(f)
	if out.Status.Phase != phase || out.Status.Reason != reason {
		t.Fatalf("%s/%s, the table says %s/%s", out.Status.Phase, out.Status.Reason, phase, reason)
	}
}

func same(t *rapid.T, want, got Outcome) {
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func orderChangesNothing(t *rapid.T, f Facts, out Outcome) {
	f.Reports = rapid.Permutation(f.Reports).Draw(t, "order")
	f.Previous = rapid.Permutation(f.Previous).Draw(t, "order of conditions")
	same(t, out, Aggregate(f))
}

func sameFactsSameAnswer(t *rapid.T, f Facts, out Outcome) { same(t, out, Aggregate(f)) }

func neverReadyTooEarly(t *rapid.T, f Facts, out Outcome) {
	reports, complete := expectedReports(f)
	if out.Status.Phase != v1.PhaseReady {
		return
	}
	if !complete {
		t.Fatal("Ready, and an expected controller has never reported")
	}
	for _, r := range reports {
		if r.ObservedGeneration != f.Object.Generation || r.LastError != nil || !holds(r, v1.ConditionAvailable, v1.ConditionTrue) {
			t.Fatalf("Ready in spite of %+v", r)
		}
	}
}

func transitionsOnly(t *rapid.T, f Facts, out Outcome) {
	for _, c := range out.Status.Conditions {
		at := slices.IndexFunc(f.Previous, func(p v1.Condition) bool { return p.Type == c.Type })
		stood := at >= 0 && f.Previous[at].Status == c.Status
		if stood != c.LastTransitionTime.Before(start) {
			t.Fatalf("%s %s: transition at %v; stood before: %v", c.Type, c.Status, c.LastTransitionTime, stood)
		}
	}
}

func fixedPoint(t *rapid.T, f Facts, out Outcome) {
	f.Previous = out.Status.Conditions
	same(t, out, Aggregate(f))
}

func recheckIsTheOnlyTime(t *rapid.T, f Facts, out Outcome) {
	later := f.at(f.Now.Add(time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "later"))))
	if out.RecheckAt.IsZero() {
		same(t, out, Aggregate(later))
		return
	}
	if !out.RecheckAt.After(f.Now) {
		t.Fatalf("recheck at %v is not after now, %v", out.RecheckAt, f.Now)
	}
	same(t, out, Aggregate(f.at(out.RecheckAt.Add(-1))))
	if later.Now.Before(out.RecheckAt) {
		same(t, out, Aggregate(later))
		later.Now = out.RecheckAt
	}
	failed := Aggregate(later)
	if failed.Status.Phase != v1.PhaseFailed || failed.Status.Reason != ReasonProgressDeadlineExceeded {
		t.Fatalf("%s/%s after the deadline", failed.Status.Phase, failed.Status.Reason)
	}
	same(t, Aggregate(f.at(out.RecheckAt)), failed)
}

func observedIsLowest(t *rapid.T, f Facts, out Outcome) {
	reports, complete := expectedReports(f)
	want := int64(0)
	if complete && len(reports) > 0 {
		want = slices.MinFunc(reports, func(a, b Report) int { return int(a.ObservedGeneration - b.ObservedGeneration) }).ObservedGeneration
	}
	if out.Status.ObservedGeneration != want {
		t.Fatalf("observed generation %d, want %d", out.Status.ObservedGeneration, want)
	}
}

func updateIsNewestFact(t *rapid.T, f Facts, out Outcome) {
	reports, _ := expectedReports(f)
	facts := []time.Time{f.Object.GenerationStartedAt, f.Expected.ChangedAt, f.Object.DeletionTimestamp}
	deadline := later(f.Object.GenerationStartedAt, f.Expected.ChangedAt)
	for _, r := range reports {
		facts = append(facts, r.CountedAt)
		deadline = later(deadline, r.AvailableChangedAt)
	}
	if out.Status.Reason == ReasonProgressDeadlineExceeded {
		facts = append(facts, deadline.Add(f.ProgressDeadline))
	}
	if want := slices.MaxFunc(facts, time.Time.Compare); !out.Status.LastUpdateTime.Equal(want) {
		t.Fatalf("last update %v, want %v", out.Status.LastUpdateTime, want)
	}
}

func strangersCountForNothing(t *rapid.T, f Facts, out Outcome) {
	f.Reports, _ = expectedReports(f)
	same(t, out, Aggregate(f))
}
