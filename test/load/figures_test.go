package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseTimes(t *testing.T) {
	t.Parallel()
	const rest = " S 41 7 7 0 -1 4194560 1 2 3 4 150 50 2000 1000 20 0 1 0 99"
	want := times{parent: 41, own: 2 * time.Second, children: 30 * time.Second}
	for name, line := range map[string]string{
		"a plain name":              "7 (postgres)" + rest,
		"a name that looks like it": "7 (a) S 1 (b c)" + rest,
	} {
		got, err := parseTimes(line)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(times{})); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	for _, line := range []string{"", "7 (postgres) S 1", "7 (postgres) S x 7 7 0 -1 4194560 1 2 3 4 150 50 2000 1000"} {
		if _, err := parseTimes(line); err == nil {
			t.Errorf("%q was read as times", line)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var hundred []sample
	for i := 100; i >= 1; i-- {
		hundred = append(hundred, sample{took: time.Duration(i)})
	}
	for _, c := range []struct {
		why     string
		samples []sample
		share   float64
		want    time.Duration
	}{
		{"half of a hundred do not exceed the 50th", hundred, 0.5, 50},
		{"the nearest rank, not a mean of two", hundred, 0.99, 99},
		{"all do not exceed the largest", hundred, 1, 100},
		{"one sample is every percentile", hundred[:1], 0.5, 100},
		{"of nothing there is none", nil, 0.5, 0},
	} {
		if got := percentile(c.samples, c.share); got != c.want {
			t.Errorf("%s: got %d, want %d", c.why, got, c.want)
		}
	}
}

func TestBarsAreJudged(t *testing.T) {
	t.Parallel()
	r := result{bar: 100 * time.Microsecond, samples: make([]sample, 10), used: usage{process: 600 * time.Microsecond, postgres: 400 * time.Microsecond}}
	if r.missed() {
		t.Error("100 us an operation meet a bar of 100 us")
	}
	r.used.postgres += 10 * time.Microsecond
	if !r.missed() {
		t.Error("101 us an operation miss a bar of 100 us")
	}
	slow := r
	if slow.pace = 2; slow.missed() || slow.judged() != 50.5 {
		t.Errorf("101 us on a machine of half the speed are judged as %v", slow.judged())
	}
	fast := r
	if fast.pace = 0.5; !fast.missed() {
		t.Error("a faster machine was given credit")
	}
	b := &bench{options: options{out: t.TempDir()}, out: io.Discard, results: []result{r}}
	if err := b.finish(0); !errors.Is(err, errMissed) {
		t.Errorf("a run with a missed bar ended with %v", err)
	}
	b = &bench{options: options{out: t.TempDir()}, out: io.Discard, idle: []result{{bar: time.Millisecond, samples: []sample{{took: time.Millisecond}}}}}
	if err := b.finish(0); !errors.Is(err, errMissed) {
		t.Errorf("a median at the bar, which it must be below, ended with %v", err)
	}
}

// TestTheMiddleRoundCounts has one round disturbed each way.
func TestTheMiddleRoundCounts(t *testing.T) {
	t.Parallel()
	round := func(cpu time.Duration, pace float64) result {
		return result{bar: 100 * time.Microsecond, samples: make([]sample, 1), used: usage{process: cpu}, pace: pace}
	}
	got := middle([]result{round(300*time.Microsecond, 1), round(180*time.Microsecond, 2), round(10*time.Microsecond, 1)})
	if got.judged() != 90 || got.missed() || got.least != 10 || got.most != 300 {
		t.Errorf("the rounds were judged as %v, from %v to %v", got.judged(), got.least, got.most)
	}
}

func TestReadLogKeepsTheSpan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := "0 1 500 0 100 1000\n1 1 200 0 101 300\n0 2 700 0 103 0\n"
	if err := os.WriteFile(filepath.Join(dir, "pgbench_log.7"), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readLog(dir, time.Unix(101, 0), time.Unix(102, 0))
	want := []sample{{at: 100 * time.Microsecond, took: 200 * time.Microsecond}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := readLog(dir, time.Unix(200, 0), time.Unix(201, 0)); err == nil {
		t.Error("a span in which nothing ended is no measurement")
	}
}

func TestSpecIsAboutOneKilobyte(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		if n := len(spec(i)); n < 900 || n > 1500 {
			t.Errorf("the spec of a %s cluster has %d bytes", platform(i), n)
		}
	}
}
