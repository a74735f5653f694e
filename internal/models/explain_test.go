package models

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// aCluster is the cluster that is explained, which is due at minute 6.
func aCluster() (Ref, Place) {
	return Ref{KindCluster, "the-cluster", "the-cluster"}, Place{Due: minute(6), Enabled: true}
}

// words gives a report's conditions a message, and its error too.
func (r Report) words(text string) Report {
	for i := range r.Conditions {
		r.Conditions[i].Message = text
	}
	if r.LastError != nil {
		r.LastError.Message = text
	}
	return r
}

func (f Facts) of(kind Kind) Facts { f.Object.Kind = kind; return f }

// expecting replaces who is expected.
func (f Facts) expecting(names ...string) Facts { f.Expected.Names = names; return f }

// waited is a controller that is waited for since a minute.
func waited(name, why, message string, since int) v1.WaitedFor {
	at := minute(since)
	return v1.WaitedFor{ControllerName: name, Why: why, Message: message, Since: &at}
}

const inAttention = "The next event, cluster.reconcile, is due at 2026-03-01T12:06:00Z in the attention lane."

// explainRow is a story: of what was reported, what is told.
type explainRow struct {
	why       string
	facts     Facts
	place     func(*Place)
	reason    string
	waiting   []v1.WaitedFor
	next      string // the event and its lane; "" for none
	sentences []string
}

