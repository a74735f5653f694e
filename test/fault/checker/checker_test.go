package checker_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cls-backend/cls-backend/test/fault/checker"
	"github.com/cls-backend/cls-backend/test/fault/history"
)

// at is a moment, in seconds since the start.
func at(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }

// life is a cluster "a" as it stands after n generations, each with its event, published and delivered. None was
// asked for on record.
func life(n int64) history.History {
	h := history.History{Resources: []history.Resource{{Kind: "cluster", ID: "a", Platform: "gcp", Generation: n, ResourceVersion: 10 * n}}}
	for g := int64(1); g <= n; g++ {
		eventType, reason := "cluster.updated", "spec_changed"
		if g == 1 {
			eventType, reason = "cluster.created", "created"
		}
		h.Revisions = append(h.Revisions, history.Revision{ResourceID: "a", Generation: g, Mark: "m" + string('0'+rune(g))})
		publish(&h, eventType, reason, g)
	}
	return h
}

// publish adds an event of "a" that is published and delivered.
func publish(h *history.History, eventType, reason string, generation int64) {
	q := history.Queued{
		Seq: int64(len(h.Outbox) + 1), EventID: "e" + string('1'+rune(len(h.Outbox))), Type: eventType, ResourceID: "a",
		Generation: generation, Reason: reason, Published: true,
	}
	h.Outbox = append(h.Outbox, q)
	h.Deliveries = append(h.Deliveries, history.Delivery{
		At: at(float64(q.Seq)), EventID: q.EventID, Type: q.Type, ResourceID: "a", Generation: generation, Reason: reason, Body: "b" + q.EventID,
	})
}

// gone is the life of a cluster of two generations, the second its deletion; it was gone at second 50.
func gone() history.History {
	h := life(1)
	h.Expected = []history.Controller{{Name: "dns", Finalizes: true}}
	h.Resources[0].Generation = 2
	h.Resources[0].DeletionTimestamp, h.Resources[0].DeletedAt = new(at(40)), new(at(50))
	publish(&h, "cluster.deleted", "deletion_requested", 2)
	h.Calls = []history.Call{finalized(at(45), at(55))}
	return h
}

func finalized(from, to time.Time) history.Call {
	return history.Call{Start: from, End: to, Op: history.OpReport, ResourceID: "a", Controller: "dns", Observed: 2, Finalized: true, Status: 200, Applied: true}
}

// ask is a call on "a" that was answered.
func ask(op string, from, to float64, status int) history.Call {
	return history.Call{Start: at(from), End: at(to), Client: "x", Op: op, Kind: "cluster", ResourceID: "a", Status: status}
}

func with(c history.Call, changes ...func(c *history.Call)) history.Call {
	for _, change := range changes {
		change(&c)
	}
	return c
}

func generation(g int64) func(c *history.Call) { return func(c *history.Call) { c.Generation = g } }
func mark(m string) func(c *history.Call)      { return func(c *history.Call) { c.Mark = m } }
func ifMatch(tag string) func(c *history.Call) { return func(c *history.Call) { c.IfMatch = tag } }

// shows is what a status tells of "dns".
func shows(observed int64) func(c *history.Call) {
	return func(c *history.Call) { c.Controllers = []history.Reported{{Name: "dns", Observed: observed}} }
}

// ready says Ready at generation 2.
func ready(c *history.Call) { c.Ready, c.Phase, c.Generation = true, "Ready", 2 }

// reports is a report of "dns".
func reports(observed int64) func(c *history.Call) {
	return func(c *history.Call) { c.Controller, c.Observed, c.Applied = "dns", observed, c.Status == 200 }
}

// keyed is a creation under a key that was answered with a resource and a body.
func keyed(id, body string) func(c *history.Call) {
	return func(c *history.Call) { c.Key, c.ResourceID, c.Body, c.Mark, c.Generation = "k", id, body, "m1", 1 }
}

// waited is a life of two generations with a controller that is waited for.
func waited(of history.Controller, calls ...history.Call) history.History {
	h := life(2)
	h.Expected = []history.Controller{of}
	h.Calls = calls
	h.Reports = []history.Stored{{ResourceID: "a", Controller: "dns", Observed: 2}}
	return h
}

