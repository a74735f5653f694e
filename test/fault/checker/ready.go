package checker

import (
	"slices"
	"strings"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

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
	var why string
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
	r.violatef("%s was Ready at generation %d in the %s that ended at %s, and %s %s", s.id, c.Generation, c.Op, stamp(c.End), controller, why)
}
