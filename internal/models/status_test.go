package models

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// start is when the generation of the tests' resource begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// minute returns a moment of the tests' clock.
func minute(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }

// saying returns a report on a generation, stored at minute 1, with conditions written Type=Status.
func saying(name string, generation int64, conditions ...string) Report {
	r := Report{ControllerName: name, ObservedGeneration: generation}
	r.FirstAt, r.CountedAt, r.AvailableChangedAt = minute(1), minute(1), minute(1)
	for _, c := range conditions {
		kind, status, _ := strings.Cut(c, "=")
		r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: kind, Status: v1.ConditionStatus(status)})
	}
	return r
}

func (r Report) failing(errorType string) Report {
	r.LastError = &v1.ReportError{ErrorType: errorType}
	return r
}

// factsOf returns facts of generation 2 at minute 5, where dns, infra and net are expected.
func factsOf(reports ...Report) Facts {
	return Facts{
		Object:  Object{Generation: 2, GenerationStartedAt: start, Platform: "gcp"},
		Reports: reports, Expected: Expected{Names: []string{"dns", "infra", "net"}, ChangedAt: start},
		Now: minute(5), ProgressDeadline: 30 * time.Minute,
	}
}

func (f Facts) at(now time.Time) Facts { f.Now = now; return f }

func (f Facts) deleted(holders ...string) Facts {
	f.Object.DeletionTimestamp, f.Object.Holders = minute(4), holders
	return f
}

// up is a report that leaves nothing to wish for.
func up(name string) Report { return saying(name, 2, "Available=True") }

