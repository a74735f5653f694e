package checker_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sim is the service as it should be, in a world in which answers are lost, calls come twice or late, and events too.
type sim struct {
	draw   func(n int) int // at least 0, less than n
	sure   bool            // Nothing goes wrong and nothing overlaps.
	clock  time.Time
	serial int
	h      history.History
	things []*thing
	outbox []*history.Queued
	late   []func() // Calls that are still on their way.
}

// thing is a resource.
type thing struct {
	row      *history.Resource
	cluster  *thing
	pools    []*thing
	mark     string
	tags     []string // its latest ETags
	observed map[string]int64
	holders  []string
	queue    []*history.Queued // changes that are not published
	wake     *history.Queued   // the wake-up that is not published
}

func newSim(draw func(n int) int) *sim {
	return &sim{draw: draw, clock: start, h: history.History{Expected: []history.Controller{
		{Name: "net"},
		{Name: "dns", Platforms: []string{"gcp"}, Finalizes: true},
		{Name: "vpc", Platforms: []string{"AWS"}, Kinds: []string{"cluster"}, Finalizes: true},
		{Name: "vm", Kinds: []string{"nodepool"}, Finalizes: true},
	}}}
}

func (s *sim) id(of string) string {
	s.serial++
	return fmt.Sprintf("%s-%d", of, s.serial)
}

func (s *sim) tick() time.Time {
	s.clock = s.clock.Add(time.Millisecond)
	return s.clock
}

// slack is by how much a client's clock sees a call begin before it takes effect, and end after.
func (s *sim) slack() time.Duration {
	if s.sure {
		return 100 * time.Microsecond
	}
	return time.Duration(s.draw(4_000)) * time.Microsecond
}

// call asks until there is an answer, three times at most.
func (s *sim) call(asked history.Call, effect func(c *history.Call)) {
	const before, after, failed, late, fates = 0, 1, 2, 3, 16
	asked.Client = "client"
	for range 3 {
		c, fate := asked, fates
		if !s.sure {
			fate = s.draw(fates)
		}
		c.Start = s.tick().Add(-s.slack())
		switch fate {
		case before:
		case late:
			s.late = append(s.late, func() { gone := asked; effect(&gone) })
		default:
			effect(&c)
		}
		c.End = s.clock.Add(s.slack())
		if fate > late {
			s.h.Calls = append(s.h.Calls, c)
			return
		}
		lost := asked
		lost.Start, lost.End = c.Start, c.Start.Add(s.slack())
		if fate == failed {
			lost.End, lost.Status, lost.Code = c.End, 503, "UNAVAILABLE"
		}
		s.h.Calls = append(s.h.Calls, lost)
	}
}

func (t *thing) gone() bool     { return t.row.DeletedAt != nil }
func (t *thing) deleting() bool { return t.row.DeletionTimestamp != nil }
func (t *thing) etag() string   { return fmt.Sprintf(`"%d"`, t.row.ResourceVersion) }

// moved counts a change.
func (t *thing) moved() {
	t.row.ResourceVersion++
	t.tags = append(t.tags, t.etag())
	t.tags = t.tags[max(0, len(t.tags)-3):]
}

// answer writes what every answer has.
func (t *thing) answer(c *history.Call, status int) {
	c.Status, c.Generation, c.ETag = status, t.row.Generation, t.etag()
}

func refuse(c *history.Call, status int) { c.Status, c.Code = status, "REFUSED" }

// commit writes an event of a change.
func (s *sim) commit(t *thing, verb, reason string) {
	q := s.event(t, verb, reason)
	t.queue = append(t.queue, q)
}

func (s *sim) event(t *thing, verb, reason string) *history.Queued {
	q := &history.Queued{
		Seq: int64(len(s.outbox) + 1), EventID: s.id("event"), Type: t.row.Kind + "." + verb, ResourceID: t.row.ID,
		Generation: t.row.Generation, Reason: reason,
	}
	s.outbox = append(s.outbox, q)
	return q
}

func (s *sim) create(kind, platform string, cluster *thing) *thing {
	var made *thing
	asked := history.Call{Op: history.OpCreate, Kind: kind, Platform: platform, Key: s.id("key"), Mark: s.id("mark")}
	effect := func(c *history.Call) {
		if made == nil && cluster != nil && cluster.deleting() {
			refuse(c, 409)
			return
		}
		if made == nil {
			made = s.insert(asked, cluster)
		}
		c.Status, c.ResourceID, c.Body, c.ETag, c.Generation = 201, made.row.ID, "body of "+made.row.ID, `"1"`, 1
	}
	s.call(asked, effect)
	if s.sure || s.draw(3) == 0 {
		s.call(asked, effect)
	}
	return made
}