// asked is a history with calls.
func asked(h history.History, calls ...history.Call) history.History {
	h.Calls = append(h.Calls, calls...)
	return h
}

func changed(h history.History, changes ...func(h *history.History)) history.History {
	for _, change := range changes {
		change(&h)
	}
	return h
}

func deliver(h *history.History, i int, changes ...func(d *history.Delivery)) {
	d := h.Deliveries[i]
	d.At = at(60)
	for _, change := range changes {
		change(&d)
	}
	h.Deliveries = append(h.Deliveries, d)
}

// pair is a history that breaks an invariant, and the nearest that does not.
type pair struct {
	breaks          checker.Invariant
	why             string
	faulty, healthy history.History
}

var pairs = []pair{
	{
		checker.Acknowledged, "a creation without a row; an unanswered one may have none",
		asked(history.History{}, with(ask(history.OpCreate, 1, 2, 201), generation(1))),
		asked(life(1), with(ask(history.OpCreate, 1, 2, 201), generation(1)), history.Call{Op: history.OpCreate, Mark: "m9"}),
	},
	{
		checker.Acknowledged, "a generation that was told and is not there; a later one passes it",
		asked(life(1), with(ask(history.OpUpdate, 1, 2, 200), generation(2))),
		asked(life(3), with(ask(history.OpUpdate, 1, 2, 200), generation(2))),
	},
	{
		checker.Acknowledged, "a read of what was rolled back",
		asked(life(1), with(ask(history.OpGet, 1, 2, 200), func(c *history.Call) { c.ETag = `"11"` })),
		asked(life(1), with(ask(history.OpGet, 1, 2, 200), func(c *history.Call) { c.ETag = `"10"` })),
	},
	{
		checker.Acknowledged, "two updates that were told the same generation, of which one overwrote the other; a refused one leaves nothing",
		asked(life(2), with(ask(history.OpUpdate, 1, 2, 200), generation(2), mark("m2")), with(ask(history.OpUpdate, 1, 2, 200), generation(2), mark("m9"))),
		asked(life(2), with(ask(history.OpUpdate, 1, 2, 200), generation(2), mark("m2")), with(ask(history.OpUpdate, 1, 2, 412), mark("m9"))),
	},
	{
		checker.Acknowledged, "a write in a revision after that which was told; a repeated one is told a later",
		asked(life(3), with(ask(history.OpUpdate, 1, 2, 200), generation(2), mark("m3"))),
		asked(life(3), with(ask(history.OpUpdate, 1, 2, 200), generation(3), mark("m2"))),
	},
	{
		checker.Acknowledged, "a deletion that has not begun; an unanswered one need not have",
		asked(life(1), ask(history.OpDelete, 1, 2, 202)),
		asked(gone(), ask(history.OpDelete, 1, 2, 202), ask(history.OpDelete, 1, 2, 503), ask(history.OpDelete, 1, 2, 0)),
	},
	{
		checker.Acknowledged, "a force of a deletion that leaves no trace; what overlaps with the deletion may be an ordinary one",
		asked(gone(), ask(history.OpDelete, 1, 2, 202), ask(history.OpForce, 3, 4, 202)),
		asked(gone(), ask(history.OpDelete, 1, 2, 202), ask(history.OpForce, 2, 4, 202)),
	},
	{
		checker.Acknowledged, "a report that was applied and is not stored; it may go with what it is on",
		asked(life(2), with(ask(history.OpReport, 1, 2, 200), reports(2))),
		gone(),
	},
	{
		checker.Acknowledged, "a report that was applied and of which an older one is stored; a newer one passes it",
		waited(history.Controller{Name: "net"}, with(ask(history.OpReport, 1, 2, 200), reports(3))),
		waited(history.Controller{Name: "net"}, with(ask(history.OpReport, 1, 2, 200), reports(1)), with(ask(history.OpReport, 1, 2, 0), reports(3))),
	},

	{
		checker.Delivered, "an event that is not delivered; once is enough",
		changed(life(2), func(h *history.History) { h.Deliveries = h.Deliveries[:1] }),
		changed(life(2), func(h *history.History) { deliver(h, 0) }),
	},
	{
		checker.Delivered, "a change of labels that is not delivered",
		changed(life(1), func(h *history.History) {
			publish(h, "cluster.updated", "metadata_changed", 1)
			h.Deliveries = h.Deliveries[:1]
		}),
		changed(life(1), func(h *history.History) { publish(h, "cluster.updated", "metadata_changed", 1) }),
	},
	{
		checker.Delivered, "a generation without its event; that of a change of labels is not it",
		changed(life(2), func(h *history.History) {
			h.Outbox[1].Reason, h.Deliveries[1].Reason = "metadata_changed", "metadata_changed"
		}),
		life(2),
	},
	{
		checker.Delivered, "a deletion of which only the repetition was delivered",
		changed(gone(), func(h *history.History) {
			h.Outbox[1].Reason, h.Deliveries[1].Reason = "deletion_pending", "deletion_pending"
		}),
		changed(gone(), func(h *history.History) { publish(h, "cluster.deleted", "deletion_pending", 2) }),
	},

	{
		checker.Ordered, "a change before the one before; a late duplicate disturbs nothing",
		changed(life(2), func(h *history.History) { slices.Reverse(h.Deliveries) }),
		changed(life(2), func(h *history.History) { deliver(h, 0) }),
	},
	{
		checker.Ordered, "a change of labels before the one before; a wake-up has no order",
		changed(life(1), func(h *history.History) {
			publish(h, "cluster.updated", "metadata_changed", 1)
			slices.Reverse(h.Deliveries)
		}),
		changed(life(2), func(h *history.History) {
			publish(h, "cluster.reconcile", "attention", 2)
			h.Deliveries[0], h.Deliveries[2] = h.Deliveries[2], h.Deliveries[0]
			h.Deliveries[1], h.Deliveries[2] = h.Deliveries[2], h.Deliveries[1]
		}),
	},

	{
		checker.Identified, "a duplicate with another body; the time is the subscriber's",
		changed(life(1), func(h *history.History) { deliver(h, 0, func(d *history.Delivery) { d.Body = "other" }) }),
		changed(life(1), func(h *history.History) { deliver(h, 0) }),
	},
	{
		checker.Identified, "a duplicate of another generation",
		changed(life(2), func(h *history.History) { deliver(h, 0, func(d *history.Delivery) { d.Generation = 2 }) }),
		changed(life(2), func(h *history.History) { deliver(h, 1) }),
	},
	{
		checker.Identified, "two events of one change; wake-ups and changes of labels are as many as there are",
		changed(life(2), func(h *history.History) { publish(h, "cluster.updated", "spec_changed", 2) }),
		changed(life(2), func(h *history.History) {
			publish(h, "cluster.updated", "metadata_changed", 2)
			publish(h, "cluster.updated", "metadata_changed", 2)
			publish(h, "cluster.reconcile", "stable", 2)
			publish(h, "cluster.reconcile", "stable", 2)
		}),
	},
	{
		checker.Identified, "two events of one deletion; a force has one of its own",
		changed(gone(), func(h *history.History) { publish(h, "cluster.deleted", "deletion_requested", 2) }),
		changed(gone(), func(h *history.History) {
			h.Resources[0].Forced = true
			h.Calls = []history.Call{ask(history.OpForce, 45, 55, 202)}
			publish(h, "cluster.deleted", "deletion_requested", 2)
		}),
	},

	{
		checker.OneWinner, "two updates with one ETag; the other is refused",
		asked(life(3), with(ask(history.OpUpdate, 1, 2, 200), ifMatch(`"1"`)), with(ask(history.OpPatch, 1, 2, 200), ifMatch(`"1"`))),
		asked(life(3), with(ask(history.OpUpdate, 1, 2, 200), ifMatch(`"1"`)), with(ask(history.OpPatch, 1, 2, 412), ifMatch(`"1"`))),
	},
	{
		checker.OneWinner, "an update and a deletion with one ETag; a repeated deletion changes nothing",
		asked(gone(), with(ask(history.OpUpdate, 1, 2, 200), ifMatch(`"1"`)), with(ask(history.OpDelete, 1, 2, 202), ifMatch(`"1"`))),
		asked(gone(), with(ask(history.OpDelete, 1, 2, 202), ifMatch(`"1"`)), with(ask(history.OpDelete, 1, 2, 202), ifMatch(`"1"`))),
	},
	{
		checker.OneWinner, "an unanswered update that came through beside another; it may have come through with another ETag",
		asked(life(3), with(ask(history.OpUpdate, 1, 2, 200), ifMatch(`"1"`), mark("m2"), generation(2)), with(ask(history.OpUpdate, 1, 2, 0), ifMatch(`"1"`), mark("m3"))),
		asked(life(3), with(ask(history.OpUpdate, 1, 2, 200), ifMatch(`"1"`), mark("m2"), generation(2)), with(ask(history.OpUpdate, 1, 2, 0), ifMatch(`"1"`), mark("m3")),
			with(ask(history.OpUpdate, 3, 4, 0), ifMatch(`"2"`), mark("m3"))),
	},
	{
		checker.OneWinner, "an unanswered update that came through beside another; it has not",
		asked(life(3), with(ask(history.OpUpdate, 1, 2, 503), ifMatch(`"1"`), mark("m2")), with(ask(history.OpUpdate, 1, 2, 0), ifMatch(`"1"`), mark("m3"))),
		asked(life(3), with(ask(history.OpUpdate, 1, 2, 503), ifMatch(`"1"`), mark("m2")), with(ask(history.OpUpdate, 1, 2, 0), ifMatch(`"1"`), mark("m9"))),
	},
	{
		checker.OneWinner, "a key with two bodies",
		asked(life(1), with(ask(history.OpCreate, 1, 2, 201), keyed("a", "one")), with(ask(history.OpCreate, 3, 4, 201), keyed("a", "two"))),
		asked(life(1), with(ask(history.OpCreate, 1, 2, 201), keyed("a", "one")), with(ask(history.OpCreate, 3, 4, 201), keyed("a", "one"))),
	},
	{
		checker.OneWinner, "a key that made a second resource unheard; once it is enough",
		changed(asked(life(1), with(ask(history.OpCreate, 1, 2, 0), keyed("", "")), with(ask(history.OpCreate, 3, 4, 201), keyed("a", "one"))), twin),
		asked(life(1), with(ask(history.OpCreate, 1, 2, 0), keyed("", "")), with(ask(history.OpCreate, 3, 4, 201), keyed("a", "one"))),
	},

	{
		checker.Observed, "a later read shows less; one that overlaps may have been before",
		waited(history.Controller{Name: "net"}, with(ask(history.OpStatus, 1, 2, 200), shows(2)), with(ask(history.OpStatus, 3, 4, 200), shows(1))),
		waited(history.Controller{Name: "net"}, with(ask(history.OpStatus, 1, 2, 200), shows(2)), with(ask(history.OpStatus, 2, 4, 200), shows(1))),
	},
	{
		checker.Observed, "a read shows less than was reported; what was not answered may come later",
		waited(history.Controller{Name: "net"}, with(ask(history.OpReport, 1, 2, 200), reports(2)), with(ask(history.OpStatus, 3, 4, 200), shows(1))),
		waited(history.Controller{Name: "net"}, with(ask(history.OpReport, 1, 2, 0), reports(2)), with(ask(history.OpStatus, 3, 4, 200), shows(1)), with(ask(history.OpStatus, 5, 6, 200), shows(2))),
	},
	{
		checker.Observed, "a read has lost a controller",
		waited(history.Controller{Name: "net"}, with(ask(history.OpStatus, 1, 2, 200), shows(1)), ask(history.OpStatus, 3, 4, 200)),
		waited(history.Controller{Name: "net"}, ask(history.OpStatus, 1, 2, 200), with(ask(history.OpStatus, 3, 4, 200), shows(1))),
	},
	{
		checker.Observed, "an older report is applied; it is answered as stale",
		waited(history.Controller{Name: "net"}, with(ask(history.OpReport, 1, 2, 200), reports(2)), with(ask(history.OpReport, 3, 4, 200), reports(1))),
		waited(history.Controller{Name: "net"}, with(ask(history.OpReport, 1, 2, 200), reports(2)), with(ask(history.OpReport, 3, 4, 200), reports(1), func(c *history.Call) { c.Applied = false }),
			with(ask(history.OpReport, 3, 4, 200), reports(2))),
	},
	{
		checker.Observed, "a read shows less than one before the last; of two that overlap either may be the older",
		waited(history.Controller{Name: "net"}, with(ask(history.OpStatus, 1, 2, 200), shows(2)), with(ask(history.OpStatus, 1.5, 3, 200), shows(1)), with(ask(history.OpStatus, 4, 5, 200), shows(1))),
		waited(history.Controller{Name: "net"}, with(ask(history.OpStatus, 1, 2, 200), shows(2)), with(ask(history.OpStatus, 1.5, 3, 200), shows(1)), with(ask(history.OpStatus, 4, 5, 200), shows(2))),
	},
	{
		checker.Observed, "nothing is stored of what was read; it may go with what it is on",
		asked(life(1), with(ask(history.OpStatus, 1, 2, 200), shows(1))),
		asked(gone(), with(ask(history.OpStatus, 1, 2, 200), shows(1)), with(ask(history.OpStatus, 3, 4, 200), shows(1))),
	},
	{
		checker.Observed, "less is stored than was read",
		waited(history.Controller{Name: "net"}, with(ask(history.OpStatus, 1, 2, 200), shows(3))),
		waited(history.Controller{Name: "net"}, with(ask(history.OpStatus, 1, 2, 200), shows(2))),
	},

	{
		checker.ReadyIsTrue, "an expected controller is missing; one that is registered for another platform is not expected",
		waited(history.Controller{Name: "net"}, with(ask(history.OpStatus, 3, 4, 200), ready)),
		waited(history.Controller{Name: "dns", Platforms: []string{"GCP"}}, with(ask(history.OpReport, 1, 2, 200), reports(2)), with(ask(history.OpStatus, 3, 4, 200), ready, shows(2))),
	},
	{
		checker.ReadyIsTrue, "an expected controller is behind; not Ready is true",
		waited(history.Controller{Name: "dns"}, with(ask(history.OpReport, 1, 2, 200), reports(1)), with(ask(history.OpReport, 1, 6, 0), reports(2)), with(ask(history.OpStatus, 3, 4, 200), ready, shows(1))),
		waited(history.Controller{Name: "dns"}, with(ask(history.OpReport, 1, 2, 200), reports(1)), with(ask(history.OpReport, 1, 6, 0), reports(2)), with(ask(history.OpStatus, 3, 4, 200), generation(2), shows(1)),
			with(ask(history.OpStatus, 5, 6, 200), ready, shows(2))),
	},
	{
		checker.ReadyIsTrue, "a read is Ready before an expected controller has reported; an unanswered report may have counted",
		waited(history.Controller{Name: "dns"}, with(ask(history.OpGet, 1, 2, 200), ready), with(ask(history.OpReport, 2, 4, 200), reports(2))),
		waited(history.Controller{Name: "dns"}, with(ask(history.OpGet, 1, 3, 200), ready), with(ask(history.OpReport, 2, 4, 0), reports(2))),
	},
	{
		checker.ReadyIsTrue, "the report came after the read; it may have been a retry of one that counted",
		waited(history.Controller{Name: "dns"}, with(ask(history.OpReport, 1, 2, 503), reports(1)), with(ask(history.OpGet, 3, 4, 200), ready), with(ask(history.OpReport, 5, 6, 200), reports(2))),
		waited(history.Controller{Name: "dns"}, with(ask(history.OpReport, 1, 2, 503), reports(2)), with(ask(history.OpGet, 3, 4, 200), ready), with(ask(history.OpReport, 5, 6, 200), reports(2))),
	},
	{
		checker.ReadyIsTrue, "who has reported is waited for; not before the report is known to be stored",
		waited(history.Controller{Name: "net", Kinds: []string{"nodepool"}}, with(ask(history.OpReport, 1, 2, 200), reports(1)), with(ask(history.OpStatus, 3, 4, 200), ready, shows(1))),
		changed(waited(history.Controller{Name: "net", Kinds: []string{"cluster"}}, with(ask(history.OpReport, 1, 3, 200), reports(1)), with(ask(history.OpReport, 1, 2, 0), reports(2), by("net")),
			with(ask(history.OpStatus, 3, 4, 200), ready, shows(1), showsAlso("net", 2))), netReported),
	},
	{
		checker.ReadyIsTrue, "who has reported is waited for; not who is registered for something else",
		waited(history.Controller{Name: "dns", Platforms: []string{"gcp"}}, with(ask(history.OpReport, 1, 2, 200), reports(1)), with(ask(history.OpGet, 3, 4, 200), ready)),
		changed(waited(history.Controller{Name: "dns", Platforms: []string{"aws"}}, with(ask(history.OpReport, 1, 2, 200), reports(1)), with(ask(history.OpGet, 3, 4, 200), ready),
			with(ask(history.OpReport, 1, 2, 200), reports(2), by("net"))), netReported, func(h *history.History) {
			h.Expected = append(h.Expected, history.Controller{Name: "net"})
		}),
	},

	{
		checker.Confirmed, "gone before the confirmation was sent; it may be gone before that is answered",
		changed(gone(), func(h *history.History) { h.Calls[0].Start = at(51) }),
		gone(),
	},
	{
		checker.Confirmed, "the confirmation was refused; one that was not answered may have counted",
		changed(gone(), func(h *history.History) { h.Calls[0].Status, h.Calls[0].Applied = 400, false }),
		changed(gone(), func(h *history.History) { h.Calls[0].Status, h.Calls[0].Applied = 0, false }),
	},
	{
		checker.Confirmed, "the confirmation was not applied; one that was answered with a failure may have been",
		changed(gone(), func(h *history.History) { h.Calls[0].Applied = false }),
		changed(gone(), func(h *history.History) { h.Calls[0].Status, h.Calls[0].Applied = 500, false }),
	},
	{
		checker.Confirmed, "the confirmation was of the generation before",
		changed(gone(), func(h *history.History) { h.Calls[0].Observed = 1 }),
		changed(gone(), func(h *history.History) { h.Calls = append(h.Calls, finalized(at(1), at(2))) }),
	},
	{
		checker.Confirmed, "one of two has not confirmed; one of another platform need not",
		changed(gone(), func(h *history.History) {
			h.Expected = append(h.Expected, history.Controller{Name: "net", Finalizes: true})
		}),
		changed(gone(), func(h *history.History) {
			h.Expected = append(h.Expected, history.Controller{Name: "net", Finalizes: true, Platforms: []string{"aws"}}, history.Controller{Name: "vm"})
		}),
	},
	{
		checker.Confirmed, "forced after it was gone; before, nobody is waited for",
		forced(ask(history.OpForce, 51, 52, 202)),
		forced(ask(history.OpForce, 49, 52, 0)),
	},
	{
		checker.Confirmed, "gone before its node pool",
		pooled(at(51)),
		pooled(at(50)),
	},
	{
		checker.Confirmed, "gone without a deletion",
		changed(gone(), func(h *history.History) { h.Resources[0].DeletionTimestamp = new(at(50.1)) }),
		changed(gone(), func(h *history.History) { h.Resources[0].DeletionTimestamp = new(at(50)) }),
	},

	{
		checker.Caused, "an event that the outbox does not have",
		changed(life(1), func(h *history.History) {
			deliver(h, 0, func(d *history.Delivery) { d.EventID, d.Reason, d.Type = "x", "metadata_changed", "cluster.updated" })
		}),
		life(1),
	},
	{
		checker.Caused, "a wake-up that the outbox does not have; a newer one may have taken its place",
		changed(life(1), wake),
		changed(life(1), wake, func(h *history.History) { publish(h, "cluster.reconcile", "attention", 1) }),
	},
	{
		checker.Caused, "a wake-up that the outbox does not have; a deletion may have taken it back",
		changed(life(1), wake),
		changed(gone(), wake),
	},
	{
		checker.Caused, "a wake-up that the outbox does not have; PostgreSQL may have died with it",
		changed(life(1), wake),
		changed(life(1), wake, func(h *history.History) { h.Crashed = true }),
	},
	{
		checker.Caused, "a change that the outbox does not have, whatever has died",
		changed(life(1), func(h *history.History) {
			h.Crashed = true
			deliver(h, 0, func(d *history.Delivery) { d.EventID, d.Reason, d.Type = "x", "metadata_changed", "cluster.updated" })
		}),
		life(1),
	},
	{
		checker.Caused, "an event of a generation that is not there",
		changed(life(1), func(h *history.History) { publish(h, "cluster.updated", "spec_changed", 2) }),
		life(2),
	},
	{
		checker.Caused, "an event of a deletion that is not there",
		changed(life(1), func(h *history.History) { publish(h, "cluster.deleted", "deletion_requested", 1) }),
		gone(),
	},
	{
		checker.Caused, "an event of nothing",
		changed(life(1), func(h *history.History) {
			deliver(h, 0, func(d *history.Delivery) { d.EventID, d.ResourceID = "x", "nobody" })
		}),
		life(1),
	},
	{
		checker.Caused, "an event that differs from what was committed",
		changed(life(1), func(h *history.History) { h.Deliveries[0].Generation = 2 }),
		life(1),
	},

	{
		checker.Released, "a connection more than the pool may keep",
		history.History{Leftovers: []history.Leftover{{What: "connections", Before: 4, After: 7, Slack: 2}}},
		history.History{Leftovers: []history.Leftover{{What: "connections", Before: 4, After: 6, Slack: 2}}},
	},
	{
		checker.Recovered, "later than two intervals",
		history.History{Recoveries: []history.Recovery{{Fault: "stall", Took: time.Minute + 1, Limit: time.Minute, Converged: true}}},
		history.History{Recoveries: []history.Recovery{{Fault: "stall", Took: time.Minute, Limit: time.Minute, Converged: true}}},
	},
	{
		checker.Recovered, "never",
		history.History{Recoveries: []history.Recovery{{Fault: "stall", Took: time.Minute, Limit: time.Minute}}},
		history.History{Recoveries: []history.Recovery{{Fault: "stall", Limit: time.Minute, Converged: true}}},
	},
	{
		checker.Recovered, "a change that is delivered and never marked; a wake-up may wait",
		changed(recoveredLife(), func(h *history.History) { h.Outbox[0].Published = false }),
		changed(recoveredLife(), func(h *history.History) {
			publish(h, "cluster.reconcile", "stable", 1)
			h.Outbox[1].Published = false
		}),
	},
}

