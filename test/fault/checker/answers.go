package checker

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

// acknowledged looks up in the database what each success has promised.
func acknowledged(x *index, r *Result) {
	for _, s := range x.subjects {
		var deleting time.Time // When a deletion was first answered.
		for _, c := range s.calls {
			if isDelete(c) && c.OK() && (deleting.IsZero() || c.End.Before(deleting)) {
				deleting = c.End
			}
		}
		for _, c := range s.calls {
			if !c.OK() || !mayHave(c) {
				continue
			}
			r.Examined++
			lost := s.lost(c)
			if lost == "" && c.Op == history.OpForce && !deleting.IsZero() && deleting.Before(c.Start) && !s.row.Forced {
				lost = "the row says that nothing was forced"
			}
			if lost != "" {
				r.violatef("%s of %s %s by %s was answered %d at %s: %s", c.Op, c.Kind, s.id, c.Client, c.Status, stamp(c.End), lost)
			}
		}
	}
}

func isDelete(c *history.Call) bool { return c.Op == history.OpDelete || c.Op == history.OpForce }

func isWrite(c *history.Call) bool { return c.Op == history.OpUpdate || c.Op == history.OpPatch }

func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000000") }

// lost says what the database does not have of a call that was answered with success; "" for nothing.
func (s *subject) lost(c *history.Call) string {
	switch {
	case s.row == nil:
		return "there is no row"
	case c.Generation > s.row.Generation:
		return fmt.Sprintf("generation %d was told, and the row has %d", c.Generation, s.row.Generation)
	case version(c.ETag) > s.row.ResourceVersion:
		return fmt.Sprintf("ETag %s was told, and the row has version %d", c.ETag, s.row.ResourceVersion)
	case isDelete(c) && s.row.DeletionTimestamp == nil:
		return "the row says that no deletion has begun"
	case c.Mark != "" && !s.hasMark(c):
		return fmt.Sprintf("no revision up to generation %d has what it wrote (%s)", c.Generation, c.Mark)
	case c.Op == history.OpReport:
		return s.lostReport(c)
	}
	return ""
}

// version is that in an ETag; 0 for none.
func version(etag string) int64 {
	n, err := strconv.ParseInt(strings.Trim(etag, `"`), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// hasMark reports whether what a call wrote is in a revision that it may have made. A repeated update finds that done
// and changes nothing: its answer may be of a later generation.
func (s *subject) hasMark(c *history.Call) bool {
	generation, ok := s.marks[c.Mark]
	return ok && (c.Op == history.OpCreate && generation == 1 || c.Op != history.OpCreate && generation <= c.Generation)
}

func (s *subject) lostReport(c *history.Call) string {
	kept, ok := s.stored[c.Controller]
	switch {
	case !ok && s.row.DeletedAt == nil:
		return fmt.Sprintf("no report of %s is stored", c.Controller)
	case ok && kept < c.Observed:
		return fmt.Sprintf("%s has observed generation %d by it, and %d is stored", c.Controller, c.Observed, kept)
	}
	return ""
}
