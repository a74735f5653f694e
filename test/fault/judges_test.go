package main

import (
	"net/http"
	"testing"
	"time"
)

// TestSlot: what a report was answered is held against what was answered before it was sent, and what is stored against
// what may have come last.
func TestSlot(t *testing.T) {
	t.Parallel()
	at := time.Unix(0, 0)
	sent := func(generation int64, text, start, end int) said {
		return said{generation, text, at.Add(time.Duration(start)), at.Add(time.Duration(end))}
	}
	s := &slot{name: "dns"}
	for _, step := range []struct {
		why     string
		r       said
		stored  int64
		applied bool
		wrong   bool
	}{
		{"the first", sent(2, 0, 1, 2), 0, true, false},
		{"the newest is refused", sent(2, 0, 3, 4), 2, false, true},
		{"an older one is applied", sent(1, 0, 3, 4), 2, true, true},
		{"an older one is refused", sent(1, 0, 3, 4), 2, false, false},
		{"an older one that overlaps may have come first", sent(1, 0, 1, 4), 0, true, false},
		{"another text, at the same time as the next", sent(2, 1, 5, 8), 2, true, false},
		{"another text", sent(2, 2, 6, 7), 2, true, false},
	} {
		s.send(step.r.generation)
		if wrong := s.answered(step.r, step.stored, step.applied); (wrong != "") != step.wrong {
			t.Errorf("%s: %q", step.why, wrong)
		}
	}
	for text, may := range []bool{false, true, true} {
		if s.mayKeep(2, wording(text)) != may {
			t.Errorf("text %d may be stored: %t", text, !may)
		}
	}
	if s.mayKeep(1, wording(1)) {
		t.Error("an older generation may be stored")
	}
}

// TestGoodput counts what was answered with success and in time, in the second of the answer.
func TestGoodput(t *testing.T) {
	t.Parallel()
	ok := func(due, took time.Duration) arrival { return arrival{due: due, took: took, status: http.StatusOK} }
	list := []arrival{
		ok(0, 0), ok(0, 0), ok(0, 0), // in the first second, which does not count
		ok(0, time.Second), ok(500*time.Millisecond, 600*time.Millisecond),
		ok(2*time.Second, 0), ok(2*time.Second, 0), ok(2*time.Second, 0), ok(2*time.Second, 0),
		{due: 2 * time.Second, status: http.StatusServiceUnavailable, again: true},
		ok(3*time.Second, 6*time.Second),
	}
	if got := goodput(list, 1, 3); got != 3 {
		t.Errorf("%v a second, want the median of 2 and 4", got)
	}
	if n := numberOf(list, arrival.refused); n != 1 {
		t.Errorf("%d refused", n)
	}
}

// TestFlat: what grows by a fifth from the second quarter to the last is not flat; what has grown before is. A short dose
// tells neither.
func TestFlat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why    string
		of     func(i int) float64
		missed bool
	}{
		{"a fifth more", func(i int) float64 { return 100 + 0.5*float64(i) }, true},
		{"a tenth more", func(i int) float64 { return 100 + 0.2*float64(i) }, false},
		{"a rise in the first quarter", func(i int) float64 { return float64(min(i, 24)) }, false},
		{"a peak", func(i int) float64 { return map[bool]float64{true: 900, false: 100}[i == 90] }, false},
	} {
		list := make([]sample, 100)
		for i := range list {
			list[i].memory = []float64{c.of(i)}
		}
		for _, short := range []bool{false, true} {
			w, missed := &world{rig: &rig{options: options{short: short}}}, false
			for _, f := range w.flat("memory", "MiB", list, func(s sample) float64 { return s.memory[0] }) {
				missed = missed || f.Missed()
			}
			if missed != (c.missed && !short) {
				t.Errorf("%s, short dose %t: missed %t", c.why, short, missed)
			}
		}
	}
}