func netReported(h *history.History) {
	h.Reports = append(h.Reports, history.Stored{ResourceID: "a", Controller: "net", Observed: 2})
}

func recoveredLife() history.History {
	h := life(1)
	h.Recoveries = []history.Recovery{{Fault: "stall", Limit: time.Minute, Converged: true}}
	return h
}

// twin adds a resource that was created with what "a" was.
func twin(h *history.History) {
	b := h.Resources[0]
	b.ID = "b"
	h.Resources = append(h.Resources, b)
	h.Revisions = append(h.Revisions, history.Revision{ResourceID: "b", Generation: 1, Mark: "m1"})
	publish(h, "cluster.created", "created", 1)
	last := len(h.Outbox) - 1
	h.Outbox[last].ResourceID, h.Deliveries[last].ResourceID = "b", "b"
}

// by names another controller.
func by(name string) func(c *history.Call) { return func(c *history.Call) { c.Controller = name } }

func showsAlso(name string, observed int64) func(c *history.Call) {
	return func(c *history.Call) {
		c.Controllers = append(c.Controllers, history.Reported{Name: name, Observed: observed})
	}
}

// forced is a deletion that nobody has confirmed and one has forced.
func forced(c history.Call) history.History {
	return changed(gone(), func(h *history.History) {
		h.Resources[0].Forced = true
		h.Calls = []history.Call{c}
	})
}

