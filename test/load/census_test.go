package main

import (
	"testing"
	"time"
)

// TestCensus: wake-ups are what was given another time once it was due, and each of them is one event.
func TestCensus(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(s float64) time.Time { return from.Add(time.Duration(s * float64(time.Second))) }
	before := census{at: from, places: map[string]place{"calm": {at(200), at(-90)}, "due": {at(3), at(-27)}}, events: map[string]int{"due": 4}}
	after := census{at: at(10), places: map[string]place{"calm": {at(200), at(-90)}, "due": {at(33), at(3.4)}, "new": {}}}
	wakes, err := after.since(before)
	if err != nil || len(wakes) != 1 || wakes[0] != (woken{"due", at(3), 400 * time.Millisecond}) {
		t.Fatalf("woken %v, %v", wakes, err)
	}
	for events, unequal := range map[int]int{4: 1, 5: 0, 6: 1} { // none, one and two since then
		after.events = map[string]int{"due": events}
		w := watched{before, after, wakes}
		if got := w.unequal(); got != unequal {
			t.Errorf("%d events for the wake-up: unequal %d, want %d", events-4, got, unequal)
		}
		if got := w.total(); got != events-4 {
			t.Errorf("%d events in all, want %d", got, events-4)
		}
	}
	after.places["due"] = place{at(33), at(2.9)}
	if wakes, err := after.since(before); err == nil {
		t.Errorf("woken before it was due: %v", wakes)
	}
	delete(after.places, "due")
	if wakes, err := after.since(before); err == nil {
		t.Errorf("gone from the schedule: %v", wakes)
	}
}

// TestLanes: every tenth cluster is due every 30 s, the others every five minutes.
func TestLanes(t *testing.T) {
	t.Parallel()
	const clusters = 20
	from := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w := watched{from: census{at: from}, to: census{at: from.Add(3 * time.Minute), events: map[string]int{
		clusterID(9): 6, clusterID(19): 4, clusterID(3): 1, clusterID(4): 2,
	}}}
	lanes := lanesOf(w, clusters, inAttention)
	attention, stable := lanes[0], lanes[1]
	if attention.clusters != 2 || attention.events != 10 || attention.least != 4 || attention.most != 6 || attention.must != 12 {
		t.Errorf("attention: %+v", attention)
	}
	if stable.clusters != 18 || stable.events != 3 || stable.least != 0 || stable.most != 2 || stable.must != 10.8 {
		t.Errorf("stable: %+v", stable)
	}
	if attention.off != 1 || stable.off != 1 { // Four times in three minutes is too rare, twice too often.
		t.Errorf("%d and %d off, want one each", attention.off, stable.off)
	}
}

// TestOverTime: each step has its own percentile, and one without samples no point.
func TestOverTime(t *testing.T) {
	t.Parallel()
	var list []sample
	for _, at := range []int64{-1, 1, 25} {
		list = append(list, sample{at: time.Duration(at) * time.Second, took: time.Duration(at+2) * time.Millisecond})
	}
	points := overTime("x", 10*time.Second, []lineOver{{"a", list, 0.99}}).Series[0].Points
	if len(points) != 2 || points[0].X != 0 || points[0].Y != 3 || points[1].X != 20 || points[1].Y != 27 {
		t.Errorf("points %v", points)
	}
}
