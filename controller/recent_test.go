package controller

import (
	"strconv"
	"testing"
)

// TestADuplicateHidesNoNewEvent of its burst: only one in which all are known is dropped.
func TestADuplicateHidesNoNewEvent(t *testing.T) {
	t.Parallel()
	r := newRecent()
	r.note([]string{"old", "old"})
	if r.knows([]string{"new", "old"}) || r.knows([]string{"old", "new"}) {
		t.Error("a new event is dropped with a duplicate")
	}
	if r.note([]string{"new", "old"}); !r.knows([]string{"old", "new"}) {
		t.Error("what was handled is not known")
	}
}

// TestTheOldestAreForgotten, so that what is remembered is bounded.
func TestTheOldestAreForgotten(t *testing.T) {
	t.Parallel()
	r := newRecent()
	for i := range remembered + 2 {
		r.note([]string{strconv.Itoa(i)})
	}
	if len(r.known) != remembered || r.knows([]string{"1"}) || !r.knows([]string{"2", strconv.Itoa(remembered + 1)}) {
		t.Errorf("remembers %d events", len(r.known))
	}
}
