package service_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// The property of this file: random lives of a cluster and its node pool, lived through the use
// cases, are what the plain history of what was done asks for (past_test.go).

var livesSeed = flag.Uint64("lives.seed", uint64(time.Now().UnixNano()), "seed of the random lives")

// act is what a deed does.
type act string

const (
	reports    act = "report"
	puts       act = "put"
	patches    act = "patch"
	moves      act = "move to another platform"
	registers  act = "register"
	retires    act = "retire"
	drops      act = "drop"
	deletes    act = "delete"
	forces     act = "force"
	reconciles act = "reconcile"
	wakes      act = "wake what is due"
	publishes  act = "publish"
	passes     act = "pass"
)

// word is what a report says.
type word struct {
	lag       int64 // 0 for no generation, else how many before the current one, and one
	available bool
	errorType string
	finalized v1.ConditionStatus // "" when it does not say
}

func (s word) text() string { s.lag = 0; return fmt.Sprintf("%+v", s) }

// deed is one thing that is done in a life. Who does it may be refused.
type deed struct {
	act      act
	on       int
	who      string
	said     word
	says     v1.RegisterController
	platform string
	// look says that the resources are read and judged afterwards.
	look bool
}

func (d deed) String() string {
	s := fmt.Sprintf("%s on %s", d.act, models.Kinds()[d.on])
	switch d.act { //nolint:exhaustive // the others say no more
	case reports:
		s += fmt.Sprintf(" by %s: %+v", d.who, d.said)
	case registers:
		s += fmt.Sprintf(" %s as %+v", d.who, d.says)
	case retires, drops:
		s += " of " + d.who
	case moves:
		s += " " + d.platform
	}
	if d.look {
		s += "; look"
	}
	return s
}

// life is a life before it is lived.
type life struct {
	pool      bool
	platforms [2]string
	deeds     []deed
}

