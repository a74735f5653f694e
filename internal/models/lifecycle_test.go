package models

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// The property of this file: random lives of a resource, played by the rules as the service plays
// them, are judged after each deed by the plain history of what was done (past_test.go).

// seed begins the random numbers of the lives; a failure names it.
var seed = flag.Uint64("lives.seed", uint64(time.Now().UnixNano()), "seed of the random lives")

// act is what a deed does.
type act int

const (
	reporting act = iota
	changingSpec
	changingPlatform
	registering
	retiring
	dropping
	ending
	forcing
	passing // the scheduler's pass
)

// said is what a report says; "" for what it does not.
type said struct {
	lag       int64 // 0 for no generation, else how many before the current one, and one
	available v1.ConditionStatus
	failed    bool
	errorType string
	finalized v1.ConditionStatus
}

// deed is one thing that is done in a life. Who does it may be refused.
type deed struct {
	act      act
	after    time.Duration
	who      string
	said     said
	says     Registration
	platform string
	// read says that the resource is read afterwards, which stores its status.
	read bool
	// slow says that a calculation which began before the deed is stored after it.
	slow bool
}

func (d deed) String() string {
	what := map[act]string{
		reporting: "report", changingSpec: "spec", changingPlatform: "platform", registering: "register", retiring: "retire",
		dropping: "drop", ending: "delete", forcing: "force", passing: "pass",
	}[d.act]
	s := fmt.Sprintf("%v later: %s %s", d.after, what, d.who)
	switch d.act { //nolint:exhaustive // the others say no more
	case reporting:
		s += fmt.Sprintf(" %+v", d.said)
	case registering:
		s += fmt.Sprintf(" %+v", d.says)
	case changingPlatform:
		s += fmt.Sprintf("%q", d.platform)
	}
	if d.slow {
		s += ", while a calculation runs"
	}
	if d.read {
		s += ", read"
	}
	return s
}

var (
	lifeNames     = []string{"dns", "infra", "net"}
	lifePlatforms = []string{"", "aws", "gcp"}
)

// script is a life before it is lived.
type script struct {
	kind     Kind
	platform string
	deeds    []deed
}

