package checker

import (
	"slices"

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
			for ; next < len(byEnd) && byEnd[next].End.Before(c.Start); next++ {
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
			r.violatef("%s had observed generation %d of %s by the %s that ended at %s, and %d by the %s that began at %s",
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
			r.violatef("%s had observed generation %d of %s by the %s that ended at %s, and the database has %d in the end",
				k.controller, k.generation, s.id, k.by.Op, stamp(k.by.End), stored)
		}
	}
}
