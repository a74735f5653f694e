package main

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cls-backend/cls-backend/test/proof"
)

// cost is a result of ten operations of so much CPU, pages and latency each.
func cost(cpu time.Duration, pages int64, took time.Duration) result {
	r := result{operation: "get", used: usage{process: 10 * cpu, buffers: 10 * pages}}
	for range 10 {
		r.samples = append(r.samples, sample{took: took})
	}
	return r
}

func TestSizesAreComparedWithTheSmallest(t *testing.T) {
	t.Parallel()
	var s section
	compare(&s, []sized{
		{10_000, usage{}, []result{cost(100*time.Microsecond, 10, time.Millisecond)}},
		{100_000, usage{}, []result{cost(250*time.Microsecond, 5, 2*time.Millisecond)}},
		{1_000_000, usage{}, []result{cost(150*time.Microsecond, 0, 4*time.Millisecond)}},
	})
	want := []proof.Figure{
		proof.AtMost("get: CPU as judged, at most, by that at 10,000", 2.5, "times", 2),
		proof.AtMost("get: p50, at most, by that at 10,000", 4, "times", 2),
		proof.AtMost("get: pages, at most, by that at 10,000", 1, "times", 2),
		proof.AtMost("costs below zero: the service at rest was measured while it was not", 0, "", 0),
	}
	if diff := cmp.Diff(want, s.Figures); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{"get", "100", "250", "150"}}, s.Tables[0].Rows); diff != "" {
		t.Error(diff)
	}
	line := []proof.Series{{Name: "get", Points: []proof.Point{{X: 10_000, Y: 1}, {X: 100_000, Y: 2}, {X: 1_000_000, Y: 4}}}}
	if diff := cmp.Diff(line, s.Plots[1].Series); diff != "" {
		t.Error(diff)
	}
}

// What was too short to be seen is kept as JSON all the same, which knows no infinity.
func TestACostOfNothingIsComparedToo(t *testing.T) {
	t.Parallel()
	var s section
	compare(&s, []sized{{1, usage{}, []result{cost(0, 0, 0)}}, {2, usage{}, []result{cost(time.Second, 1, time.Second)}}})
	if err := proof.Keep(t.TempDir()+"/it.json", s); err != nil {
		t.Error(err)
	}
	if !s.Figures[0].Missed() {
		t.Error("from nothing to a second is not within twice")
	}
}

// More was taken off for the service at rest than was used.
func TestACostBelowZeroHoldsNothing(t *testing.T) {
	t.Parallel()
	var s section
	compare(&s, []sized{
		{1, usage{}, []result{cost(time.Second, 1, time.Second)}}, {2, usage{}, []result{cost(time.Second, -1, time.Second)}},
	})
	if last := s.Figures[len(s.Figures)-1]; last.Value != 1 || !last.Missed() {
		t.Errorf("%+v", last)
	}
}

// A filling that is like others has their columns, and leaves nothing to the service.
func TestFillingsAreLikeOthers(t *testing.T) {
	t.Parallel()
	like := &likeness{
		map[string][]string{"clusters": {"status"}, "nodepools": {"status"}},
		map[string][][]any{"clusters": make([][]any, period), "nodepools": make([][]any, period)},
	}
	for i := range period {
		like.rows["clusters"][i], like.rows["nodepools"][i] = []any{i}, []any{-i}
	}
	f := filling{due: time.Now, like: like}
	names := map[string]bool{}
	for _, table := range f.tables() {
		names[table.name] = true
		row := table.row(7 * period * table.each)
		if len(row) != len(table.columns) {
			t.Errorf("%s has %d columns and %d values", table.name, len(table.columns), len(row))
		}
	}
	if names["stale_statuses"] || names["stale_nodepool_statuses"] {
		t.Error("a status that is there is calculated again")
	}
	if got := f.tables()[0].row(2*period + 3); got[len(got)-1] != 3 {
		t.Errorf("the status is that of %v", got[len(got)-1])
	}
	for i := range period {
		if platform(i) != platform(i+period) || failed(i) != failed(i+period) {
			t.Fatalf("cluster %d is not like %d", i+period, i)
		}
	}
}

func TestResidentMemory(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("memory is read from /proc")
	}
	if got, err := residentMemory(os.Getpid()); err != nil || got < 1<<20 || got > 1<<40 {
		t.Errorf("%d bytes: %v", got, err)
	}
	if _, err := residentMemory(0); err == nil {
		t.Error("no process has memory")
	}
}