// pooled is a deletion with a node pool that was gone at a moment, forced with its cluster.
func pooled(at time.Time) history.History {
	return changed(forced(ask(history.OpForce, 41, 42, 202)), twin, func(h *history.History) {
		pool := &h.Resources[1]
		pool.Kind, pool.ClusterID, pool.DeletedAt = "nodepool", "a", &at
		publish(h, "nodepool.deleted", "deletion_requested", 2)
		last := len(h.Outbox) - 1
		h.Outbox[last].ResourceID, h.Deliveries[last].ResourceID = "b", "b"
	})
}

// wake delivers a wake-up that the outbox does not have.
func wake(h *history.History) {
	deliver(h, 0, func(d *history.Delivery) { d.EventID, d.Type, d.Reason = "w", "cluster.reconcile", "attention" })
}

// TestEachInvariantIsCaughtAlone: the least that breaks an invariant is found, under its name only, and the nearest that
// does not is passed as something that was examined.
func TestEachInvariantIsCaughtAlone(t *testing.T) {
	t.Parallel()
	for _, c := range pairs {
		t.Run(c.breaks.String()+" "+c.why, func(t *testing.T) {
			t.Parallel()
			for _, r := range checker.Check(c.faulty).Results {
				if (r.Broken > 0) != (r.Invariant == c.breaks) {
					t.Errorf("faulty: %v is broken %d times: %s", r.Invariant, r.Broken, strings.Join(r.Violations, "\n"))
				}
			}
			for _, r := range checker.Check(c.healthy).Results {
				if r.Broken > 0 || r.Invariant == c.breaks && r.Examined == 0 {
					t.Errorf("healthy: %v is broken %d times, %d examined: %s", r.Invariant, r.Broken, r.Examined, strings.Join(r.Violations, "\n"))
				}
			}
		})
	}
	for i := checker.Acknowledged; i <= checker.Recovered; i++ {
		if !slices.ContainsFunc(pairs, func(c pair) bool { return c.breaks == i }) {
			t.Errorf("%v has no pair", i)
		}
	}
}