func (s *sim) insert(asked history.Call, cluster *thing) *thing {
	t := &thing{
		row:     &history.Resource{Kind: asked.Kind, ID: s.id(asked.Kind), Platform: asked.Platform, Generation: 1},
		cluster: cluster, observed: map[string]int64{},
	}
	if cluster != nil {
		t.row.ClusterID = cluster.row.ID
		cluster.pools = append(cluster.pools, t)
	}
	s.things = append(s.things, t)
	t.moved()
	s.revise(t, asked.Mark)
	s.commit(t, "created", "created")
	return t
}

func (s *sim) revise(t *thing, mark string) {
	t.mark = mark
	s.h.Revisions = append(s.h.Revisions, history.Revision{ResourceID: t.row.ID, Generation: t.row.Generation, Mark: mark})
}

// update changes the spec, with a precondition where one is given.
func (s *sim) update(t *thing, ifMatch string) {
	op := []string{history.OpUpdate, history.OpPatch}[s.draw(2)]
	asked := history.Call{Op: op, Kind: t.row.Kind, ResourceID: t.row.ID, IfMatch: ifMatch, Mark: s.id("mark")}
	s.call(asked, func(c *history.Call) {
		switch {
		case t.gone():
			refuse(c, 404)
		case ifMatch != "" && ifMatch != t.etag():
			refuse(c, 412)
		case t.deleting():
			refuse(c, 409)
		default:
			if t.mark != asked.Mark {
				t.row.Generation++
				t.moved()
				s.revise(t, asked.Mark)
				s.commit(t, "updated", "spec_changed")
			}
			t.answer(c, 200)
		}
	})
}

// label changes what is not the spec.
func (s *sim) label(t *thing) {
	s.call(history.Call{Op: history.OpPatch, Kind: t.row.Kind, ResourceID: t.row.ID}, func(c *history.Call) {
		if t.deleting() {
			refuse(c, 409)
			return
		}
		t.moved()
		s.commit(t, "updated", "metadata_changed")
		t.answer(c, 200)
	})
}

func (s *sim) remove(t *thing, ifMatch string) {
	s.call(history.Call{Op: history.OpDelete, Kind: t.row.Kind, ResourceID: t.row.ID, IfMatch: ifMatch}, func(c *history.Call) {
		if ifMatch != "" && ifMatch != t.etag() {
			refuse(c, 412)
			return
		}
		s.end(t, c, false)
	})
}

func (s *sim) force(t *thing) {
	s.call(history.Call{Op: history.OpForce, Kind: t.row.Kind, ResourceID: t.row.ID}, func(c *history.Call) { s.end(t, c, t.deleting()) })
}

// end begins a deletion, or ends it.
func (s *sim) end(t *thing, c *history.Call, force bool) {
	if t.gone() {
		refuse(c, 404)
		return
	}
	for _, one := range append(slices.Clone(t.pools), t) {
		switch {
		case one.gone():
			continue
		case !one.deleting():
			at := s.tick()
			one.row.DeletionTimestamp = &at
			one.row.Generation++
			one.moved()
			for _, of := range s.h.Expected {
				if of.Finalizes && isFor(of, one.row) {
					one.holders = append(one.holders, of.Name)
				}
			}
			one.takeBack()
			s.commit(one, "deleted", "deletion_requested")
		case force:
			one.row.Forced, one.holders = true, nil
			one.moved()
			s.commit(one, "deleted", "deletion_requested")
		}
		s.bury(one)
	}
	s.buryCluster(t)
	t.answer(c, 202)
	c.ETag = ""
}

// isFor reads what a registration is for.
func isFor(of history.Controller, row *history.Resource) bool {
	return (len(of.Kinds) == 0 || of.Kinds[0] == row.Kind) && (len(of.Platforms) == 0 || strings.EqualFold(of.Platforms[0], row.Platform))
}

// bury makes a tombstone of what waits for nobody.
func (s *sim) bury(t *thing) {
	living := slices.ContainsFunc(t.pools, func(pool *thing) bool { return !pool.gone() })
	if t.gone() || !t.deleting() || len(t.holders) > 0 || living {
		return
	}
	at := s.tick()
	t.row.DeletedAt = &at
	t.moved()
	t.takeBack()
}

