package checker

import (
	"slices"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

// confirmed judges each tombstone: by a force, or else by a confirmation of each controller that finalizes what it was;
// and of a cluster by the tombstones of its node pools, which go first.
func confirmed(x *index, r *Result) {
	for _, s := range x.subjects {
		if s.row == nil || s.row.DeletedAt == nil {
			continue
		}
		at := *s.row.DeletedAt
		switch begun := s.row.DeletionTimestamp; {
		case begun == nil || begun.After(at):
			r.violatef("%s was gone at %s, before its deletion began", s.id, stamp(at))
		case s.row.Forced:
			r.Examined++
			if cluster := x.byID[s.row.ClusterID]; !s.forcedBy(at) && (cluster == nil || !cluster.forcedBy(at)) {
				r.violatef("%s was gone at %s by force, and nobody had forced it", s.id, stamp(at))
			}
		default:
			x.judgeFinalizers(s, at, r)
		}
		for _, pool := range s.pools {
			r.Examined++
			if pool.row.DeletedAt == nil || pool.row.DeletedAt.After(at) {
				r.violatef("cluster %s was gone at %s, before its node pool %s", s.id, stamp(at), pool.id)
			}
		}
	}
}

// forcedBy reports whether a force may have taken effect by a moment.
func (s *subject) forcedBy(at time.Time) bool {
	return slices.ContainsFunc(s.calls, func(c *history.Call) bool {
		return c.Op == history.OpForce && mayHave(c) && notAfter(c, at)
	})
}

func (x *index) judgeFinalizers(s *subject, at time.Time, r *Result) {
	for i := range x.Expected {
		of := &x.Expected[i]
		if !of.Finalizes || !matches(of, s.row) {
			continue
		}
		r.Examined++
		confirmed := slices.ContainsFunc(s.calls, func(c *history.Call) bool {
			return c.Op == history.OpReport && c.Controller == of.Name && c.Finalized && c.Observed == s.row.Generation &&
				mayHave(c) && notAfter(c, at)
		})
		if !confirmed {
			r.violatef("%s was gone at %s, and %s had not confirmed generation %d", s.id, stamp(at), of.Name, s.row.Generation)
		}
	}
}

// released compares what is held after the run with what was before.
func released(x *index, r *Result) {
	for _, l := range x.Leftovers {
		r.Examined++
		if l.After > l.Before+l.Slack {
			r.violatef("%s: %d before the load and %d after it, where %d more are allowed", l.What, l.Before, l.After, l.Slack)
		}
	}
}

// recovered judges each recovery, and that the last one has left no change unpublished.
func recovered(x *index, r *Result) {
	for _, recovery := range x.Recoveries {
		r.Examined++
		switch {
		case !recovery.Converged:
			r.violatef("%s: not everything was as declared after %v", recovery.Fault, recovery.Took)
		case recovery.Took > recovery.Limit:
			r.violatef("%s: everything was as declared after %v, later than %v", recovery.Fault, recovery.Took, recovery.Limit)
		}
	}
	for i := range x.Outbox {
		if q := &x.Outbox[i]; !q.Published && isChange(q.Reason) {
			r.violatef("event %s (%s) of %s is unpublished in the end", q.EventID, q.Reason, q.ResourceID)
		}
	}
}
