package checker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

// step is the beginning of a generation, as an event tells of it.
type step struct {
	verb       string
	generation int64
}

// delivered holds what was committed, by the revisions and the row and by the outbox, against what the subscriber was
// given.
func delivered(x *index, r *Result) {
	for _, s := range x.subjects {
		told := map[step]bool{}
		for _, d := range s.firsts {
			if beginsGeneration(d.Reason) {
				told[step{verb(d.Type), d.Generation}] = true
			}
		}
		for _, q := range s.queued {
			if !isChange(q.Reason) {
				continue
			}
			r.Examined++
			if x.first[q.EventID] == nil {
				r.violatef("event %s (%s, %s, generation %d) of %s was never delivered", q.EventID, q.Type, q.Reason, q.Generation, s.id)
			}
			if beginsGeneration(q.Reason) {
				told[step{verb(q.Type), q.Generation}] = true
			}
		}
		for _, generation := range s.committed() {
			r.Examined++
			if v := s.verb(generation); !told[step{v, generation}] {
				r.violatef("generation %d of %s was committed without a %s event", generation, s.id, v)
			}
		}
	}
}

// committed returns the generations that the database has.
func (s *subject) committed() []int64 {
	list := slices.AppendSeq(make([]int64, 0, len(s.revisions)+1), maps.Keys(s.revisions))
	if s.row != nil {
		list = append(list, s.row.Generation)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// verb is that of the event which tells of a generation.
func (s *subject) verb(generation int64) string {
	switch {
	case s.isDeletion(generation):
		return deleted
	case generation == 1:
		return created
	default:
		return updated
	}
}

// ordered follows the numbers of the outbox, which are drawn under the lock of the resource's row.
func ordered(x *index, r *Result) {
	for _, s := range x.subjects {
		var last *history.Queued
		for _, d := range s.firsts {
			q := x.queued[d.EventID]
			if q == nil || !isChange(q.Reason) || q.ResourceID != s.id {
				continue
			}
			if last == nil {
				last = q
				continue
			}
			r.Examined++
			if q.Seq < last.Seq {
				r.violatef("of %s, event %s (%s, seq %d) was delivered after event %s (%s, seq %d)",
					s.id, q.EventID, q.Reason, q.Seq, last.EventID, last.Reason, last.Seq)
				continue
			}
			last = q
		}
	}
}

// identified compares each duplicate with the first, and looks for changes that have several events.
func identified(x *index, r *Result) {
	for i := range x.Deliveries {
		d := &x.Deliveries[i]
		first := x.first[d.EventID]
		if d == first {
			continue
		}
		r.Examined++
		again := *d
		if again.At = first.At; again != *first {
			r.violatef("event %s was delivered with two contents: %s and %s", d.EventID, content(first), content(d))
		}
	}
	for i := range x.Outbox {
		if q := &x.Outbox[i]; x.queued[q.EventID] != q {
			r.violatef("event %s is in the outbox twice, seq %d and %d", q.EventID, q.Seq, x.queued[q.EventID].Seq)
		}
	}
	for _, s := range x.subjects {
		s.judgeIDs(r)
	}
}

func content(d *history.Delivery) string {
	return fmt.Sprintf("(%s, %s, generation %d of %s, %s)", d.Type, d.Reason, d.Generation, d.ResourceID, d.Body)
}

// judgeIDs counts the events of each generation's beginning. A deletion that was forced has two.
func (s *subject) judgeIDs(r *Result) {
	ids := map[step][]string{}
	var order []step
	add := func(reason, eventType string, generation int64, id string) {
		if !beginsGeneration(reason) {
			return
		}
		at := step{verb(eventType), generation}
		switch {
		case ids[at] == nil:
			order = append(order, at)
		case slices.Contains(ids[at], id):
			return
		}
		ids[at] = append(ids[at], id)
	}
	for _, q := range s.queued {
		add(q.Reason, q.Type, q.Generation, q.EventID)
	}
	for _, d := range s.firsts {
		add(d.Reason, d.Type, d.Generation, d.EventID)
	}
	for _, at := range order {
		r.Examined++
		may := 1
		if at.verb == deleted && s.row != nil && s.row.Forced {
			may = 2
		}
		if len(ids[at]) > may {
			r.violatef("the %s event of generation %d of %s has %d ids: %s", at.verb, at.generation, s.id, len(ids[at]), strings.Join(ids[at], ", "))
		}
	}
}

// caused looks up the change of each event in the outbox and in the resource.
func caused(x *index, r *Result) {
	for _, s := range x.subjects {
		for _, d := range s.firsts {
			r.Examined++
			if why := s.uncaused(d, x.queued[d.EventID], x.Crashed); why != "" {
				r.violatef("event %s (%s, %s, generation %d) of %s was delivered: %s", d.EventID, d.Type, d.Reason, d.Generation, s.id, why)
			}
		}
	}
}

// uncaused says what is missing behind an event; "" for nothing. q is its row in the outbox.
func (s *subject) uncaused(d *history.Delivery, q *history.Queued, crashed bool) string {
	_, revised := s.revisions[d.Generation]
	switch {
	case s.row == nil:
		return "there is no such resource"
	case q == nil && (isChange(d.Reason) || !crashed && !s.hasLaterWake()):
		return "the outbox does not have it"
	case q != nil && (q.Type != d.Type || q.ResourceID != d.ResourceID || q.Generation != d.Generation || q.Reason != d.Reason):
		return "the outbox has another event under its id"
	case verb(d.Type) == deleted:
		if !s.isDeletion(d.Generation) {
			return "the resource has no such deletion"
		}
	case d.Generation > s.row.Generation:
		return "there is no such generation"
	case isChange(d.Reason) && !revised:
		return "there is no such revision"
	}
	return ""
}

// hasLaterWake reports whether a wake-up on its way to the subscriber may have lost its row: to a newer one, which
// takes its place in the outbox with an id of its own, or to the deletion, which takes back those that wait.
func (s *subject) hasLaterWake() bool {
	return s.row.DeletionTimestamp != nil || slices.ContainsFunc(s.queued, func(q *history.Queued) bool { return !isChange(q.Reason) })
}