func (s script) String() string {
	lines := []string{fmt.Sprintf("a %s on platform %q", s.kind, s.platform)}
	for _, d := range s.deeds {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "\n\t")
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// drawScript draws a life. Good reports are likelier than bad ones, so that Ready is met often.
func drawScript(r *rand.Rand, most int) script {
	s := script{kind: pick(r, Kinds()...), platform: pick(r, lifePlatforms...)}
	names := lifeNames[:1+r.IntN(len(lifeNames))]
	deleted := false
	for range 3 + r.IntN(most-2) {
		d := deed{who: pick(r, names...), read: r.IntN(2) == 0, slow: r.IntN(8) == 0}
		d.after = time.Duration(1+r.IntN(300)) * time.Second
		if r.IntN(12) == 0 {
			d.after = time.Duration(25+r.IntN(20)) * time.Minute
		}
		switch n := r.IntN(100); {
		case n < 46:
			d.act, d.said = reporting, drawSaid(r, deleted)
		case n < 63:
			d.act, d.says = registering, drawRegistration(r)
		case n < 70:
			d.act = retiring
		case n < 77:
			d.act = changingSpec
		case n < 82:
			d.act, d.platform = changingPlatform, pick(r, lifePlatforms...)
		case n < 87:
			d.act = dropping
		case n < 94:
			d.act, deleted = ending, true
		case n < 96:
			d.act = forcing
		default:
			d.act = passing
		}
		s.deeds = append(s.deeds, d)
	}
	return s
}

func drawSaid(r *rand.Rand, deleted bool) said {
	w := said{available: v1.ConditionTrue, lag: int64(r.IntN(2))}
	switch r.IntN(14) {
	case 0:
		w.lag = 2
	case 1:
		w.available = pick(r, v1.ConditionFalse, v1.ConditionUnknown, "")
	case 2:
		w.errorType = pick(r, errorTypes...)
	case 3:
		w.failed = true
	}
	if deleted && r.IntN(2) == 0 || r.IntN(12) == 0 {
		w.finalized = pick(r, v1.ConditionTrue, v1.ConditionTrue, v1.ConditionFalse)
		w.lag = int64(r.IntN(3))
	}
	return w
}

func drawRegistration(r *rand.Rand) Registration {
	says := Registration{Required: r.IntN(2) == 0, Finalizes: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		says.Platforms = pick(r, []string{"gcp"}, []string{"aws"}, []string{"aws", "gcp"})
	}
	if r.IntN(4) == 0 {
		says.Kinds = []Kind{pick(r, Kinds()...)}
	}
	return says
}

// play is the rules by which lives are lived; a mutant is one of them broken.
type play struct {
	register  func(c Controller, says Registration, now time.Time) (Controller, bool)
	retire    func(c Controller, now time.Time) Controller
	expected  func(g Registry, o Object, reports []Report, dropped time.Time) Expected
	holding   func(g Registry, holders []string, since time.Time) []string
	aggregate func(f Facts) Outcome
	// These two the database keeps.
	letsGo  func(observed, generation int64) bool
	current func(c cached, l *life) bool
}

func theRules() play {
	return play{
		register: Controller.Register, retire: Controller.Retire, expected: Registry.Expected, holding: Registry.Holding, aggregate: Aggregate,
		letsGo: func(observed, generation int64) bool { return observed == generation }, current: current,
	}
}

// current is the condition of the statement that stores statuses.
func current(c cached, l *life) bool {
	recheck := c.out.RecheckAt
	return c.version == l.version && c.registry >= l.stored.registry && (recheck.IsZero() || l.now.Before(recheck))
}

// life is a resource as the service keeps it.
type life struct {
	play     play
	now      time.Time
	object   Object
	holders  []string
	reports  []Report // in the order of their first ones
	says     map[string]v1.ConditionStatus
	dropped  time.Time
	registry Registry
	version  int64
	gone     bool

	stored   cached
	kept     []v1.Status // all that were stored, in order
	hasFacts bool        // the status is dirty
}

// cached is a calculated status as it is kept.
type cached struct {
	out      Outcome
	registry int64
	version  int64 // the resource's, that it was calculated from
	ofItself bool  // no fact has made it necessary
}

func newLife(p play, s script) *life {
	return &life{
		play: p, now: start, hasFacts: true, says: map[string]v1.ConditionStatus{}, registry: registryOf(),
		object: Object{Kind: s.kind, Platform: s.platform, Generation: 1, GenerationStartedAt: start},
	}
}

// facts are those of now.
func (l *life) facts() Facts {
	o := l.object
	if !o.DeletionTimestamp.IsZero() {
		o.Holders = l.play.holding(l.registry, l.holders, o.DeletionTimestamp)
	}
	return Facts{
		Object: o, Reports: l.reports, Expected: l.play.expected(l.registry, o, l.reports, l.dropped),
		Previous: l.stored.out.Status.Conditions, Now: l.now, ProgressDeadline: 30 * time.Minute,
	}
}

func (l *life) calculate() cached {
	return cached{out: l.play.aggregate(l.facts()), registry: l.registry.Version, version: l.version, ofItself: !l.hasFacts}
}

// stale reports whether the stored status may hold no more.
func (l *life) stale() bool {
	recheck := l.stored.out.RecheckAt
	return l.hasFacts || l.stored.registry < l.registry.Version || !recheck.IsZero() && !l.now.Before(recheck) || !l.object.DeletionTimestamp.IsZero()
}

// answer is what a reader is told.
func (l *life) answer() cached {
	if l.stale() {
		return l.calculate()
	}
	return l.stored
}

// keep stores a status if nothing has changed since it was calculated.
func (l *life) keep(c cached) {
	if l.gone || !l.play.current(c, l) {
		return
	}
	if c.ofItself && !reflect.DeepEqual(c.out.Status, l.stored.out.Status) {
		l.version++
	}
	l.stored, l.hasFacts, l.kept = c, false, append(l.kept, c.out.Status)
	if !l.object.DeletionTimestamp.IsZero() {
		l.holders = l.play.holding(l.registry, l.holders, l.object.DeletionTimestamp)
	}
}

// bury ends a deletion that waits for nobody.
func (l *life) bury() { l.gone = l.gone || !l.object.DeletionTimestamp.IsZero() && len(l.holders) == 0 }

// do does a deed as the use cases and their statements do.
func (l *life) do(d deed) {
	l.now = l.now.Add(d.after)
	switch d.act {
	case reporting:
		l.report(d.who, d.said)
	case registering:
		l.change(d.who, func(c Controller) (Controller, bool) { return l.play.register(c, d.says, l.now) })
	case retiring:
		if c, known := l.registry.Controllers[d.who]; known && c.RetiredAt == nil {
			l.change(d.who, func(c Controller) (Controller, bool) { return l.play.retire(c, l.now), true })
		}
	case changingSpec:
		l.begin(l.object.Platform)
	case changingPlatform:
		l.begin(d.platform)
	case dropping:
		l.drop(d.who)
	case ending, forcing:
		l.delete(d.act == forcing)
	case passing:
		l.keep(l.answer())
		l.bury()
	}
}

// change makes an entry of the registry of what it was, in a new map: readers keep the old one.
func (l *life) change(name string, rule func(Controller) (Controller, bool)) {
	c := l.registry.Controllers[name]
	c.Name = name
	next, moved := rule(c)
	list := make([]Controller, 0, len(l.registry.Controllers)+1)
	for other, c := range l.registry.Controllers {
		if other != name {
			list = append(list, c)
		}
	}
	g := registryOf(append(list, next)...)
	g.Version = l.registry.Version
	if moved {
		g.Version++
	}
	l.registry = g
}

func (l *life) begin(platform string) {
	if l.gone || !l.object.DeletionTimestamp.IsZero() {
		return
	}
	l.generation()
	l.object.Platform = platform
}

func (l *life) generation() {
	l.object.Generation++
	l.object.GenerationStartedAt = l.now
	l.version++
	l.hasFacts = true
}

func (l *life) drop(name string) {
	at := slices.IndexFunc(l.reports, func(r Report) bool { return r.ControllerName == name })
	if l.gone || at < 0 {
		return
	}
	l.reports = slices.Delete(slices.Clone(l.reports), at, at+1)
	delete(l.says, name)
	l.dropped = l.now
	l.version++
	l.hasFacts = true
}

// report is store_report of the schema.
func (l *life) report(name string, says said) {
	if l.gone || l.registry.Controllers[name].RetiredAt != nil {
		return
	}
	next := Report{
		ControllerName: name, ObservedGeneration: observed(says.lag, l.object.Generation),
		FirstAt: l.now, CountedAt: l.now, AvailableChangedAt: l.now,
	}
	if says.available != "" {
		next.Conditions = append(next.Conditions, v1.ReportedCondition{Type: v1.ConditionAvailable, Status: says.available})
	}
	if says.failed {
		next.Conditions = append(next.Conditions, v1.ReportedCondition{Type: v1.ConditionFailed, Status: v1.ConditionTrue})
	}
	if says.errorType != "" {
		next = next.failing(says.errorType)
	}
	if !l.store(next, says) {
		return
	}
	if _, known := l.registry.Controllers[name]; !known {
		l.change(name, func(c Controller) (Controller, bool) { return c, false })
	}
	if !l.object.DeletionTimestamp.IsZero() && says.finalized == v1.ConditionTrue && l.play.letsGo(next.ObservedGeneration, l.object.Generation) {
		l.holders = slices.DeleteFunc(slices.Clone(l.holders), func(h string) bool { return h == name })
		l.hasFacts = true
		l.bury()
	}
}

// store keeps a report beside the others unless it is older than the one that it follows.
func (l *life) store(next Report, says said) bool {
	l.reports = slices.Clone(l.reports) // A calculation may be looking at them.
	at := slices.IndexFunc(l.reports, func(r Report) bool { return r.ControllerName == next.ControllerName })
	switch {
	case at < 0:
		l.reports = append(l.reports, next)
		l.hasFacts = true
	case l.reports[at].ObservedGeneration > next.ObservedGeneration:
		return false
	default:
		l.reports[at] = l.follow(l.reports[at], next, says)
	}
	l.says[next.ControllerName] = says.finalized
	l.version++
	return true
}

// follow returns a report with the times that it keeps of the one before.
func (l *life) follow(was, next Report, says said) Report {
	next.FirstAt = was.FirstAt
	if conditionStatus(was.Conditions, v1.ConditionAvailable) == says.available {
		next.AvailableChangedAt = was.AvailableChangedAt
	}
	if counted(was) == counted(next) {
		next.CountedAt = was.CountedAt
	} else {
		l.hasFacts = true
	}
	return next
}

// counted is what of a report a status depends on.
func counted(r Report) [4]string {
	c := [4]string{strconv.FormatInt(r.ObservedGeneration, 10), string(conditionStatus(r.Conditions, v1.ConditionAvailable)), string(conditionStatus(r.Conditions, v1.ConditionFailed))}
	if r.LastError != nil {
		c[3] = "error " + r.LastError.ErrorType
	}
	return c
}

// observed is the generation of a report.
func observed(lag, generation int64) int64 {
	if lag == 0 {
		return generation
	}
	return max(1, generation-lag+1)
}

func (l *life) delete(force bool) {
	switch {
	case l.gone:
		return
	case l.object.DeletionTimestamp.IsZero():
		l.generation()
		l.object.DeletionTimestamp = l.now
		for name, c := range l.registry.Controllers {
			finalizes := c.Registered && c.Registration.Finalizes && c.Registration.Concerns(l.object.Kind, l.object.Platform)
			if c.RetiredAt == nil && (finalizes || l.says[name] != "") {
				l.holders = append(l.holders, name)
			}
		}
		slices.Sort(l.holders)
	case force:
		l.holders = nil
		l.version++
	}
	l.bury()
}

// live plays a script and returns what is wrong first; "" for nothing. met counts what it met.
func live(p play, s script, met *sights) string {
	l, h := newLife(p, s), newPast(s)
	for i, d := range s.deeds {
		slow := l.answer()
		l.do(d)
		h.note(d)
		if fault := h.judge(l); fault != "" {
			return fmt.Sprintf("after deed %d: %s", i+1, fault)
		}
		if l.gone {
			met.gone.Add(1)
			return ""
		}
		answer := l.answer()
		met.see(answer.out.Status)
		if d.read {
			l.keep(answer)
		}
		if d.slow {
			l.keep(slow)
		}
	}
	return h.judge(l)
}

// sights counts what the lives have come by: a property that meets no Ready proves nothing.
type sights struct{ ready, deleting, failed, late, gone atomic.Int64 }

func (m *sights) see(s v1.Status) {
	switch {
	case s.Phase == v1.PhaseReady:
		m.ready.Add(1)
	case s.Phase == v1.PhaseDeleting:
		m.deleting.Add(1)
	case s.Reason == ReasonProgressDeadlineExceeded:
		m.late.Add(1)
	case s.Phase == v1.PhaseFailed:
		m.failed.Add(1)
	}
}

// shrink leaves out of a life what it fails without.
func shrink(p play, s script) (script, string) {
	fault := live(p, s, &sights{})
	for i := 0; i < len(s.deeds); {
		less := s
		less.deeds = slices.Delete(slices.Clone(s.deeds), i, i+1)
		if f := live(p, less, &sights{}); f != "" {
			s, fault, i = less, f, 0
			continue
		}
		i++
	}
	return s, fault
}

// firstFault lives n lives and returns the first that goes wrong.
func firstFault(p play, from uint64, n int, met *sights) (found script, bad bool) {
	for i := range n {
		s := drawScript(rand.New(rand.NewPCG(from, uint64(i))), 12)
		if live(p, s, met) != "" {
			return s, true
		}
	}
	return script{}, false
}

// TestLives is the property: 100,000 random lives of a resource.
func TestLives(t *testing.T) { //nolint:tparallel // the group waits for its parts
	t.Parallel()
	const parts, lives = 4, 100_000
	var met sights
	t.Run("all", func(t *testing.T) {
		for part := range parts {
			t.Run(strconv.Itoa(part), func(t *testing.T) {
				t.Parallel()
				if s, bad := firstFault(theRules(), *seed+uint64(part), lives/parts, &met); bad {
					less, fault := shrink(theRules(), s)
					t.Errorf("-lives.seed %d: %s\n\t%s", *seed, less, fault)
				}
			})
		}
	})
	for what, n := range map[string]int64{
		"Ready": met.ready.Load(), "Deleting": met.deleting.Load(), "Failed": met.failed.Load(), "too late": met.late.Load(), "gone": met.gone.Load(),
	} {
		if n < lives/50 && !t.Failed() {
			t.Errorf("%s was met %d times only in %d lives", what, n, lives)
		}
	}
}

// TestLivesFindMutants: the property finds each of these rules, broken.
func TestLivesFindMutants(t *testing.T) {
	t.Parallel()
	for name, mutate := range map[string]func(p *play){
		"a registry that forgets since when": func(p *play) {
			p.register = func(c Controller, says Registration, now time.Time) (Controller, bool) {
				next, moved := c.Register(says, now)
				for _, platforms := range next.Required {
					for platform := range platforms {
						platforms[platform] = time.Time{}
					}
				}
				return next, moved
			}
		},
		"a registry that requires anew what it required": func(p *play) {
			p.register = func(c Controller, says Registration, now time.Time) (Controller, bool) {
				c.Required = nil
				return c.Register(says, now)
			}
		},
		"a registration that does not move the registry": func(p *play) {
			p.register = func(c Controller, says Registration, now time.Time) (Controller, bool) {
				next, _ := c.Register(says, now)
				return next, false
			}
		},
		"a retirement that ends no requirement": func(p *play) {
			p.retire = func(c Controller, now time.Time) Controller {
				next := c.Retire(now)
				next.Required = c.Required
				return next
			}
		},
		"a registry that forgets when it let somebody go": func(p *play) {
			p.retire = func(c Controller, now time.Time) Controller {
				next := c.Retire(now)
				next.Turns = c.Turns
				return next
			}
		},
		"reports of the retired count": func(p *play) {
			p.expected = func(g Registry, o Object, reports []Report, dropped time.Time) Expected {
				alive := registryOf()
				for name, c := range g.Controllers {
					c.RetiredAt = nil
					alive.Controllers[name] = c
				}
				return alive.Expected(o, reports, dropped)
			}
		},
		"reports count whatever the platform": func(p *play) {
			p.expected = func(g Registry, o Object, reports []Report, dropped time.Time) Expected {
				all := registryOf()
				for name, c := range g.Controllers {
					c.Registration.Platforms = nil
					all.Controllers[name] = c
				}
				return all.Expected(o, reports, dropped)
			}
		},
		"what names no platform is nobody's": func(p *play) {
			p.expected = func(g Registry, o Object, reports []Report, dropped time.Time) Expected {
				if o.Platform == "" {
					o.Platform = "none of those that are named"
				}
				return g.Expected(o, reports, dropped)
			}
		},
		"the silent are not waited for": func(p *play) {
			p.expected = func(g Registry, o Object, reports []Report, dropped time.Time) Expected {
				e := g.Expected(o, reports, dropped)
				e.Names = slices.DeleteFunc(e.Names, func(name string) bool {
					return !slices.ContainsFunc(reports, func(r Report) bool { return r.ControllerName == name })
				})
				return e
			}
		},
		"a report of an older generation lets go": func(p *play) { p.letsGo = func(int64, int64) bool { return true } },
		"the retired go on holding": func(p *play) {
			p.holding = func(_ Registry, holders []string, _ time.Time) []string { return holders }
		},
		"who comes back holds again": func(p *play) {
			p.holding = func(g Registry, holders []string, _ time.Time) []string {
				return g.Holding(holders, start.Add(1000*time.Hour))
			}
		},
		"who registers for other platforms lets go": func(p *play) {
			p.holding = func(g Registry, holders []string, since time.Time) []string {
				return slices.DeleteFunc(g.Holding(holders, since), func(h string) bool { return len(g.Controllers[h].Registration.Platforms) > 0 })
			}
		},
		"a status is stored whatever has changed since": func(p *play) { p.current = func(cached, *life) bool { return true } },
		"a status is stored under a registry of the past": func(p *play) {
			p.current = func(c cached, l *life) bool { c.registry = l.registry.Version; return current(c, l) }
		},
		"a status is stored after its deadline": func(p *play) {
			p.current = func(c cached, l *life) bool { c.out.RecheckAt = time.Time{}; return current(c, l) }
		},
		"a transition with each calculation": func(p *play) {
			p.aggregate = func(f Facts) Outcome { f.Previous = nil; return Aggregate(f) }
		},
		"a transition by the reader's clock": func(p *play) {
			p.aggregate = func(f Facts) Outcome {
				out := Aggregate(f)
				if out.Status.Phase == v1.PhaseReady {
					out.Status.Message += " since " + f.Now.String()
				}
				return out
			}
		},
		"a deadline that nobody is told of": func(p *play) {
			p.aggregate = func(f Facts) Outcome { out := Aggregate(f); out.RecheckAt = time.Time{}; return out }
		},
		"an older report is as good": func(p *play) {
			p.aggregate = func(f Facts) Outcome {
				f.Reports = slices.Clone(f.Reports)
				for i := range f.Reports {
					f.Reports[i].ObservedGeneration = f.Object.Generation
				}
				return Aggregate(f)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := theRules()
			mutate(&p)
			s, bad := firstFault(p, *seed, 20_000, &sights{})
			if !bad {
				t.Fatalf("-lives.seed %d: not found in 20,000 lives", *seed)
			}
			less, fault := shrink(p, s)
			t.Logf("%s\n\t%s", less, fault)
		})
	}
}