func explainRows() []explainRow {
	same := func(*Place) {}
	deadline := "Without progress it counts as Failed from 2026-03-01T12:31:00Z on."
	return []explainRow{
		{
			"nobody has reported, and nobody has to", factsOf().expecting(), same, ReasonNoControllers, nil, "cluster.reconcile attention",
			[]string{
				"The cluster is Pending: no controller has reported on it yet.", "No controller is registered for any cluster.",
				"None is required for it, so it waits for whichever reports first.", inAttention,
			},
		},
		{
			"nobody has reported, and one has to", factsOf().expecting("dns"), same, ReasonNoControllers,
			[]v1.WaitedFor{waited("dns", v1.WaitNeverReported, "", 0)},
			"cluster.reconcile attention",
			[]string{
				"The cluster is Pending: no controller has reported on it yet.",
				"dns is required, and has not reported; it has been waited for since 2026-03-01T12:00:00Z.", inAttention,
			},
		},
		{
			"one of three is behind", factsOf(up("dns"), up("infra"), saying("net", 1, "Available=True").words("all up")), same, ReasonPartialProgress,
			[]v1.WaitedFor{waited("net", v1.WaitBehindGeneration, "all up", 0)},
			"cluster.reconcile attention",
			[]string{
				"The cluster is Progressing at generation 2: 2 of 3 controllers ready; waiting for net.",
				`net has not reported on generation 2, which began at 2026-03-01T12:00:00Z; its report is of generation 1; it says "all up".`,
				deadline, inAttention,
			},
		},
		{
			"one is not available, on two lines", factsOf(up("dns"), up("infra"), saying("net", 2, "Available=False").words("no route\nto \"it\"")), same,
			ReasonPartialProgress,
			[]v1.WaitedFor{waited("net", v1.WaitNotAvailable, "no route\nto \"it\"", 1)},
			"cluster.reconcile attention",
			[]string{
				"The cluster is Progressing at generation 2: 2 of 3 controllers ready; waiting for net.",
				`net has not been available since 2026-03-01T12:01:00Z; it says "no route\nto \"it\"".`, deadline, inAttention,
			},
		},
		{
			"an error that is retried, with a code for words", factsOf(up("dns"), up("infra"), func() Report {
				r := saying("net", 2, "Available=False").words("not yet").failing(v1.ErrorTransient)
				r.LastError.ErrorCode = "QUOTA"
				return r
			}()), same,
			ReasonControllersWithErrors,
			[]v1.WaitedFor{waited("net", v1.WaitError, "QUOTA", 1)},
			"cluster.reconcile attention",
			[]string{
				"The cluster is Progressing at generation 2: 2 of 3 controllers ready; waiting for net.",
				`net reports an error of type Transient, which it will retry, since 2026-03-01T12:01:00Z; it says "QUOTA".`, deadline, inAttention,
			},
		},
		{
			"an error that needs help", factsOf(up("dns"), up("infra"), saying("net", 2, "Available=True").failing(v1.ErrorConfiguration).words("no such zone")),
			same, ReasonControllerFailed,
			[]v1.WaitedFor{waited("net", v1.WaitError, "no such zone", 1)},
			"cluster.reconcile attention",
			[]string{
				"The cluster is Failed at generation 2 because of net: 2 of 3 controllers ready; waiting for net.",
				`net reports an error of type Configuration, which needs help, since 2026-03-01T12:01:00Z; it says "no such zone".`, inAttention,
			},
		},
		{
			"an error that the user can mend", factsOf(func() Report {
				r := saying("net", 2, "Available=False").failing(v1.ErrorFatal).words("no such zone")
				r.LastError.UserActionable = true
				return r
			}()).expecting("net"), same, ReasonControllerFailed,
			[]v1.WaitedFor{waited("net", v1.WaitError, "no such zone", 1)},
			"cluster.reconcile attention",
			[]string{
				"The cluster is Failed at generation 2 because of net: 0 of 1 controller ready; waiting for net.",
				"net reports an error of type Fatal, which whoever declared it can mend, since 2026-03-01T12:01:00Z; it says \"no such zone\".",
				inAttention,
			},
		},
		{
			"Failed=True without an error, in its own words", factsOf(up("dns"), up("infra"), func() Report {
				r := saying("net", 2, "Available=True", "Failed=True")
				r.Conditions[0].Message, r.Conditions[1].Reason = "up", "Exploded"
				return r
			}()), same,
			ReasonControllerFailed,
			[]v1.WaitedFor{waited("net", v1.WaitError, "Exploded", 1)},
			"cluster.reconcile attention",
			[]string{
				"The cluster is Failed at generation 2 because of net: 2 of 3 controllers ready; waiting for net.",
				`net reports Failed=True since 2026-03-01T12:01:00Z; it says "Exploded".`, inAttention,
			},
		},
		{
			"the deadline has passed, and the wake-up is late", factsOf(up("dns"), saying("net", 2, "Available=False")).expecting("dns", "net").at(minute(40)), same,
			ReasonProgressDeadlineExceeded,
			[]v1.WaitedFor{waited("net", v1.WaitNotAvailable, "", 1)},
			"cluster.reconcile attention",
			[]string{
				"The cluster is Failed at generation 2: there was no progress within 30m of 2026-03-01T12:01:00Z; 1 of 2 controllers ready; waiting for net.",
				"net has not been available since 2026-03-01T12:01:00Z.",
				"The next event, cluster.reconcile, has been due since 2026-03-01T12:06:00Z in the attention lane: the next pass sends it.",
			},
		},
		{
			"all is well, for a long time", factsOf(up("dns"), up("infra"), up("net")).at(minute(300)), func(p *Place) { p.Due = minute(304) },
			ReasonAllControllersReady, nil, "cluster.reconcile stable",
			[]string{
				"All is well: the cluster is Ready at generation 2, with 3 of 3 controllers ready: dns, infra, net.",
				"The next event, cluster.reconcile, is due at 2026-03-01T17:04:00Z in the stable lane.",
			},
		},
		{
			"it leaves the attention lane before it is due", factsOf(up("dns")).expecting("dns").at(minute(119)), func(p *Place) { p.Due = minute(121) },
			ReasonAllControllersReady, nil, "cluster.reconcile stable", nil,
		},
		{
			"a report has pulled the wake-up forward", factsOf(up("dns")).expecting("dns"), func(p *Place) { p.Reactive = true },
			ReasonAllControllersReady, nil, "cluster.reconcile reactive", nil,
		},
		{
			"paused", factsOf(up("dns")).expecting("dns"), func(p *Place) { p.Enabled = false }, ReasonAllControllersReady, nil, "",
			[]string{
				"All is well: the cluster is Ready at generation 2, with 1 of 1 controller ready: dns.",
				"The cluster is paused: no event comes by itself, only those of changes and of POST .../reconcile.",
			},
		},
		{
			"a deletion is held, by one who says why", factsOf(up("dns"), saying("net", 2, "Finalized=False", "Available=False").words("draining")).deleted("dns", "net"), same,
			ReasonWaitingForFinalizers,
			[]v1.WaitedFor{waited("dns", v1.WaitFinalizer, "", 4), waited("net", v1.WaitFinalizer, "draining", 4)},
			"cluster.deleted attention",
			[]string{
				"The deletion of the cluster was asked for at 2026-03-01T12:04:00Z.",
				"dns holds the deletion until it reports Finalized=True.",
				`net holds the deletion until it reports Finalized=True; it says "draining".`,
				"The next event, cluster.deleted, is due at 2026-03-01T12:06:00Z in the attention lane.",
			},
		},
		{
			"a deletion that waits for node pools only", func() Facts { f := factsOf(up("dns")).deleted(); f.Object.Pools = true; return f }(), same,
			ReasonWaitingForFinalizers, nil, "cluster.deleted attention",
			[]string{
				"The deletion of the cluster was asked for at 2026-03-01T12:04:00Z.", "It waits for its node pools, which go first.",
				"The next event, cluster.deleted, is due at 2026-03-01T12:06:00Z in the attention lane.",
			},
		},
		{
			"forced: nobody holds the deletion any more, and nothing comes after it", factsOf(saying("dns", 2, "Finalized=False")).deleted(), same,
			ReasonWaitingForFinalizers, nil, "",
			[]string{
				"The deletion of the cluster was asked for at 2026-03-01T12:04:00Z.",
				"It waits for nobody any more: the next pass of the scheduler ends it, and no event comes by itself.",
			},
		},
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for _, row := range explainRows() {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			facts := row.facts.of(KindCluster)
			ref, place := aCluster()
			row.place(&place)
			status := Aggregate(facts).Status
			want := v1.Explanation{
				ClusterID: "the-cluster", Generation: 2, Phase: status.Phase, Reason: row.reason,
				Sentences: row.sentences, WaitingFor: append([]v1.WaitedFor{}, row.waiting...),
			}
			if row.next != "" {
				event, lane, _ := strings.Cut(row.next, " ")
				want.NextEvent = &v1.NextEvent{Type: event, DueAt: place.Due, Lane: lane}
			}
			got := Explain(ref, facts, Registry{}, place, usual)
			if row.sentences == nil {
				want.Sentences = got.Sentences
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestExplainWhoMayCome: of a resource that waits for nobody in particular it is said who works on such ones, or that nobody does.
func TestExplainWhoMayCome(t *testing.T) {
	t.Parallel()
	retired := minute(1)
	registered := func(says Registration) Controller { return Controller{Registered: true, Registration: says} }
	registry := map[string]Controller{
		"reporter": {},
		"gone":     {Registered: true, RetiredAt: &retired},
		"dns":      registered(Registration{Platforms: []string{"gcp", "aws"}}),
		"net":      registered(Registration{Platforms: []string{"aws"}, Kinds: []Kind{KindCluster}}),
		"nodes":    registered(Registration{Platforms: []string{"azure"}, Kinds: []Kind{KindNodePool}}),
	}
	for _, row := range []struct {
		kind     Kind
		platform string
		known    map[string]Controller
		want     string
	}{
		{KindCluster, "gcp", nil, "No controller is registered for any cluster."},
		{KindNodePool, "", nil, "No controller is registered for any node pool."},
		{KindCluster, "gcp", registry, "Registered for it: dns."},
		{KindCluster, "aws", registry, "Registered for it: dns, net."},
		{KindCluster, "gpc", registry, "No controller is registered for platform gpc, only for: aws, gcp."},
		{KindCluster, "", registry, "Its spec names no platform.type, and those who are registered work on these platforms only: aws, gcp."},
		{KindNodePool, "aws", registry, "Registered for it: dns."},
		{KindNodePool, "", registry, "Registered for it: dns, nodes."},
		{KindCluster, "", map[string]Controller{"all": registered(Registration{})}, "Registered for it: all."},
	} {
		f := factsOf().expecting().of(row.kind)
		f.Object.Platform = row.platform
		_, place := aCluster()
		e := Explain(Ref{row.kind, "the-cluster", "it"}, f, Registry{Controllers: row.known}, place, usual)
		if len(e.Sentences) < 2 || e.Sentences[1] != row.want {
			t.Errorf("%s on %q: %q, want %q", row.kind, row.platform, e.Sentences, row.want)
		}
	}
}

// TestExplainANodePool: the same under another name, and by its own events.
func TestExplainANodePool(t *testing.T) {
	t.Parallel()
	ref := Ref{KindNodePool, "the-cluster", "the-pool"}
	_, place := aCluster()
	for event, facts := range map[string]Facts{v1.NodePoolReconcile: factsOf(up("dns")), v1.NodePoolDeleted: factsOf(up("dns")).deleted("dns")} {
		got := Explain(ref, facts.of(KindNodePool), Registry{}, place, usual)
		if got.ClusterID != "the-cluster" || got.NodePoolID != "the-pool" || got.NextEvent.Type != event {
			t.Errorf("%+v, want the node pool and %s", got, event)
		}
		if text := strings.Join(got.Sentences, " "); !strings.Contains(text, "node pool") || strings.Contains(text, "cluster") {
			t.Errorf("%q: want a node pool, and no cluster", text)
		}
	}
}

// TestExplainIsBounded: of 1,000 controllers a few are told of, all are listed, and no more than
// the beginning of a long message is repeated.
func TestExplainIsBounded(t *testing.T) {
	t.Parallel()
	f := factsOf().of(KindCluster).expecting()
	for i := range 1000 {
		name := fmt.Sprintf("controller-%04d", i)
		f.Expected.Names = append(f.Expected.Names, name)
		f.Reports = append(f.Reports, saying(name, 2, "Available=False").words(strings.Repeat("\u9577", 10_000)))
	}
	for _, f := range []Facts{f, f.deleted(f.Expected.Names...)} {
		ref, place := aCluster()
		got := Explain(ref, f, Registry{}, place, usual)
		if len(got.WaitingFor) != 1000 || len(got.Sentences) > 12 || !slices.Contains(got.Sentences, "It waits for 992 more besides.") {
			t.Errorf("%d waited for, in %d sentences: %q", len(got.WaitingFor), len(got.Sentences), got.Sentences)
		}
		if n := len([]rune(got.WaitingFor[0].Message)); n > 256 {
			t.Errorf("a message of %d characters", n)
		}
		if n := len([]rune(strings.Join(got.Sentences, " "))); n > 6000 {
			t.Errorf("%d characters are told", n)
		}
	}
}

// TestExplainProperties holds the explanation of random facts against their status.
func TestExplainProperties(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func(*rapid.T, Facts, Place, v1.Explanation){
		"it is of the status":                           isOfTheStatus,
		"it waits for whom the status names":            waitsForWhomTheStatusNames,
		"it tells of whom it waits for":                 tellsOfWhomItWaitsFor,
		"why is the first word that holds":              whyIsTheFirstThatHolds,
		"the next event is the one that the pass sends": nextIsWhatThePassSends,
		"the order of reports changes nothing":          orderExplainsNothing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				f := drawFacts(t).of(rapid.SampledFrom(Kinds()).Draw(t, "kind"))
				if f.Object.DeletionTimestamp.IsZero() {
					f.Object.Holders = nil
				} else {
					f.Object.Holders = rapid.SampledFrom([][]string{nil, {"c0"}, {"c0", "c6"}}).Draw(t, "holders")
					f.Object.Pools = rapid.Bool().Draw(t, "pools")
				}
				p := Place{
					Due:     f.Now.Add(time.Duration(rapid.IntRange(-60, 300).Draw(t, "due")) * time.Second),
					Enabled: rapid.IntRange(0, 3).Draw(t, "enabled") > 0, Reactive: rapid.Bool().Draw(t, "reactive"),
				}
				check(t, f, p, Explain(Ref{f.Object.Kind, "the-cluster", "it"}, f, Registry{}, p, usual))
			})
		})
	}
}