// phaseRows are the rows of the table of phases, and the borders between them.
var phaseRows = []struct {
	why     string
	facts   Facts
	phase   v1.Phase
	reason  string
	message string
}{
	{
		"a deletion stands above everything, a terminal error included",
		factsOf(up("dns"), up("infra"), saying("net", 2).failing(v1.ErrorFatal)).deleted("dns", "net"),
		v1.PhaseDeleting, ReasonWaitingForFinalizers, "waiting for dns, net since 2026-03-01T12:04:00Z",
	},
	{
		"a deletion that nobody holds up", factsOf().deleted(),
		v1.PhaseDeleting, ReasonWaitingForFinalizers, "being deleted; nobody is waited for",
	},
	{
		"a deletion knows no deadline", factsOf(saying("dns", 2)).deleted("dns").at(minute(600)),
		v1.PhaseDeleting, ReasonWaitingForFinalizers, "waiting for dns since 2026-03-01T12:04:00Z",
	},
	{
		"nobody has reported", factsOf(),
		v1.PhasePending, ReasonNoControllers, "no controller has reported yet; waiting for dns, infra, net (platform gcp)",
	},
	{
		"pending never times out", factsOf().at(minute(6000)),
		v1.PhasePending, ReasonNoControllers, "no controller has reported yet; waiting for dns, infra, net (platform gcp)",
	},
	{
		"a report of a controller that is not expected is no report", factsOf(up("stranger")),
		v1.PhasePending, ReasonNoControllers, "no controller has reported yet; waiting for dns, infra, net (platform gcp)",
	},
	{
		"a terminal error (Fatal)", factsOf(up("dns"), up("infra"), saying("net", 2, "Available=True").failing(v1.ErrorFatal)),
		v1.PhaseFailed, ReasonControllerFailed, "failed: net; 2 of 3 controllers ready; waiting for net",
	},
	{
		"a terminal error (Configuration) stands above one that is retried",
		factsOf(up("dns"), saying("infra", 2).failing(v1.ErrorSystem), saying("net", 2).failing(v1.ErrorConfiguration)),
		v1.PhaseFailed, ReasonControllerFailed, "failed: net; 1 of 3 controllers ready; waiting for infra, net",
	},
	{
		"Failed=True beside Available=True", factsOf(up("dns"), up("infra"), saying("net", 2, "Available=True", "Failed=True")),
		v1.PhaseFailed, ReasonControllerFailed, "failed: net; 2 of 3 controllers ready; waiting for net",
	},
	{
		"a controller's failure is named after the deadline too", factsOf(saying("net", 2, "Failed=True")).at(minute(600)),
		v1.PhaseFailed, ReasonControllerFailed, "failed: net; 0 of 3 controllers ready; waiting for dns, infra, net",
	},
	{
		"the failure of an older generation fails nothing", factsOf(up("dns"), up("infra"), saying("net", 1, "Failed=True").failing(v1.ErrorFatal)),
		v1.PhaseProgressing, ReasonPartialProgress, "2 of 3 controllers ready; waiting for net",
	},
	{
		"Failed=False and Failed=Unknown fail nothing", factsOf(up("dns"), saying("infra", 2, "Available=True", "Failed=False"), saying("net", 2, "Available=True", "Failed=Unknown")),
		v1.PhaseReady, ReasonAllControllersReady, "3 of 3 controllers ready",
	},
	{
		"all current, available, without error", factsOf(up("dns"), up("infra"), up("net")),
		v1.PhaseReady, ReasonAllControllersReady, "3 of 3 controllers ready",
	},
	{
		"Ready does not time out", factsOf(up("dns"), up("infra"), up("net")).at(minute(6000)),
		v1.PhaseReady, ReasonAllControllersReady, "3 of 3 controllers ready",
	},
	{
		"what a stranger says changes nothing", factsOf(up("dns"), up("infra"), up("net"), saying("stranger", 2).failing(v1.ErrorFatal)),
		v1.PhaseReady, ReasonAllControllersReady, "3 of 3 controllers ready",
	},
	{
		"one is behind", factsOf(up("dns"), up("infra"), saying("net", 1, "Available=True")),
		v1.PhaseProgressing, ReasonPartialProgress, "2 of 3 controllers ready; waiting for net",
	},
	{
		"one never reported", factsOf(up("dns"), up("infra")),
		v1.PhaseProgressing, ReasonPartialProgress, "2 of 3 controllers ready; waiting for net",
	},
	{
		"available, with an error that is retried", factsOf(up("dns"), up("infra"), saying("net", 2, "Available=True").failing(v1.ErrorTransient)),
		v1.PhaseProgressing, ReasonControllersWithErrors, "errors that will be retried: net; 2 of 3 controllers ready; waiting for net",
	},
	{
		"an unknown type of error counts as Transient", factsOf(saying("net", 2).failing("Gremlins")),
		v1.PhaseProgressing, ReasonControllersWithErrors, "errors that will be retried: net; 0 of 3 controllers ready; waiting for dns, infra, net",
	},
	{
		"an error of an older generation is not current", factsOf(saying("net", 1).failing(v1.ErrorSystem)),
		v1.PhaseProgressing, ReasonControllersProvisioning, "0 of 3 controllers ready; waiting for dns, infra, net",
	},
	{
		"a moment before the deadline (30 minutes after the last change of Available)",
		factsOf(saying("net", 2, "Available=False")).at(minute(31).Add(-1)),
		v1.PhaseProgressing, ReasonControllersProvisioning, "0 of 3 controllers ready; waiting for dns, infra, net",
	},
	{
		"at the deadline", factsOf(saying("net", 2, "Available=False")).at(minute(31)),
		v1.PhaseFailed, ReasonProgressDeadlineExceeded, "no progress within the deadline; 0 of 3 controllers ready; waiting for dns, infra, net",
	},
	{
		"an error that is retried does not hold up the deadline", factsOf(saying("net", 2).failing(v1.ErrorSystem)).at(minute(31)),
		v1.PhaseFailed, ReasonProgressDeadlineExceeded, "no progress within the deadline; 0 of 3 controllers ready; waiting for dns, infra, net",
	},
	{
		"reported, not available", factsOf(saying("dns", 2, "Available=False"), saying("infra", 2, "Available=Unknown"), saying("net", 2)),
		v1.PhaseProgressing, ReasonControllersProvisioning, "0 of 3 controllers ready; waiting for dns, infra, net",
	},
}

