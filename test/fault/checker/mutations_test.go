package checker_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cls-backend/cls-backend/test/fault/checker"
	"github.com/cls-backend/cls-backend/test/fault/history"
)

// run is a history that is about to be spoilt.
type run struct {
	history.History

	draw func(n int) int
}

func generate(t *rapid.T, most int) *run {
	s := newSim(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "draw") })
	for range rapid.IntRange(0, most).Draw(t, "steps") {
		s.step(4)
	}
	s.story()
	return &run{s.settle(), s.draw}
}

// one draws one of those that will do; nil if there is none.
func one[T any](r *run, list []T, will func(*T) bool) *T {
	var found []*T
	for i := range list {
		if will(&list[i]) {
			found = append(found, &list[i])
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[r.draw(len(found))]
}

func (r *run) row(id string) *history.Resource {
	i := slices.IndexFunc(r.Resources, func(row history.Resource) bool { return row.ID == id })
	return &r.Resources[i]
}

func (r *run) stored(id, controller string) *history.Stored {
	i := slices.IndexFunc(r.Reports, func(s history.Stored) bool { return s.ResourceID == id && s.Controller == controller })
	return &r.Reports[i]
}

// first returns the place of the first delivery of an event.
func (r *run) first(id string) int {
	return slices.IndexFunc(r.Deliveries, func(d history.Delivery) bool { return d.EventID == id })
}

func (r *run) dropCalls(gone func(c *history.Call) bool) {
	r.Calls = slices.DeleteFunc(r.Calls, func(c history.Call) bool { return gone(&c) })
}

func (r *run) dropDeliveries(id string) {
	r.Deliveries = slices.DeleteFunc(r.Deliveries, func(d history.Delivery) bool { return d.EventID == id })
}

func (r *run) dropQueued(id string) {
	r.Outbox = slices.DeleteFunc(r.Outbox, func(q history.Queued) bool { return q.EventID == id })
}

func (r *run) call(will func(c *history.Call) bool) *history.Call { return one(r, r.Calls, will) }

func (r *run) change(will func(q *history.Queued) bool) *history.Queued {
	wakes := []string{"attention", "deletion_pending"}
	return one(r, r.Outbox, func(q *history.Queued) bool { return !slices.Contains(wakes, q.Reason) && will(q) })
}

func always[T any](*T) bool { return true }

func isOK(op ...string) func(c *history.Call) bool {
	return func(c *history.Call) bool { return c.OK() && slices.Contains(op, c.Op) }
}

func isWrite(c *history.Call) bool { return isOK(history.OpUpdate, history.OpPatch)(c) }

func isApplied(c *history.Call) bool { return isOK(history.OpReport)(c) && c.Applied }

// confirms reports whether a call may be how dns let go of a resource's deletion.
func confirms(c *history.Call, row *history.Resource) bool {
	return c.Op == history.OpReport && c.ResourceID == row.ID && c.Controller == "dns" && c.Finalized && c.Observed == row.Generation &&
		(c.Applied || !c.OK())
}

// wentBack is a status, one of its controllers, and a higher observed generation that was shown before it began.
func (r *run) wentBack() (status *history.Call, at int, before int64) {
	status = r.call(func(c *history.Call) bool {
		return isOK(history.OpStatus)(c) && slices.ContainsFunc(c.Controllers, func(k history.Reported) bool { return r.shownBefore(c, k.Name) > 0 })
	})
	at = slices.IndexFunc(status.Controllers, func(k history.Reported) bool { return r.shownBefore(status, k.Name) > 0 })
	return status, at, r.shownBefore(status, status.Controllers[at].Name)
}

func (r *run) shownBefore(c *history.Call, controller string) (most int64) {
	for i := range r.Calls {
		b := &r.Calls[i]
		if b.ResourceID != c.ResourceID || !b.End.Before(c.Start) {
			continue
		}
		if isApplied(b) && b.Controller == controller {
			most = max(most, b.Observed)
		}
		for _, k := range b.Controllers {
			if k.Name == controller {
				most = max(most, k.Observed)
			}
		}
	}
	return most
}

// mutations are what can go wrong, each with the invariant that it breaks; others may break with it.
var mutations = []struct {
	breaks checker.Invariant
	why    string
	spoil  func(r *run)
}{
	{checker.Acknowledged, "a row is lost", func(r *run) {
		c := r.call(isOK(history.OpCreate, history.OpUpdate, history.OpGet, history.OpStatus))
		r.Resources = slices.DeleteFunc(r.Resources, func(row history.Resource) bool { return row.ID == c.ResourceID })
	}},
	{checker.Acknowledged, "a generation is lost", func(r *run) {
		c := r.call(func(c *history.Call) bool {
			return c.OK() && c.ResourceID != "" && c.Generation == r.row(c.ResourceID).Generation
		})
		r.row(c.ResourceID).Generation--
	}},
	{checker.Acknowledged, "a version is lost", func(r *run) {
		c := r.call(isWrite)
		version, err := strconv.ParseInt(strings.Trim(c.ETag, `"`), 10, 64)
		if err != nil {
			panic(err)
		}
		r.row(c.ResourceID).ResourceVersion = version - 1
	}},
	{checker.Acknowledged, "what was written is not in a revision", func(r *run) {
		c := r.call(func(c *history.Call) bool { return c.OK() && c.Mark != "" })
		for i := range r.Revisions {
			if r.Revisions[i].Mark == c.Mark {
				r.Revisions[i].Mark = "another"
			}
		}
	}},
	{checker.Acknowledged, "a deletion is lost", func(r *run) {
		row := r.row(r.call(isOK(history.OpDelete)).ResourceID)
		row.DeletionTimestamp, row.DeletedAt = nil, nil
	}},
	{checker.Acknowledged, "a force is lost", func(r *run) {
		row := r.row(r.call(func(c *history.Call) bool {
			return isOK(history.OpForce)(c) && slices.ContainsFunc(r.Calls, func(b history.Call) bool {
				return isOK(history.OpDelete)(&b) && b.ResourceID == c.ResourceID && b.End.Before(c.Start)
			})
		}).ResourceID)
		row.Forced = false
	}},
	{checker.Acknowledged, "a report is overwritten with an older one", func(r *run) {
		c := r.call(isApplied)
		r.stored(c.ResourceID, c.Controller).Observed = c.Observed - 1
	}},
	{checker.Acknowledged, "a report is lost", func(r *run) {
		c := r.call(func(c *history.Call) bool { return isApplied(c) && r.row(c.ResourceID).DeletedAt == nil })
		if c == nil { // None is on what lives on.
			c = r.call(isApplied)
			r.row(c.ResourceID).DeletedAt = nil
		}
		r.Reports = slices.DeleteFunc(r.Reports, func(s history.Stored) bool { return s.ResourceID == c.ResourceID && s.Controller == c.Controller })
	}},

	{checker.Delivered, "an event is not delivered", func(r *run) { r.dropDeliveries(r.change(always).EventID) }},
	{checker.Delivered, "a change is committed without its event", func(r *run) {
		id := r.change(func(q *history.Queued) bool { return q.Reason == "created" || q.Reason == "spec_changed" }).EventID
		r.dropQueued(id)
		r.dropDeliveries(id)
	}},
	{checker.Delivered, "a deletion is committed without its event", func(r *run) {
		id := r.change(func(q *history.Queued) bool { return q.Reason == "deletion_requested" && !r.row(q.ResourceID).Forced }).EventID
		r.dropQueued(id)
		r.dropDeliveries(id)
	}},

	{checker.Ordered, "two changes are swapped", func(r *run) {
		before := func(q *history.Queued) *history.Queued {
			return one(r, r.Outbox, func(p *history.Queued) bool {
				return p.ResourceID == q.ResourceID && p.Seq < q.Seq && slices.Contains([]string{"created", "spec_changed"}, p.Reason)
			})
		}
		q := r.change(func(q *history.Queued) bool { return q.Reason != "created" })
		i, j := r.first(before(q).EventID), r.first(q.EventID)
		r.Deliveries[i], r.Deliveries[j] = r.Deliveries[j], r.Deliveries[i]
	}},

	{checker.Identified, "a duplicate has another body", func(r *run) {
		again := *one(r, r.Deliveries, always)
		again.Body = "another"
		r.Deliveries = append(r.Deliveries, again)
	}},
	{checker.Identified, "a change has two events", func(r *run) {
		twin := *r.change(func(q *history.Queued) bool { return q.Reason == "created" || q.Reason == "spec_changed" })
		d := r.Deliveries[r.first(twin.EventID)]
		twin.EventID, d.EventID = "twin", "twin"
		twin.Seq = int64(len(r.Outbox)) * 10
		r.Outbox, r.Deliveries = append(r.Outbox, twin), append(r.Deliveries, d)
	}},
	{checker.Identified, "two changes have one id", func(r *run) {
		a := r.change(always)
		b := r.change(func(q *history.Queued) bool { return q != a })
		b.EventID = a.EventID
	}},

	{checker.OneWinner, "an ETag lets two through", func(r *run) {
		again := *r.call(func(c *history.Call) bool { return isWrite(c) && c.IfMatch != "" })
		again.Client = "another"
		r.Calls = append(r.Calls, again)
	}},
	{checker.OneWinner, "an ETag lets an unanswered one through as well", func(r *run) {
		again := *r.call(func(c *history.Call) bool { return isWrite(c) && c.IfMatch != "" })
		r.Revisions = append(r.Revisions, history.Revision{ResourceID: again.ResourceID, Generation: 100, Mark: "again"})
		r.Calls = append(r.Calls, history.Call{
			Start: again.Start, End: again.End, Op: again.Op, Kind: again.Kind, ResourceID: again.ResourceID, IfMatch: again.IfMatch, Mark: "again",
		})
	}},
	{checker.OneWinner, "a key makes two resources", func(r *run) {
		again := *r.call(isOK(history.OpCreate))
		again.ResourceID = "twin"
		r.Calls = append(r.Calls, again)
	}},
	{checker.OneWinner, "a key has two answers", func(r *run) {
		again := *r.call(isOK(history.OpCreate))
		again.Body = "another"
		r.Calls = append(r.Calls, again)
	}},
	{checker.OneWinner, "a key makes a second resource that nobody hears of", func(r *run) {
		again := *r.call(isOK(history.OpCreate))
		again.Status, again.ResourceID = 0, ""
		r.Calls = append(r.Calls, again)
		r.Revisions = append(r.Revisions, history.Revision{ResourceID: "twin", Generation: 1, Mark: again.Mark})
	}},

	{checker.Observed, "a status shows an older generation", func(r *run) {
		status, at, before := r.wentBack()
		status.Controllers[at].Observed = before - 1
	}},
	{checker.Observed, "a status has lost a controller", func(r *run) {
		status, at, _ := r.wentBack()
		status.Controllers = slices.Delete(status.Controllers, at, at+1)
	}},
	{checker.Observed, "an older report is applied", func(r *run) {
		c := *r.call(func(c *history.Call) bool { return isApplied(c) && c.Observed > 1 })
		c.Start, c.End, c.Observed = c.End.Add(time.Hour), c.End.Add(time.Hour), 1
		r.Calls = append(r.Calls, c)
	}},
	{checker.Observed, "less is stored than was read", func(r *run) {
		c := r.call(func(c *history.Call) bool { return isOK(history.OpStatus)(c) && len(c.Controllers) > 0 })
		k := c.Controllers[r.draw(len(c.Controllers))]
		r.stored(c.ResourceID, k.Name).Observed = k.Observed - 1
	}},

	{checker.ReadyIsTrue, "Ready without an expected controller", func(r *run) {
		c := r.call(func(c *history.Call) bool { return isOK(history.OpStatus)(c) && c.Ready })
		c.Controllers = slices.DeleteFunc(c.Controllers, func(k history.Reported) bool { return k.Name == "net" })
	}},
	{checker.ReadyIsTrue, "Ready with an expected controller behind", func(r *run) {
		c := r.call(func(c *history.Call) bool { return isOK(history.OpStatus)(c) && c.Ready })
		c.Controllers[slices.IndexFunc(c.Controllers, func(k history.Reported) bool { return k.Name == "net" })].Observed = c.Generation - 1
	}},
	{checker.ReadyIsTrue, "Ready by a report that nobody sent", func(r *run) {
		c := *r.call(func(c *history.Call) bool { return c.OK() && c.Ready })
		r.dropCalls(func(b *history.Call) bool {
			return b.Op == history.OpReport && b.ResourceID == c.ResourceID && b.Controller == "net" && b.Observed == c.Generation
		})
	}},
	{checker.ReadyIsTrue, "Ready before the report was sent", func(r *run) {
		c := *r.call(func(c *history.Call) bool { return c.OK() && c.Ready })
		for i := range r.Calls {
			if b := &r.Calls[i]; b.Op == history.OpReport && b.ResourceID == c.ResourceID {
				b.Start, b.End = b.Start.Add(time.Hour), b.End.Add(time.Hour)
			}
		}
	}},
	{checker.ReadyIsTrue, "Ready before the rollout", func(r *run) {
		r.call(func(c *history.Call) bool {
			return isOK(history.OpStatus)(c) && !slices.ContainsFunc(c.Controllers, func(k history.Reported) bool {
				return k.Name == "net" && k.Observed >= c.Generation
			})
		}).Ready = true
	}},

	{checker.Confirmed, "gone before a confirmation", func(r *run) {
		row := one(r, r.Resources, func(row *history.Resource) bool { return row.DeletedAt != nil && !row.Forced && row.Platform == "gcp" })
		c := r.Calls[slices.IndexFunc(r.Calls, func(c history.Call) bool { return confirms(&c, row) })]
		for i := range r.Calls {
			if b := &r.Calls[i]; confirms(b, row) && b.Start.Before(c.Start) {
				c = *b
			}
		}
		at := c.Start.Add(-time.Millisecond)
		row.DeletedAt = &at
	}},
	{checker.Confirmed, "gone without a confirmation", func(r *run) {
		row := one(r, r.Resources, func(row *history.Resource) bool { return row.DeletedAt != nil && !row.Forced && row.Platform == "gcp" })
		r.dropCalls(func(c *history.Call) bool { return confirms(c, row) })
	}},
	{checker.Confirmed, "the confirmation was of another generation", func(r *run) {
		row := one(r, r.Resources, func(row *history.Resource) bool { return row.DeletedAt != nil && !row.Forced && row.Platform == "gcp" })
		for i := range r.Calls {
			if c := &r.Calls[i]; confirms(c, row) {
				c.Observed--
			}
		}
	}},
	{checker.Confirmed, "the confirmation was not applied", func(r *run) {
		row := one(r, r.Resources, func(row *history.Resource) bool { return row.DeletedAt != nil && !row.Forced && row.Platform == "gcp" })
		for i := range r.Calls {
			if c := &r.Calls[i]; confirms(c, row) {
				c.Status, c.Applied = 200, false
			}
		}
	}},
	{checker.Confirmed, "forced by nobody", func(r *run) {
		row := one(r, r.Resources, func(row *history.Resource) bool { return row.Forced })
		r.dropCalls(func(c *history.Call) bool {
			return c.Op == history.OpForce && (c.ResourceID == row.ID || c.ResourceID == row.ClusterID)
		})
	}},
	{checker.Confirmed, "gone before its node pool", func(r *run) {
		pool := one(r, r.Resources, func(row *history.Resource) bool { return row.ClusterID != "" && r.row(row.ClusterID).DeletedAt != nil })
		later := r.row(pool.ClusterID).DeletedAt.Add(time.Second)
		pool.DeletedAt = []*time.Time{nil, &later}[r.draw(2)]
	}},
	{checker.Confirmed, "gone before its deletion", func(r *run) {
		row := one(r, r.Resources, func(row *history.Resource) bool { return row.DeletedAt != nil })
		later := row.DeletedAt.Add(time.Second)
		row.DeletionTimestamp = []*time.Time{nil, &later}[r.draw(2)]
	}},

	{checker.Caused, "an event under an id of its own", func(r *run) {
		d := r.Deliveries[r.first(r.change(always).EventID)]
		d.EventID = "another"
		r.Deliveries = append(r.Deliveries, d)
	}},
	{checker.Caused, "the outbox has forgotten an event", func(r *run) { r.dropQueued(r.change(always).EventID) }},
	{checker.Caused, "an event of a revision that was rolled back", func(r *run) {
		q := r.change(func(q *history.Queued) bool { return q.Reason == "created" || q.Reason == "spec_changed" })
		r.Revisions = slices.DeleteFunc(r.Revisions, func(rev history.Revision) bool {
			return rev.ResourceID == q.ResourceID && rev.Generation == q.Generation
		})
	}},
	{checker.Caused, "an event of a deletion that was rolled back", func(r *run) {
		row := r.row(r.change(func(q *history.Queued) bool { return q.Reason == "deletion_requested" }).ResourceID)
		row.DeletionTimestamp, row.DeletedAt = nil, nil
	}},
	{checker.Caused, "an event of another type than was committed", func(r *run) {
		q := r.change(always)
		for i := range r.Deliveries {
			if d := &r.Deliveries[i]; d.EventID == q.EventID {
				d.Type = "cluster.reconcile"
			}
		}
	}},
	{checker.Caused, "a wake-up of nothing", func(r *run) {
		r.Deliveries = append(r.Deliveries, history.Delivery{EventID: "wake", Type: "cluster.reconcile", ResourceID: "nobody", Generation: 1, Reason: "stable"})
	}},
	{checker.Caused, "a wake-up of a generation that is not there", func(r *run) {
		id := r.change(always).ResourceID
		r.Outbox = append(r.Outbox, history.Queued{
			Seq: 1 << 40, EventID: "wake", Type: "cluster.reconcile", ResourceID: id, Generation: 100, Reason: "stable", Published: true,
		})
		r.Deliveries = append(r.Deliveries, history.Delivery{EventID: "wake", Type: "cluster.reconcile", ResourceID: id, Generation: 100, Reason: "stable"})
	}},

	{checker.Released, "a goroutine more", func(r *run) { r.Leftovers[0].After++ }},
	{checker.Recovered, "it never comes back", func(r *run) { r.Recoveries[0].Converged = false }},
	{checker.Recovered, "it comes back late", func(r *run) { r.Recoveries[0].Took += 2 * time.Second }},
	{checker.Recovered, "a change is never published", func(r *run) { r.change(always).Published = false }},
}

// TestHealthyRunsPass: lost answers, retries, late calls and duplicates break nothing.
func TestHealthyRunsPass(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		if err := checker.Check(generate(t, 150).History).Err(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMutationsAreCaught: whatever else is on record, and wherever it happens.
func TestMutationsAreCaught(t *testing.T) {
	t.Parallel()
	for _, m := range mutations {
		t.Run(m.breaks.String()+" "+m.why, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				r := generate(t, 30)
				m.spoil(r)
				if found := checker.Check(r.History).Results[m.breaks-1]; found.Broken == 0 {
					t.Fatalf("%v was found whole, %d facts examined", m.breaks, found.Examined)
				}
			})
		})
	}
}

// BenchmarkCheck judges a run of two million calls.
func BenchmarkCheck(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	s := newSim(random.IntN)
	for len(s.h.Calls) < 2_000_000 {
		s.step(200)
	}
	s.story()
	h := s.settle()
	b.ReportAllocs()
	for b.Loop() {
		if err := checker.Check(h).Err(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(h.Calls)), "calls")
	b.ReportMetric(float64(len(h.Resources)), "resources")
	b.ReportMetric(float64(len(h.Deliveries)), "deliveries")
}
