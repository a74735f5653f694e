package checker

import (
	"strings"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

// What an event is of, after the dot in its type.
const (
	created = "created"
	updated = "updated"
	deleted = "deleted"
)

// The reasons of changes. All other events are wake-ups, which have no order and of which the newest takes over
// from the one that waits.
const (
	specChanged       = "spec_changed"
	metadataChanged   = "metadata_changed"
	deletionRequested = "deletion_requested"
)

func isChange(reason string) bool {
	return reason == created || reason == specChanged || reason == metadataChanged || reason == deletionRequested
}

// beginsGeneration reports whether a change with a reason begins a generation. A force does not, but has the reason and
// the generation of its deletion.
func beginsGeneration(reason string) bool { return isChange(reason) && reason != metadataChanged }

// verb returns created, updated, deleted or reconcile.
func verb(eventType string) string { return eventType[strings.LastIndexByte(eventType, '.')+1:] }

// index is a history by resource and by event.
type index struct {
	history.History

	subjects []*subject // those with a row first, then as they are met
	byID     map[string]*subject
	queued   map[string]*history.Queued   // by event id
	first    map[string]*history.Delivery // by event id
}

// subject is what is on record of a resource.
type subject struct {
	id        string
	row       *history.Resource // nil where there is none
	pools     []*subject        // of a cluster
	revisions map[int64]string  // the marks, by generation
	marks     map[string]int64  // the first generation with each
	stored    map[string]int64  // what the database says was observed, by controller
	calls     []*history.Call
	queued    []*history.Queued
	firsts    []*history.Delivery // of each event the first, as they came
}

func newIndex(h history.History) *index {
	x := &index{
		History: h, byID: make(map[string]*subject, len(h.Resources)),
		queued: make(map[string]*history.Queued, len(h.Outbox)), first: make(map[string]*history.Delivery, len(h.Outbox)),
	}
	x.addRows()
	for i := range h.Calls {
		if c := &h.Calls[i]; c.ResourceID != "" {
			s := x.subject(c.ResourceID)
			s.calls = append(s.calls, c)
		}
	}
	for i := range h.Outbox {
		q := &h.Outbox[i]
		x.queued[q.EventID] = q
		s := x.subject(q.ResourceID)
		s.queued = append(s.queued, q)
	}
	for i := range h.Deliveries {
		d := &h.Deliveries[i]
		if x.first[d.EventID] == nil {
			x.first[d.EventID] = d
			s := x.subject(d.ResourceID)
			s.firsts = append(s.firsts, d)
		}
	}
	return x
}

// addRows adds what the database has of resources.
func (x *index) addRows() {
	for i := range x.Resources {
		x.subject(x.Resources[i].ID).row = &x.Resources[i]
	}
	for _, s := range x.subjects {
		if s.row.ClusterID != "" {
			cluster := x.subject(s.row.ClusterID)
			cluster.pools = append(cluster.pools, s)
		}
	}
	for _, rev := range x.Revisions {
		s := x.subject(rev.ResourceID)
		if s.revisions == nil {
			s.revisions, s.marks = map[int64]string{}, map[string]int64{}
		}
		s.revisions[rev.Generation] = rev.Mark
		if at, ok := s.marks[rev.Mark]; rev.Mark != "" && (!ok || rev.Generation < at) {
			s.marks[rev.Mark] = rev.Generation
		}
	}
	for _, report := range x.Reports {
		s := x.subject(report.ResourceID)
		if s.stored == nil {
			s.stored = map[string]int64{}
		}
		s.stored[report.Controller] = report.Observed
	}
}

// subject returns what is on record of a resource.
func (x *index) subject(id string) *subject {
	s := x.byID[id]
	if s == nil {
		s = &subject{id: id}
		x.byID[id] = s
		x.subjects = append(x.subjects, s)
	}
	return s
}

// isDeletion reports whether a generation is that of the resource's deletion.
func (s *subject) isDeletion(generation int64) bool {
	return s.row != nil && s.row.DeletionTimestamp != nil && s.row.Generation == generation
}

// mayHave reports whether a call may have taken effect: it was answered with success, or not at all, or with a failure
// of the service's own, which may come after the commit. A report that was not applied did not.
func mayHave(c *history.Call) bool {
	switch {
	case c.OK():
		return c.Op != history.OpReport || c.Applied
	default:
		return c.Status == 0 || c.Status >= 500
	}
}

// notAfter reports whether a call began by a moment of PostgreSQL's clock, which counts microseconds.
func notAfter(c *history.Call, moment time.Time) bool {
	return !c.Start.Truncate(time.Microsecond).After(moment)
}