// TestErr: nothing examined is no proof, unless it does not apply.
func TestErr(t *testing.T) {
	t.Parallel()
	var all []checker.Invariant
	for i := checker.Acknowledged; i <= checker.Recovered; i++ {
		all = append(all, i)
	}
	if err := checker.Check(history.History{}, all...).Err(); err != nil {
		t.Errorf("nothing applies: %v", err)
	}
	report := checker.Check(history.History{}, all[1:]...)
	if err := report.Err(); err == nil || err.Error() != "I1: 1 of 1 runs had nothing to examine" {
		t.Errorf("nothing examined: %v", err)
	}
	if text := report.String(); !strings.Contains(text, "I1 ") || strings.Count(text, "does not apply") != len(all)-1 {
		t.Errorf("report:\n%s", text)
	}
	h := life(1)
	for range 12 {
		deliver(&h, 0, func(d *history.Delivery) { d.Body = "other" })
	}
	err := checker.Check(h, slices.Delete(slices.Clone(all), 3, 4)...).Err()
	if err == nil {
		t.Fatal("no error for a violation")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 11 || !strings.Contains(lines[0], "I4: event e1 ") || lines[10] != "I4: and 2 more" {
		t.Errorf("%d lines:\n%v", len(lines), err)
	}
}

// TestMerge: a run that proves nothing is not covered up by one that does.
func TestMerge(t *testing.T) {
	t.Parallel()
	one := checker.Check(history.History{Leftovers: []history.Leftover{{}, {After: 1}}}, checker.Recovered)
	two := checker.Check(history.History{Recoveries: []history.Recovery{{Converged: true}}})
	merged := checker.Report{}.Merge(one).Merge(two).Merge(one).Merge(checker.Report{})
	released := merged.Results[checker.Released-1]
	released.Promise = ""
	violation := one.Results[checker.Released-1].Violations[0]
	want := checker.Result{Invariant: checker.Released, Runs: 3, Idle: 1, Examined: 4, Broken: 2, Violations: []string{violation, violation}}
	if diff := cmp.Diff(want, released); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if r := merged.Results[checker.Recovered-1]; r.Runs != 1 || r.Idle != 0 || r.Examined != 1 {
		t.Errorf("recovered: %+v", r)
	}
	if len(one.Results[checker.Released-1].Violations) != 1 {
		t.Error("merging has changed a report")
	}
}