func isOfTheStatus(t *rapid.T, f Facts, _ Place, e v1.Explanation) {
	s := Aggregate(f).Status
	if e.Phase != s.Phase || e.Reason != s.Reason || e.Generation != f.Object.Generation || len(e.Sentences) == 0 || e.WaitingFor == nil {
		t.Fatalf("%+v of %+v", e, s)
	}
	if ready := e.Phase == v1.PhaseReady; ready != strings.HasPrefix(e.Sentences[0], "All is well") || ready && len(e.WaitingFor) > 0 {
		t.Fatalf("%+v of %+v", e, s)
	}
}

// namedBy returns the controllers that a message waits for.
func namedBy(message string) []string {
	_, waiting, _ := strings.Cut(message, "waiting for ")
	return regexp.MustCompile(`\bc\d\b`).FindAllString(waiting, -1)
}

func waitsForWhomTheStatusNames(t *rapid.T, f Facts, _ Place, e v1.Explanation) {
	var got []string
	for _, w := range e.WaitingFor {
		got = append(got, w.ControllerName)
	}
	if want := namedBy(Aggregate(f).Status.Message); !slices.Equal(got, want) {
		t.Fatalf("waits for %v, the status for %v", got, want)
	}
}

func tellsOfWhomItWaitsFor(t *rapid.T, _ Facts, _ Place, e v1.Explanation) {
	if e.Phase == v1.PhaseReady {
		return
	}
	told := regexp.MustCompile(`\bc\d\b`).FindAllString(strings.Join(e.Sentences, " "), -1)
	slices.Sort(told)
	var want []string
	for _, w := range e.WaitingFor {
		want = append(want, w.ControllerName)
	}
	if told = slices.Compact(told); !slices.Equal(told, want) {
		t.Fatalf("tells of %v, waits for %v: %q", told, want, e.Sentences)
	}
}

