package checker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

// oneWinner judges contests: calls that name one ETag of a resource, and creations under one key. Those of one call
// prove nothing.
func oneWinner(x *index, r *Result) {
	for _, s := range x.subjects {
		s.judgeETags(r)
	}
	x.judgeKeys(r)
}

func (s *subject) judgeETags(r *Result) {
	calls := map[string][]*history.Call{}
	var order []string
	for _, c := range s.calls {
		if c.IfMatch == "" || c.IfMatch == "*" || !isWrite(c) && !isDelete(c) {
			continue
		}
		if calls[c.IfMatch] == nil {
			order = append(order, c.IfMatch)
		}
		calls[c.IfMatch] = append(calls[c.IfMatch], c)
	}
	order = slices.DeleteFunc(order, func(etag string) bool { return len(calls[etag]) < 2 })
	if len(order) == 0 {
		return
	}
	shared := s.sharedMarks()
	for _, etag := range order {
		r.Examined++
		if won := s.winners(calls[etag], shared); len(won) > 1 {
			r.violatef("resource %s was changed %d times with If-Match %s: %s", s.id, len(won), etag, strings.Join(won, ", "))
		}
	}
}

// winners describes the changes that calls with one ETag have made. Deletions count as one, since a repeated one
// changes nothing. An unanswered write counts if a revision has what it wrote, and no call without that ETag can have
// put it there.
func (s *subject) winners(calls []*history.Call, shared map[string]bool) []string {
	var won, marks []string
	removed := false
	for _, c := range calls {
		switch {
		case c.OK() && isWrite(c):
			won = append(won, fmt.Sprintf("%s by %s made generation %d", c.Op, c.Client, c.Generation))
			marks = append(marks, c.Mark)
		case c.OK() && !removed:
			won = append(won, fmt.Sprintf("%s by %s", c.Op, c.Client))
			removed = true
		}
	}
	for _, c := range calls {
		generation, made := s.marks[c.Mark]
		if made && !c.OK() && mayHave(c) && !shared[c.Mark] && !slices.Contains(marks, c.Mark) {
			won = append(won, fmt.Sprintf("%s by %s, unanswered, made generation %d", c.Op, c.Client, generation))
			marks = append(marks, c.Mark)
		}
	}
	return won
}

// sharedMarks are those that are written by calls with different ETags, or with none.
func (s *subject) sharedMarks() map[string]bool {
	first, shared := map[string]string{}, map[string]bool{}
	for _, c := range s.calls {
		if c.Mark == "" {
			continue
		}
		if etag, seen := first[c.Mark]; seen && etag != c.IfMatch {
			shared[c.Mark] = true
		}
		first[c.Mark] = c.IfMatch
	}
	return shared
}

// keyed are the calls with one Idempotency-Key.
type keyed struct {
	calls []*history.Call
	won   *history.Call // the first that was answered with success
}

func (x *index) judgeKeys(r *Result) {
	type scope struct{ kind, key string }
	contests := map[scope]*keyed{}
	var order []*keyed
	for i := range x.Calls {
		c := &x.Calls[i]
		if c.Key == "" || c.Op != history.OpCreate {
			continue
		}
		k := contests[scope{c.Kind, c.Key}]
		if k == nil {
			k = &keyed{}
			contests[scope{c.Kind, c.Key}] = k
			order = append(order, k)
		}
		k.calls = append(k.calls, c)
	}
	made := x.made()
	for _, k := range order {
		if len(k.calls) > 1 {
			r.Examined++
			k.judge(made, r)
		}
	}
}

// made returns the resources that were created with a mark.
func (x *index) made() map[string][]string {
	made := map[string][]string{}
	for _, rev := range x.Revisions {
		if rev.Generation == 1 && rev.Mark != "" {
			made[rev.Mark] = append(made[rev.Mark], rev.ResourceID)
		}
	}
	return made
}

func (k *keyed) judge(made map[string][]string, r *Result) {
	var ids []string
	for _, c := range k.calls {
		for _, id := range made[c.Mark] {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		switch {
		case !c.OK():
		case k.won == nil:
			k.won = c
		case c.ResourceID != k.won.ResourceID:
			r.violatef("Idempotency-Key %s was answered with %s %s and with %s", c.Key, c.Kind, k.won.ResourceID, c.ResourceID)
			return
		case c.Body != k.won.Body:
			r.violatef("Idempotency-Key %s was answered with two bodies of %s %s: %s and %s", c.Key, c.Kind, c.ResourceID, k.won.Body, c.Body)
			return
		}
	}
	if len(ids) > 1 {
		r.violatef("Idempotency-Key %s has made %d resources: %s", k.calls[0].Key, len(ids), strings.Join(ids, ", "))
	}
}