// buryCluster makes a tombstone of a cluster that has waited for a node pool.
func (s *sim) buryCluster(t *thing) {
	if t.cluster != nil && t.gone() {
		s.bury(t.cluster)
	}
}

// takeBack removes a wake-up that waits. It may be with the subscriber already.
func (t *thing) takeBack() {
	if t.wake != nil {
		t.wake.Seq = 0
		t.wake = nil
	}
}

// wakeUp leaves a wake-up; one that waits gives its place to it.
func (s *sim) wakeUp(t *thing) {
	if t.gone() {
		return
	}
	verb, reason := "reconcile", "attention"
	if t.deleting() {
		verb, reason = "deleted", "deletion_pending"
	}
	if t.wake == nil {
		t.wake = s.event(t, verb, reason)
		return
	}
	t.wake.EventID, t.wake.Type, t.wake.Reason, t.wake.Generation = s.id("event"), t.row.Kind+"."+verb, reason, t.row.Generation
}

func (s *sim) report(t *thing, controller string, observed int64, finalized bool) {
	asked := history.Call{
		Op: history.OpReport, Kind: t.row.Kind, ResourceID: t.row.ID, Controller: controller, Observed: observed, Finalized: finalized,
	}
	s.call(asked, func(c *history.Call) {
		c.Status = 200
		if c.Applied = !t.gone() && observed >= t.observed[controller]; !c.Applied {
			return
		}
		if observed > t.observed[controller] {
			t.observed[controller] = observed
			t.moved()
		}
		if finalized && t.deleting() && observed == t.row.Generation {
			t.holders = slices.DeleteFunc(t.holders, func(h string) bool { return h == controller })
			s.bury(t)
			s.buryCluster(t)
		}
	})
}

// ready is the rule of a status, where everybody who reports is available.
func (s *sim) ready(t *thing) bool {
	if t.deleting() {
		return false
	}
	for _, of := range s.h.Expected {
		if isFor(of, t.row) && t.observed[of.Name] != t.row.Generation {
			return false
		}
	}
	for name, observed := range t.observed {
		if !s.elsewhere(name, t) && observed != t.row.Generation {
			return false
		}
	}
	return true
}

func (s *sim) elsewhere(name string, t *thing) bool {
	return slices.ContainsFunc(s.h.Expected, func(of history.Controller) bool { return of.Name == name && !isFor(of, t.row) })
}

// read asks for a resource or its status. The reports of a status are read after it, and others may come between.
func (s *sim) read(t *thing, op string) {
	s.call(history.Call{Op: op, Kind: t.row.Kind, ResourceID: t.row.ID}, func(c *history.Call) {
		if t.gone() {
			refuse(c, 404)
			return
		}
		t.answer(c, 200)
		c.Ready = s.ready(t)
		if op == history.OpGet {
			return
		}
		if !s.sure && s.draw(4) == 0 {
			s.someReport(t)
		}
		for name, observed := range t.observed {
			c.Controllers = append(c.Controllers, history.Reported{Name: name, Observed: observed, Available: true})
		}
	})
}

func (s *sim) list() {
	s.call(history.Call{Op: history.OpList, Kind: "cluster"}, func(c *history.Call) { c.Status = 200 })
}

func (s *sim) someReport(t *thing) {
	names := []string{"net", "dns", "vpc", "vm", "stray"}
	observed := t.row.Generation
	if s.draw(4) == 0 {
		observed = 1 + int64(s.draw(int(observed)))
	}
	s.report(t, names[s.draw(len(names))], observed, s.draw(2) == 0)
}

// relay publishes what is next of a resource. Whoever did may die before it is marked.
func (s *sim) relay(t *thing) {
	marks := s.sure || s.draw(5) > 0
	switch {
	case len(t.queue) > 0:
		s.deliver(t.queue[0])
		if marks {
			t.queue[0].Published = true
			t.queue = t.queue[1:]
		}
	case t.wake != nil:
		s.deliver(t.wake)
		if marks {
			t.wake.Published = true
			t.wake = nil
		}
	}
}

func (s *sim) deliver(q *history.Queued) {
	s.h.Deliveries = append(s.h.Deliveries, history.Delivery{
		At: s.tick(), EventID: q.EventID, Type: q.Type, ResourceID: q.ResourceID, Generation: q.Generation, Reason: q.Reason, Body: "body of " + q.EventID,
	})
}

