package checker

import (
	"slices"
	"strings"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

// seen is the most that a controller was seen to have observed, and the call that showed it.
type seen struct {
	controller string
	generation int64
	by         *history.Call
}

// seenMost is what was seen of each controller.
type seenMost []seen

func (m *seenMost) add(controller string, generation int64, by *history.Call) {
	for i := range *m {
		if k := &(*m)[i]; k.controller == controller {
			if generation > k.generation {
				k.generation, k.by = generation, by
			}
			return
		}
	}
	*m = append(*m, seen{controller, generation, by})
}

// addAll adds what a call shows: a status all controllers, a report that was applied its own.
func (m *seenMost) addAll(c *history.Call) {
	if c.Op == history.OpReport {
		m.add(c.Controller, c.Observed, c)
		return
	}
	for _, shown := range c.Controllers {
		m.add(shown.Name, shown.Observed, c)
	}
}

// observed compares what calls show with what those have shown that had ended before, and the last with the database.
func observed(x *index, r *Result) {
	for _, s := range x.subjects {
		var byStart []*history.Call
		for _, c := range s.calls {
			if c.OK() && (c.Op == history.OpStatus || c.Op == history.OpReport && c.Applied) {
				byStart = append(byStart, c)
			}
		}
		byEnd := slices.Clone(byStart)
		slices.SortStableFunc(byStart, func(a, b *history.Call) int { return a.Start.Compare(b.Start) })
		slices.SortStableFunc(byEnd, func(a, b *history.Call) int { return a.End.Compare(b.End) })
		var known, read seenMost
		next := 0
		for _, c := range byStart {
			for ; byEnd[next].End.Before(c.Start); next++ {
				known.addAll(byEnd[next])
			}
			s.compare(known, c, r)
			if c.Op == history.OpStatus {
				read.addAll(c)
			}
		}
		s.compareStored(read, r)
	}
}

// compare holds a call against what was known when it began.
func (s *subject) compare(known seenMost, c *history.Call, r *Result) {
	for _, k := range known {
		now := c.Observed
		if c.Op == history.OpStatus {
			now, _ = shownOf(c, k.controller)
		} else if c.Controller != k.controller {
			continue
		}
		r.Examined++
		if now < k.generation {
			r.violate("%s had observed generation %d of %s by the %s that ended at %s, and %d by the %s that began at %s",
				k.controller, k.generation, s.id, k.by.Op, stamp(k.by.End), now, c.Op, stamp(c.Start))
		}
	}
}

// shownOf returns what a status shows of a controller.
func shownOf(c *history.Call, controller string) (generation int64, ok bool) {
	for i := range c.Controllers {
		if c.Controllers[i].Name == controller {
			return c.Controllers[i].Observed, true
		}
	}
	return 0, false
}

// compareStored holds the database against what was read. Reports may go with what they are on.
func (s *subject) compareStored(read seenMost, r *Result) {
	if s.row == nil {
		return
	}
	for _, k := range read {
		stored, ok := s.stored[k.controller]
		if !ok && s.row.DeletedAt != nil {
			continue
		}
		r.Examined++
		if stored < k.generation {
			r.violate("%s had observed generation %d of %s by the %s that ended at %s, and the database has %d in the end",
				k.controller, k.generation, s.id, k.by.Op, stamp(k.by.End), stored)
		}
	}
}

// matches reports whether a registration is for what a resource is.
func matches(c *history.Controller, row *history.Resource) bool {
	return (len(c.Kinds) == 0 || slices.Contains(c.Kinds, row.Kind)) &&
		(len(c.Platforms) == 0 || slices.ContainsFunc(c.Platforms, func(p string) bool { return strings.EqualFold(p, row.Platform) }))
}

// sent is a report by what makes it count.
type sent struct {
	controller string
	generation int64
}

// waits is whom a resource waits for: the required from the beginning, others once they have reported.
type waits struct {
	required []string
	joined   []string
	since    map[string]time.Time // when a report of the joined was first known to be stored
	sent     map[sent]time.Time   // when a report was first sent that may have been applied
}

func (x *index) waits(s *subject) waits {
	w := waits{since: map[string]time.Time{}, sent: map[sent]time.Time{}}
	elsewhere := map[string]bool{}
	for i := range x.Expected {
		c := &x.Expected[i]
		if matches(c, s.row) {
			w.required = append(w.required, c.Name)
		} else {
			elsewhere[c.Name] = true
		}
	}
	for _, c := range s.calls {
		if c.Op != history.OpReport || !mayHave(c) {
			continue
		}
		key := sent{c.Controller, c.Observed}
		if at, ok := w.sent[key]; !ok || c.Start.Before(at) {
			w.sent[key] = c.Start
		}
		if !c.OK() || elsewhere[c.Controller] || slices.Contains(w.required, c.Controller) {
			continue
		}
		at, ok := w.since[c.Controller]
		if !ok {
			w.joined = append(w.joined, c.Controller)
		}
		if !ok || c.End.Before(at) {
			w.since[c.Controller] = c.End
		}
	}
	return w
}

// readyIsTrue judges each answer that says Ready. The reports that a status shows are read after it was calculated, so
// they are at least as new: who is behind in them was behind.
func readyIsTrue(x *index, r *Result) {
	for _, s := range x.subjects {
		if s.row == nil || !slices.ContainsFunc(s.calls, isReady) {
			continue
		}
		w := x.waits(s)
		for _, c := range s.calls {
			if !isReady(c) {
				continue
			}
			for _, name := range w.required {
				w.judge(s, c, name, r)
			}
			for _, name := range w.joined {
				if w.since[name].Before(c.Start) {
					w.judge(s, c, name, r)
				}
			}
		}
	}
}

func isReady(c *history.Call) bool { return c.OK() && c.Ready && c.Generation > 0 }

func (w waits) judge(s *subject, c *history.Call, controller string, r *Result) {
	r.Examined++
	shown, ok := shownOf(c, controller)
	at, reported := w.sent[sent{controller, c.Generation}]
	why := ""
	switch {
	case c.Op == history.OpStatus && !ok:
		why = "has no report"
	case c.Op == history.OpStatus && shown < c.Generation:
		why = "is behind"
	case !reported || !at.Before(c.End):
		why = "had sent no report of that"
	default:
		return
	}
	r.violate("%s was Ready at generation %d in the %s that ended at %s, and %s %s", s.id, c.Generation, c.Op, stamp(c.End), controller, why)
}