func TestAggregatePhases(t *testing.T) {
	t.Parallel()
	for _, row := range phaseRows {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			got := Aggregate(row.facts).Status
			want := []string{string(row.phase), row.reason, row.message}
			if diff := cmp.Diff(want, []string{string(got.Phase), got.Reason, got.Message}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAggregateConditions(t *testing.T) {
	t.Parallel()
	const aged = v1.ConditionFailed // a report's condition that no rule but Failed's reads
	for _, row := range []struct {
		why   string
		facts Facts
		want  []string // Ready, Available, Progressing, Degraded
	}{
		{
			"nobody has reported", factsOf(),
			[]string{"False NoControllers", "Unknown NoControllers", "False NoControllers", "False AsExpected"},
		},
		{
			"an expected one never reported", factsOf(up("dns"), up("infra")),
			[]string{"False PartialProgress", "Unknown ControllersNotReported", "True PartialProgress", "False AsExpected"},
		},
		{
			"one that is not available outweighs one that is absent", factsOf(up("dns"), saying("net", 2, "Available=Unknown")),
			[]string{"False PartialProgress", "False ControllersUnavailable", "True PartialProgress", "False AsExpected"},
		},
		{
			"a report without Available is not Available=True", factsOf(up("dns"), up("infra"), saying("net", 2, aged+"=False")),
			[]string{"False PartialProgress", "False ControllersUnavailable", "True PartialProgress", "False AsExpected"},
		},
		{
			"Available stays while a new spec rolls out",
			factsOf(saying("dns", 1, "Available=True"), saying("infra", 1, "Available=True"), saying("net", 1, "Available=True")),
			[]string{"False ControllersProvisioning", "True AllControllersAvailable", "True ControllersProvisioning", "False AsExpected"},
		},
		{
			"an error of an older generation degrades still",
			factsOf(up("dns"), up("infra"), saying("net", 1, "Available=True").failing(v1.ErrorTransient)),
			[]string{"False PartialProgress", "True AllControllersAvailable", "True PartialProgress", "True ControllersReportErrors"},
		},
		{
			"Failed=True alone is no error", factsOf(up("dns"), up("infra"), saying("net", 2, "Available=True", "Failed=True")),
			[]string{"False ControllerFailed", "True AllControllersAvailable", "False ControllerFailed", "False AsExpected"},
		},
		{
			"all is well", factsOf(up("dns"), up("infra"), up("net")),
			[]string{"True AllControllersReady", "True AllControllersAvailable", "False AllControllersReady", "False AsExpected"},
		},
		{
			"too late", factsOf(up("dns"), up("infra"), saying("net", 2, "Available=False")).at(minute(40)),
			[]string{"False ProgressDeadlineExceeded", "False ControllersUnavailable", "False ProgressDeadlineExceeded", "False AsExpected"},
		},
		{
			"a deletion is under way", factsOf(up("dns"), up("infra"), up("net")).deleted("dns"),
			[]string{
				"False WaitingForFinalizers", "True AllControllersAvailable", "True WaitingForFinalizers", "False AsExpected",
				"True WaitingForFinalizers",
			},
		},
		{
			"strangers degrade nothing", factsOf(up("dns"), up("infra"), up("net"), saying("stranger", 2, "Available=False").failing(v1.ErrorFatal)),
			[]string{"True AllControllersReady", "True AllControllersAvailable", "False AllControllersReady", "False AsExpected"},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			var types, got []string
			for _, c := range Aggregate(row.facts).Status.Conditions {
				types, got = append(types, c.Type), append(got, fmt.Sprint(c.Status, " ", c.Reason))
				if c.ObservedGeneration != 2 || c.Message == "" {
					t.Errorf("%s: generation %d (want 2), message %q (want one)", c.Type, c.ObservedGeneration, c.Message)
				}
			}
			wantTypes := []string{"Ready", "Available", "Progressing", "Degraded"}
			if !row.facts.Object.DeletionTimestamp.IsZero() {
				wantTypes = append(wantTypes, "Deleting")
			}
			if diff := cmp.Diff(wantTypes, types); diff != "" {
				t.Errorf("types, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestAggregateDeadline: the clock starts anew with the generation, with each change of
// an expected Available, and with a change of who is expected; with nothing else.
func TestAggregateDeadline(t *testing.T) {
	t.Parallel()
	waiting := func() Facts { return factsOf(up("dns"), up("infra"), saying("net", 2, "Available=False")) }
	for _, row := range []struct {
		why    string
		change func(*Facts)
		want   time.Time
	}{
		{"the last change of Available, at minute 1", func(*Facts) {}, minute(31)},
		{"a later generation", func(f *Facts) { f.Object.GenerationStartedAt = minute(3) }, minute(33)},
		{"a later change of Available", func(f *Facts) { f.Reports[1].AvailableChangedAt = minute(4) }, minute(34)},
		{"a later change of who is expected", func(f *Facts) { f.Expected.ChangedAt = minute(2) }, minute(32)},
		{"other news does not count", func(f *Facts) { f.Reports[2].CountedAt = minute(4) }, minute(31)},
		{"a stranger's Available does not count", func(f *Facts) {
			stranger := up("stranger")
			stranger.AvailableChangedAt = minute(4)
			f.Reports = append(f.Reports, stranger)
		}, minute(31)},
		{"Ready: never", func(f *Facts) { f.Reports[2] = up("net") }, time.Time{}},
		{"failed: never", func(f *Facts) { f.Reports[2] = up("net").failing(v1.ErrorFatal) }, time.Time{}},
		{"deleting: never", func(f *Facts) { *f = f.deleted("dns") }, time.Time{}},
		{"pending: never", func(f *Facts) { f.Reports = nil }, time.Time{}},
		{"once it has passed: never again", func(f *Facts) { f.Now = minute(50) }, time.Time{}},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			f := waiting()
			row.change(&f)
			if got := Aggregate(f).RecheckAt; !got.Equal(row.want) {
				t.Errorf("recheck at %v, want %v", got, row.want)
			}
		})
	}
}

// TestAggregateTransitionTimes: each condition names the time of the fact that turned it.
func TestAggregateTransitionTimes(t *testing.T) {
	t.Parallel()
	net := saying("net", 2, "Available=False")
	net.CountedAt = minute(7)
	f := factsOf(up("dns"), up("infra"), net).at(minute(200))
	f.Previous = []v1.Condition{
		{Type: v1.ConditionReady, Status: v1.ConditionFalse, LastTransitionTime: minute(-5)},
		{Type: v1.ConditionAvailable, Status: v1.ConditionTrue, LastTransitionTime: minute(-6)},
		{Type: v1.ConditionProgressing, Status: v1.ConditionTrue, LastTransitionTime: minute(-7)},
	}
	want := map[string]time.Time{
		v1.ConditionReady:       minute(-5), // stands
		v1.ConditionAvailable:   minute(7),  // fell with the report that counted
		v1.ConditionProgressing: minute(31), // ended at the deadline
		v1.ConditionDegraded:    minute(7),  // is new
	}
	got := map[string]time.Time{}
	status := Aggregate(f).Status
	for _, c := range status.Conditions {
		got[c.Type] = c.LastTransitionTime
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !status.LastUpdateTime.Equal(minute(31)) {
		t.Errorf("last update at %v, want the deadline, the newest fact", status.LastUpdateTime)
	}
}

// TestAggregateMessagesAreBounded: 1,000 controllers, and names of the greatest length.
func TestAggregateMessagesAreBounded(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why         string
		name        string
		most        int // characters
		finishedToo string
	}{
		{"names as people give them", "platform-controller-%04d", 700, ""},
		{"the longest names", strings.Repeat("\u9577", 251) + "%04d", 1200, "\u9577…"},
	} {
		for _, errorType := range []string{"", v1.ErrorTransient, v1.ErrorFatal} {
			t.Run(row.why+" "+errorType, func(t *testing.T) {
				t.Parallel()
				f := factsOf()
				f.Expected.Names = nil
				for i := range 1000 {
					name := fmt.Sprintf(row.name, i)
					f.Expected.Names = append(f.Expected.Names, name)
					f.Object.Holders = append(f.Object.Holders, name)
					r := saying(name, 2, "Available=False")
					if errorType != "" {
						r = r.failing(errorType)
					}
					f.Reports = append(f.Reports, r)
				}
				for _, f := range []Facts{f, f.at(minute(500)), f.deleted(f.Object.Holders...)} {
					status := Aggregate(f).Status
					messages := []string{status.Message}
					for _, c := range status.Conditions {
						if c.Type != v1.ConditionDeleting { // which names everybody
							messages = append(messages, c.Message)
						}
					}
					for _, m := range messages {
						if n := len([]rune(m)); n > row.most {
							t.Errorf("%d characters, want at most %d: %s", n, row.most, m)
						}
					}
					if !strings.Contains(status.Message, "and 992 more") || !strings.Contains(status.Message, row.finishedToo) {
						t.Errorf("%q: want eight names and how many more", status.Message)
					}
				}
			})
		}
	}
}

func TestExpectedFrom(t *testing.T) {
	t.Parallel()
	late := up("dns")
	late.FirstAt, late.CountedAt = minute(3), minute(8)
	got := (Registry{}).Expected(Object{}, []Report{up("net"), late}, time.Time{})
	want := Expected{Names: []string{"dns", "net"}, ChangedAt: minute(3)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("whoever has reported, since the last of them joined: -want +got:\n%s", diff)
	}
	if got := (Registry{}).Expected(Object{}, nil, time.Time{}); got.Names != nil || !got.ChangedAt.IsZero() {
		t.Errorf("nobody reported: %+v", got)
	}
	// Without registrations the first reporter alone makes generation 1 ready; then everybody is waited for.
	f := factsOf(up("dns"))
	f.Expected = (Registry{}).Expected(Object{}, f.Reports, time.Time{})
	if got := Aggregate(f).Status.Phase; got != v1.PhaseReady {
		t.Errorf("the only reporter is available: %s, want Ready", got)
	}
	f.Reports = append(f.Reports, saying("net", 2))
	f.Expected = (Registry{}).Expected(Object{}, f.Reports, time.Time{})
	if got := Aggregate(f).Status; got.Phase != v1.PhaseProgressing || got.Message != "1 of 2 controllers ready; waiting for net" {
		t.Errorf("a second one joined: %s, %s", got.Phase, got.Message)
	}
}

func TestAggregateLeavesItsFactsAlone(t *testing.T) {
	t.Parallel()
	build := func() Facts {
		f := factsOf(up("net"), saying("dns", 1).failing(v1.ErrorFatal), up("infra"))
		f.Previous = Aggregate(factsOf()).Status.Conditions
		return f
	}
	f := build()
	out := Aggregate(f)
	slices.Reverse(out.Status.Conditions)
	if diff := cmp.Diff(build(), f); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}