// whyIsTheFirstThatHolds reads the list of words aloud.
func whyIsTheFirstThatHolds(t *rapid.T, f Facts, _ Place, e v1.Explanation) {
	for _, w := range e.WaitingFor {
		at := slices.IndexFunc(f.Reports, func(r Report) bool { return r.ControllerName == w.ControllerName })
		var want string
		var since time.Time
		switch {
		case !f.Object.DeletionTimestamp.IsZero():
			want, since = "Finalizer", f.Object.DeletionTimestamp
		case at < 0:
			want, since = "NeverReported", f.Object.GenerationStartedAt
		case f.Reports[at].ObservedGeneration < f.Object.Generation:
			want, since = "BehindGeneration", f.Object.GenerationStartedAt
		case f.Reports[at].LastError != nil || conditionStatus(f.Reports[at].Conditions, "Failed") == "True":
			want, since = "Error", f.Reports[at].CountedAt
		default:
			want, since = "NotAvailable", f.Reports[at].AvailableChangedAt
		}
		if w.Why != want || w.Since == nil || !w.Since.Equal(since) {
			t.Fatalf("%+v, want %s since %v", w, want, since)
		}
	}
}

func nextIsWhatThePassSends(t *rapid.T, f Facts, p Place, e v1.Explanation) {
	gone := !f.Object.DeletionTimestamp.IsZero() && len(f.Object.Holders) == 0 && !f.Object.Pools
	if !p.Enabled || gone {
		if e.NextEvent != nil {
			t.Fatalf("%+v, and none comes by itself", e.NextEvent)
		}
		return
	}
	due := Due{Attention: f.Object.Attention(Aggregate(f).Status), Reactive: p.Reactive, DueAt: p.Due, Now: later(p.Due, f.Now)}
	sent := usual.Wake(due, "", f.Object.Kind, 0.5).Event
	lane := map[string]string{"30s": v1.ReasonAttention, "5m": v1.ReasonStable}[sent.Metadata.Interval]
	if sent.Metadata.TriggeredBy == v1.TriggeredByReactive {
		lane = v1.ReasonReactive
	}
	if want := (v1.NextEvent{Type: sent.Type, DueAt: p.Due, Lane: lane}); e.NextEvent == nil || *e.NextEvent != want {
		t.Fatalf("%+v, the pass sends %+v", e.NextEvent, want)
	}
}

func orderExplainsNothing(t *rapid.T, f Facts, p Place, e v1.Explanation) {
	f.Reports = rapid.Permutation(f.Reports).Draw(t, "order")
	if diff := cmp.Diff(e, Explain(Ref{f.Object.Kind, "the-cluster", "it"}, f, Registry{}, p, usual)); diff != "" {
		t.Fatalf("-before +after:\n%s", diff)
	}
}