func (l life) String() string {
	lines := []string{fmt.Sprintf("platforms %q, with a pool: %v", l.platforms, l.pool)}
	for _, d := range l.deeds {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "\n\t")
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func drawLife(r *rand.Rand) life {
	l := life{pool: r.IntN(2) == 0, platforms: [2]string{pick(r, "aws", "gcp"), pick(r, "aws", "gcp")}}
	deleted := false
	for range 5 + r.IntN(4) {
		d := deed{who: pick(r, lifeNames...), look: r.IntN(3) > 0}
		if l.pool {
			d.on = r.IntN(2)
		}
		switch n := r.IntN(100); {
		case n < 36:
			d.act = reports
			d.said = word{lag: int64(r.IntN(2)), available: r.IntN(8) > 0}
			if r.IntN(8) == 0 {
				d.said.errorType = pick(r, v1.ErrorFatal, v1.ErrorTransient)
			}
			if deleted && r.IntN(3) > 0 || r.IntN(8) == 0 {
				d.said.finalized, d.said.lag = pick(r, v1.ConditionTrue, v1.ConditionTrue, v1.ConditionFalse), int64(r.IntN(3))
			}
		case n < 56:
			d.act, d.says = registers, v1.RegisterController{Required: r.IntN(2) == 0, Finalizes: r.IntN(3) > 0}
			if r.IntN(2) == 0 {
				d.says.Platforms = []string{pick(r, "aws", "gcp")}
			}
			if r.IntN(4) == 0 {
				d.says.Kinds = []string{pick(r, "cluster", "nodepool")}
			}
		case n < 62:
			d.act = retires
		case n < 68:
			d.act = pick(r, puts, patches)
		case n < 73:
			d.act, d.platform = moves, pick(r, "aws", "gcp")
		case n < 76:
			d.act = drops
		case n < 86:
			d.act, deleted = deletes, true
		case n < 89:
			d.act = forces
		case n < 95:
			d.act = pick(r, reconciles, wakes, publishes)
		default:
			d.act = passes
		}
		l.deeds = append(l.deeds, d)
	}
	return l
}

// registryOf returns the use cases of the registry of an installation.
func (w world) registry() *service.Controllers { return service.NewControllers(w.db.DB) }

// living is a life that is being lived.
type living struct {
	t     *testing.T
	of    [2]world
	past  past
	n     int // of specs
	turn  int // of wake-ups
	fault string
	// seen is each resource as it was last looked at; quiet says that nothing was done with it since.
	seen  [2]*models.Resource
	quiet [2]bool
}

// wrongf notes what is wrong, the first of it.
func (l *living) wrongf(format string, args ...any) {
	if l.fault == "" {
		l.fault = fmt.Sprintf(format, args...)
	}
}

// live lives a life in an installation that it wipes before, and returns what is wrong first.
func live(t *testing.T, of [2]world, script life) (fault string, gone bool) {
	t.Helper()
	of[aCluster].exec(t, `
		WITH gone AS (DELETE FROM clusters), silent AS (DELETE FROM outbox), unknown AS (DELETE FROM controllers)
		UPDATE registry SET version = version + 1`)
	l := &living{t: t, of: of}
	l.create(aCluster, models.Draft{Name: "one"}, script.platforms[aCluster])
	if script.pool {
		l.create(aPool, models.Draft{Name: "one", ClusterID: l.past.things[aCluster].id}, script.platforms[aPool])
	}
	for i, d := range script.deeds {
		l.past.step++
		l.do(d)
		l.lookForEnds()
		if d.look || i == len(script.deeds)-1 {
			l.look(d.act == passes)
		}
		if l.fault != "" {
			return fmt.Sprintf("after deed %d: %s", i+1, l.fault), false
		}
	}
	l.past.step++
	l.pass()
	l.lookForEnds()
	l.look(true)
	return l.fault, l.past.things[aCluster].gone
}

func (l *living) create(on int, in models.Draft, platform string) {
	in.Spec = l.spec(platform)
	r, err := l.of[on].Resources.Create(l.t.Context(), alice, in)
	must(l.t, err)
	l.past.things[on] = &thing{kind: r.Kind, id: r.ID, platform: platform, begun: []int{0}}
}

// spec returns a spec that is none of those before.
func (l *living) spec(platform string) v1.Object {
	l.n++
	return fmt.Appendf(nil, `{"n":%d,"platform":{"type":%q}}`, l.n, platform)
}

// do does a deed and writes it down as far as it must succeed.
func (l *living) do(d deed) {
	ctx, w, g := l.t.Context(), l.of[d.on], l.past.things[d.on]
	switch d.act {
	case reports:
		l.report(d)
	case puts, patches, moves:
		l.change(d)
	case registers:
		_, err := w.registry().Register(ctx, robot, d.who, d.says)
		must(l.t, err)
		l.past.entries = append(l.past.entries, entry{step: l.past.step, who: d.who, says: d.says})
	case retires:
		l.retire(d.who)
	case drops:
		_, known := g.stored(d.who)
		known = known && !g.gone
		l.answered("drop", w.DropReport(ctx, robot, g.id, d.who), !known, v1.CodeNotFound)
		if known {
			g.drops = append(g.drops, taken{step: l.past.step, who: d.who})
			l.quiet[d.on] = false
		}
	case deletes, forces:
		l.delete(d)
	case reconciles:
		_, err := w.Reconcile(ctx, alice, g.id)
		l.answered("reconcile", err, g.gone, v1.CodeNotFound)
	case wakes:
		l.turn++
		for _, w := range l.of {
			_, err := w.WakeDue(ctx, ahead(l.turn), 100)
			must(l.t, err)
		}
	case publishes:
		w.exec(l.t, `UPDATE outbox SET published_at = now() WHERE published_at IS NULL`)
	case passes:
		l.pass()
	}
}

// answered holds an error against what it must be.
func (l *living) answered(what string, err error, refused bool, code v1.Code) {
	if refused && codeOf(err) != code || !refused && err != nil {
		l.wrongf("%s is answered %v; refused with %s: %v", what, err, code, refused)
	}
}

// pass is the pass of the scheduler over statuses.
func (l *living) pass() {
	for _, on := range []int{aPool, aCluster} {
		_, err := l.of[on].Refresh(l.t.Context(), 100)
		must(l.t, err)
	}
}

func (l *living) report(d deed) {
	g := l.past.things[d.on]
	r := taken{step: l.past.step, who: d.who, said: d.said, observed: g.generation()}
	if d.said.lag > 0 {
		r.observed = max(1, g.generation()-d.said.lag+1)
	}
	sent := available(d.who, v1.ConditionFalse)
	if d.said.available {
		sent = available(d.who, v1.ConditionTrue)
	}
	if d.said.finalized != "" {
		sent.Conditions = append(sent.Conditions, v1.ReportedCondition{Type: v1.ConditionFinalized, Status: d.said.finalized})
	}
	if d.said.errorType != "" {
		sent.LastError = &v1.ReportError{ErrorType: d.said.errorType}
	}
	if d.said.lag > 0 {
		sent.ObservedGeneration = r.observed
	}
	refused, fresh := l.past.report(g, r)
	result, err := l.of[d.on].Report(l.t.Context(), robot, g.id, sent)
	if err != nil || result.Applied != (refused == "") || result.Reason != refused || refused == "" && result.ObservedGeneration != r.observed {
		l.wrongf("the report is answered %+v, %v; want %q", result, err, refused)
	}
	if refused != "" {
		return
	}
	l.quiet[d.on] = l.quiet[d.on] && !fresh
	if fresh {
		g.taken = append(g.taken, r)
	}
}

func (l *living) change(d deed) {
	ctx, w, g := l.t.Context(), l.of[d.on], l.past.things[d.on]
	platform, code := g.platform, v1.CodeClusterDeleting
	if d.act == moves {
		platform = d.platform
	}
	if g.gone {
		code = v1.CodeNotFound
	}
	var err error
	next := l.spec(platform)
	if d.act == patches {
		_, err = w.Patch(ctx, alice, g.id, models.Patch{Spec: next}, "")
	} else {
		_, err = w.Update(ctx, alice, g.id, models.Edit{Spec: next}, "")
	}
	l.answered(string(d.act), err, g.deleted, code)
	if !g.deleted {
		g.platform = platform
		g.begun = append(g.begun, l.past.step)
		l.quiet[d.on] = false
		return
	}
	// The cluster of what is being deleted takes no new node pool, if it is the cluster that is.
	if d.on == aCluster {
		_, err = l.of[aPool].Resources.Create(ctx, alice, models.Draft{Name: "late", ClusterID: g.id})
		l.answered("a node pool", err, true, code)
	}
}

func (l *living) retire(who string) {
	_, known := l.past.entryAt(who, l.past.step)
	for _, g := range l.past.things {
		known = known || g != nil && slices.ContainsFunc(g.taken, func(r taken) bool { return r.who == who })
	}
	l.answered("retire", l.of[aCluster].registry().Retire(l.t.Context(), robot, who), !known, v1.CodeNotFound)
	if known {
		l.past.entries = append(l.past.entries, entry{step: l.past.step, who: who, retired: true})
	}
}

func (l *living) delete(d deed) {
	g := l.past.things[d.on]
	again, was := g.deleted, g.gone
	answer, err := l.of[d.on].Delete(l.t.Context(), alice, g.id, models.DeleteRequest{Force: d.act == forces, Reason: "enough"})
	l.answered("delete", err, was, v1.CodeNotFound)
	if was {
		return
	}
	hit := []int{d.on}
	if d.on == aCluster && l.past.things[aPool] != nil {
		hit = []int{aPool, aCluster}
	}
	for _, on := range hit {
		g := l.past.things[on]
		if !g.deleted {
			l.past.begins(g)
		} else if again && d.act == forces && !g.gone {
			g.forced = true
		}
		l.quiet[on] = false
	}
	if !slices.Equal(answer.WaitingFor, l.past.holders(g)) {
		l.wrongf("the deletion is answered with %v, by the history it waits for %v", answer.WaitingFor, l.past.holders(g))
	}
	if g.answer.ClusterID == "" {
		g.answer = answer
	}
	same := cmpopts.IgnoreFields(v1.Deletion{}, "Message", "WaitingFor") // Who is waited for may have let go.
	if diff := cmp.Diff(g.answer, answer, same); diff != "" || answer.Generation != g.generation() {
		l.wrongf("the deletion is answered differently again, at generation %d of %d: %s", answer.Generation, g.generation(), diff)
	}
}

// look reads the resources and holds them against the history. What waits for nobody must be gone
// after a pass.
func (l *living) look(passed bool) {
	for _, on := range []int{aPool, aCluster} { // A cluster waits for its pool.
		if g := l.past.things[on]; g != nil && !g.gone {
			l.lookAt(on, g, passed)
		}
	}
	l.lookAtEvents()
}

// lookForEnds notes what is gone, and whether it may be.
func (l *living) lookForEnds() {
	gone := values[string](l.t, l.of[aCluster], `
		SELECT id::text FROM clusters WHERE deleted_at IS NOT NULL UNION ALL SELECT id::text FROM nodepools WHERE deleted_at IS NOT NULL`)
	for _, on := range []int{aPool, aCluster} {
		g := l.past.things[on]
		if g == nil || g.gone || !slices.Contains(gone, g.id) {
			continue
		}
		if pool := l.past.things[aPool]; on == aCluster && pool != nil && !pool.gone {
			l.wrongf("the cluster is gone before its node pool")
		}
		if !l.past.mayBeGone(g) {
			l.wrongf("the %s is gone, held by %v; deleted: %v", g.kind, l.past.holders(g), g.deleted)
		}
		g.gone = true
		_, err := l.of[on].Get(l.t.Context(), robot, g.id)
		l.answered("a read of what is gone", err, true, v1.CodeNotFound)
	}
}

func (l *living) lookAt(on int, g *thing, passed bool) {
	r, kept, err := l.of[on].Status(l.t.Context(), alice, g.id)
	if err != nil {
		l.wrongf("read: %v", err)
		return
	}
	if passed && l.past.mayBeGone(g) {
		l.wrongf("the %s waits for nobody, and is not gone after a pass", g.kind)
	}
	l.lookAtStatus(g, r)
	l.lookAtExplanation(on, g, statusOf(l.t, r))
	var names, want []string
	for _, report := range kept {
		names = append(names, report.ControllerName)
	}
	for _, who := range lifeNames {
		if _, ok := g.stored(who); ok {
			want = append(want, who)
		}
	}
	if !slices.Equal(names, want) {
		l.wrongf("reports of %v, by the history of %v", names, want)
	}
	if was := l.seen[on]; was != nil && l.quiet[on] {
		if moved := was.ResourceVersion != r.ResourceVersion; moved == cmp.Equal(statusOf(l.t, was), statusOf(l.t, r)) {
			l.wrongf("nothing was done with the %s; its version went from %d to %d, its status from\n%s to\n%s",
				g.kind, was.ResourceVersion, r.ResourceVersion, was.Status, r.Status)
		}
	}
	l.seen[on], l.quiet[on] = r, true
}

func (l *living) lookAtStatus(g *thing, r *models.Resource) {
	s, want := statusOf(l.t, r), l.past.status(g)
	if r.Generation != g.generation() {
		l.wrongf("generation %d, by the history %d", r.Generation, g.generation())
	}
	got := wanted{Phase: s.Phase, Reason: s.Reason, Observed: s.ObservedGeneration}
	for _, c := range s.Conditions {
		switch c.Type {
		case v1.ConditionAvailable:
			got.Available = c.Status
		case v1.ConditionDegraded:
			got.Degraded = c.Status == v1.ConditionTrue
		case v1.ConditionReady:
			if (c.Status == v1.ConditionTrue) != (s.Phase == v1.PhaseReady) {
				l.wrongf("Ready is %s in phase %s", c.Status, s.Phase)
			}
		}
		if c.ObservedGeneration != g.generation() {
			l.wrongf("%s is of generation %d of %d", c.Type, c.ObservedGeneration, g.generation())
		}
	}
	_, waited, _ := strings.Cut(s.Message, "waiting for ")
	for _, who := range append([]string{"its node pools"}, lifeNames...) {
		if strings.Contains(waited, who) {
			got.WaitingFor = append(got.WaitingFor, who)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		l.wrongf("the status of the %s, -by the history +answered: %s%s", g.kind, diff, s.Message)
	}
}

// lookAtExplanation holds the explanation against the status that was read before.
func (l *living) lookAtExplanation(on int, g *thing, s v1.Status) {
	e, err := l.of[on].Explain(l.t.Context(), alice, g.id)
	if err != nil {
		l.wrongf("explain: %v", err)
		return
	}
	_, waited, _ := strings.Cut(s.Message, "waiting for ")
	var want, got []string
	for _, who := range lifeNames {
		if strings.Contains(waited, who) {
			want = append(want, who)
		}
	}
	for _, w := range e.WaitingFor {
		got = append(got, w.ControllerName)
	}
	if e.Phase != s.Phase || e.Reason != s.Reason || !slices.Equal(got, want) || len(e.Sentences) == 0 {
		l.wrongf("the status of the %s is explained by %+v: %+v", g.kind, e, s)
	}
}

// lookAtEvents holds what waits in the outbox against what is deleted.
func (l *living) lookAtEvents() {
	type row struct {
		Resource, Type, Reason string
		Generation             int64
		Wake, Forced, Waits    bool
	}
	rows, err := l.of[aCluster].raw.Query(l.t.Context(), `
		SELECT resource_id::text, type, reason, generation, wake, coalesce((metadata ->> 'force_delete')::boolean, false), published_at IS NULL
		FROM outbox ORDER BY seq`)
	must(l.t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	must(l.t, err)
	for _, g := range l.past.things {
		if g == nil || !g.deleted {
			continue
		}
		deletions, forced := 0, 0
		for _, e := range list {
			switch {
			case e.Resource != g.id:
			case e.Wake && e.Waits && (e.Type != g.kind.Event(models.Deleted) || e.Reason != v1.ReasonDeletionPending || e.Generation != g.generation()):
				l.wrongf("what is being deleted at generation %d is woken by %+v", g.generation(), e)
			case !e.Wake && e.Type == g.kind.Event(models.Deleted):
				deletions++
				if e.Forced {
					forced++
				}
				if e.Generation != g.generation() || e.Reason != v1.ReasonDeletionRequested {
					l.wrongf("the deletion of generation %d has the event %+v", g.generation(), e)
				}
			}
		}
		if deletions-forced != 1 || (forced > 0) != g.forced {
			l.wrongf("%d deletions, %d of them forced, of a %s that was forced: %v", deletions, forced, g.kind, g.forced)
		}
	}
}

// TestLives is the property: 2,000 random lives against PostgreSQL.
func TestLives(t *testing.T) { //nolint:tparallel // the group waits for its parts
	t.Parallel()
	const workers, lives = 8, 2000
	var gone atomic.Int64
	t.Run("all", func(t *testing.T) {
		for part := range workers {
			t.Run(strconv.Itoa(part), func(t *testing.T) {
				t.Parallel()
				clusters, pools := newWorlds(t)
				of := [2]world{clusters, pools}
				for i := range lives / workers {
					script := drawLife(rand.New(rand.NewPCG(*livesSeed+uint64(part), uint64(i))))
					fault, ended := live(t, of, script)
					if ended {
						gone.Add(1)
					}
					if fault != "" {
						script, fault = shrink(t, of, script, fault)
						t.Fatalf("-lives.seed %d: %s\n\t%s", *livesSeed, script, fault)
					}
				}
			})
		}
	})
	if n := gone.Load(); n < lives/10 && !t.Failed() {
		t.Errorf("only %d of %d lives ended", n, lives)
	}
}

// shrink leaves out of a life what it fails without.
func shrink(t *testing.T, of [2]world, script life, fault string) (life, string) {
	t.Helper()
	for i := 0; i < len(script.deeds); {
		less := script
		less.deeds = slices.Delete(slices.Clone(script.deeds), i, i+1)
		if f, _ := live(t, of, less); f != "" {
			script, fault, i = less, f, 0
			continue
		}
		i++
	}
	return script, fault
}
