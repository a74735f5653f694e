package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/checker"
	"github.com/cls-backend/cls-backend/test/proof"
)

// Scenarios are found by name, promise something and have both doses.
func TestScenariosAreWhole(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range scenarios() {
		if slices.Contains(names, s.name) {
			t.Errorf("%s is there twice", s.name)
		}
		names = append(names, s.name)
		if s.run == nil || s.promise == "" || s.about == "" || s.unit == "" || s.full.times == 0 || s.short.times == 0 || !strings.Contains(s.name, "/") {
			t.Errorf("%s lacks something: %+v", s.name, s)
		}
		if s.short.times > s.full.times || s.short.lasts > s.full.lasts {
			t.Errorf("%s: the short dose is the larger one", s.name)
		}
		for _, e := range s.except {
			if e.why == "" {
				t.Errorf("%s does not say why %v is excepted", s.name, e.invariant)
			}
		}
	}
}

// The document is made of the results that are kept, whoever made them and when.
func TestDocument(t *testing.T) {
	t.Parallel()
	r := &rig{options: options{out: t.TempDir()}}
	if err := os.MkdirAll(r.work(), 0o755); err != nil {
		t.Fatal(err)
	}
	list := scenarios()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	report := checker.Report{Results: []checker.Result{
		{Invariant: checker.Acknowledged, Promise: "It is there.", Runs: 1, Examined: 12345, Broken: 1, Violations: []string{"it is not"}},
		{Invariant: checker.Delivered, Promise: "It came."},
	}}
	for i, passed := range []bool{true, false} {
		res := result{
			Scenario: list[i].name, Promise: list[i].promise, About: list[i].about, Dose: list[i].full.text(list[i].unit), Seed: 7, Commit: "abc",
			Began: began, Took: 90 * time.Second, Passed: passed, Report: report, Calls: 5000, Figures: []figure{atMost("lost", 2, "", 0)},
			Excepted: map[string]string{"I2": "nobody listens"}, Machine: proof.Machine{CPUs: 2, Memory: 8 << 30, System: "linux/amd64", Go: "go1", Postgres: "15"},
		}
		if !passed {
			res.Error = "it was lost"
		}
		if err := r.keep(res); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.writeDocument(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.options.out, "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2 cores, 8 GiB of memory, linux/amd64, go1, PostgreSQL 15", "1 of 2 held", "1,000 kills | held, 1m30s | abc | 2026-03-01 | 7 |",
		"**failed**", "it was lost", "I1 12,345 (**1 violated**), I2 does not apply (nobody listens)", "5,000 calls", "lost: 2 (at most 0), **missed**",
		"go run ./test/fault -run '^kill/points$' -dose full -seed 7", "| I1 | It is there. | 24,690 | 2 |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		out  string // "" for an error
	}{
		{nil, "docs/proof"},
		{[]string{"-dose", "short"}, "fault-out"},
		{[]string{"-dose", "short", "-out", "x"}, "x"},
		{[]string{"-dose", "medium"}, ""},
		{[]string{"-run", "("}, ""},
	} {
		o, err := parse(c.args)
		if o.out != c.out && c.out != "" || (err != nil) != (c.out == "") {
			t.Errorf("%v: %+v, %v", c.args, o, err)
		}
	}
}

// A run that is interrupted leaves nothing behind: no process and no folder.
func TestInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and runs the service")
	}
	r, err := newRig(t.Context(), options{short: true, out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var pids []int
	res := r.play(ctx, scenario{name: "test/interrupt", run: func(ctx context.Context, w *world, _ dose) ([]figure, error) {
		for _, one := range w.replicas {
			pids = append(pids, one.process().cmd.Process.Pid)
		}
		w.startLoad(ctx, 2, 50)
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if res.Passed || !strings.Contains(res.Error, context.Canceled.Error()) {
		t.Errorf("%+v", res)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
	if len(pids) != startedReplicas {
		t.Errorf("%d replicas", len(pids))
	}
	for _, pid := range pids {
		if exists(pid) {
			t.Errorf("process %d runs on", pid)
		}
	}
	if _, err := os.Stat(r.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind: %v", r.dir, err)
	}
}