// redeliver has an event come once more.
func (s *sim) redeliver() {
	if n := len(s.h.Deliveries); n > 0 {
		again := s.h.Deliveries[s.draw(n)]
		again.At = s.tick()
		s.h.Deliveries = append(s.h.Deliveries, again)
	}
}

// step does something. recent is of how many resources it may be, the newest.
func (s *sim) step(recent int) {
	if len(s.things) == 0 || s.draw(12) == 0 {
		s.createSome()
		return
	}
	t := s.things[len(s.things)-1-s.draw(min(recent, len(s.things)))]
	tag := ""
	if s.draw(2) == 0 {
		tag = t.tags[s.draw(len(t.tags))]
	}
	switch s.draw(18) {
	case 0, 1:
		s.update(t, tag)
	case 2:
		s.label(t)
	case 3:
		s.remove(t, tag)
	case 4:
		if s.draw(3) == 0 {
			s.force(t)
		}
	case 5, 6, 7, 8:
		s.someReport(t)
	case 9:
		s.read(t, history.OpGet)
	case 10, 11:
		s.read(t, history.OpStatus)
	case 12:
		s.wakeUp(t)
	case 13:
		s.redeliver()
	case 14:
		if n := len(s.late); n > 0 {
			arrives := s.late[n-1]
			s.late = s.late[:n-1]
			s.tick()
			arrives()
		}
	case 15:
		s.list()
	default:
		s.relay(t)
	}
}

func (s *sim) createSome() {
	platform := []string{"gcp", "aws", ""}[s.draw(3)]
	if len(s.things) > 0 && s.draw(3) == 0 {
		if t := s.things[len(s.things)-1]; t.row.Kind == "cluster" {
			s.create("nodepool", platform, t)
			return
		}
	}
	s.create("cluster", platform, nil)
}

// story is a life in which everything happens that can be judged, and nothing goes wrong.
func (s *sim) story() {
	s.sure = true
	a := s.create("cluster", "gcp", nil)
	pool := s.create("nodepool", "gcp", a)
	for _, t := range []*thing{a, pool} {
		s.everybody(t, false)
		s.read(t, history.OpStatus)
		tag := t.etag()
		s.update(t, tag)
		s.update(t, tag)
		s.label(t)
		s.relay(t)
		s.redeliver()
		s.everybody(t, false)
		s.read(t, history.OpStatus)
		s.read(t, history.OpStatus)
		s.wakeUp(t)
	}
	b := s.create("cluster", "aws", nil)
	for _, t := range []*thing{a, b} {
		s.remove(t, t.etag())
		s.read(t, history.OpStatus)
	}
	s.force(b)
	s.update(s.create("cluster", "gcp", nil), "")
	for s.draw(2) == 1 {
		s.redeliver()
	}
}

// everybody reports at the present generation.
func (s *sim) everybody(t *thing, finalized bool) {
	for _, of := range s.h.Expected {
		if isFor(of, t.row) || t.observed[of.Name] > 0 {
			s.report(t, of.Name, t.row.Generation, finalized)
		}
	}
}

// settle ends what has begun, and returns what is on record then.
func (s *sim) settle() history.History {
	s.sure = true
	for _, arrives := range s.late {
		s.tick()
		arrives()
	}
	for _, t := range slices.Backward(s.things) { // Node pools before their clusters.
		if t.deleting() {
			s.everybody(t, true)
		}
	}
	for _, t := range s.things {
		for len(t.queue) > 0 || t.wake != nil {
			s.relay(t)
		}
		s.h.Resources = append(s.h.Resources, *t.row)
		for name, observed := range t.observed {
			s.h.Reports = append(s.h.Reports, history.Stored{ResourceID: t.row.ID, Controller: name, Observed: observed})
		}
	}
	for _, q := range s.outbox {
		if q.Seq > 0 {
			s.h.Outbox = append(s.h.Outbox, *q)
		}
	}
	slices.SortStableFunc(s.h.Calls, func(a, b history.Call) int { return a.End.Compare(b.End) })
	s.h.Leftovers = []history.Leftover{{What: "goroutines of replica 1", Before: 40, After: 42, Slack: 2}}
	s.h.Recoveries = []history.Recovery{{Fault: "kill", Took: 59 * time.Second, Limit: time.Minute, Converged: true}}
	return s.h
}
