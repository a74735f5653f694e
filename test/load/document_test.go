package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cls-backend/cls-backend/test/proof"
)

// Studies are found by name and say what they do.
func TestStudiesAreWhole(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range studies() {
		if slices.Contains(names, s.name) {
			t.Errorf("%s is there twice", s.name)
		}
		names = append(names, s.name)
		if s.run == nil || s.about == "" || regexp.MustCompile(`[^a-z-]`).MatchString(s.name) {
			t.Errorf("%q lacks something", s.name)
		}
	}
}

// found is a study that finds what it is given.
func found(name string, s section, err error) study {
	return study{name: name, about: "What " + name + " is.", run: func(_ context.Context, l *lab) (section, error) {
		l.machine = proof.Machine{CPUs: 2, Memory: 8 << 30, System: "linux/amd64", Go: "go1", Postgres: "15"}
		return s, err
	}}
}

// The document is made of the findings that are kept, whoever made them and when.
func TestDocument(t *testing.T) {
	t.Parallel()
	sizes := table{Title: "What it costs:", Header: []string{"Operation", "us"}}
	sizes.add("a|b", 1234.0)
	all := []study{
		found("sizes", section{
			Figures: []proof.Figure{proof.AtMost("get", 2.5, "times", 2), proof.AtLeast("rate", 1, "", 1), proof.Measured("clusters", 10_000, "")},
			Tables:  []table{sizes}, Plots: []proof.Plot{{Title: "By size"}},
		}, nil),
		found("broken", section{}, errors.New("nobody answered")),
		found("well", section{Figures: []proof.Figure{proof.AtMost("lost", 0, "", 0)}}, nil),
	}
	o := options{out: t.TempDir(), only: regexp.MustCompile(""), seed: 7, short: true}
	if err := makeStudies(t.Context(), all, o, io.Discard); !errors.Is(err, errMissed) {
		t.Errorf("a missed bar and a study that failed ended with %v", err)
	}
	o.only, o.short = regexp.MustCompile("well"), false
	var out bytes.Buffer
	if err := makeStudies(t.Context(), all, o, &out); err != nil {
		t.Errorf("a study that held ended with %v\n%s", err, &out)
	}
	text := read(t, filepath.Join(o.out, "load.md"))
	for _, want := range []string{
		"2 cores, 8 GiB of memory, linux/amd64, go1, PostgreSQL 15",
		"go run ./test/load -plan load -run '^sizes$' -dose short -seed 7", "-run '^well$' -dose full",
		"- get: 2.50 times (at most 2), **missed**\n", "- rate: 1 (at least 1)\n", "```\nnobody answered\n```",
		"## sizes\n\nWhat sizes is.\n", "- clusters: 10,000\n", "![By size](load-sizes-1.svg)",
		"What it costs:\n\n| Operation | us |\n|---|--:|\n| a\\|b | 1,234 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	promises := read(t, filepath.Join(o.out, "README.md"))
	for _, want := range []string{
		"2 of 4 promises hold", "| get: at most 2 | [sizes](load.md#sizes) | short, 0s | **missed**: 2.50 times |",
		"| lost: at most 0 | [well](load.md#well) | full, 0s | holds: 0 |",
		"| that it can be measured | [broken](load.md#broken) | short, 0s | **missed** |",
	} {
		if !strings.Contains(promises, want) {
			t.Errorf("the table of promises lacks %q:\n%s", want, promises)
		}
	}
	if strings.Contains(promises, "| clusters") {
		t.Error("a figure without a bar is no promise")
	}
	if plot := read(t, filepath.Join(o.out, "load-sizes-1.svg")); !strings.HasPrefix(plot, "<svg") {
		t.Errorf("the plot is %q", plot)
	}
}

// A study that measured nothing proves nothing.
func TestAStudyOfNothingFails(t *testing.T) {
	t.Parallel()
	o := options{out: t.TempDir(), only: regexp.MustCompile("")}
	if err := makeStudies(t.Context(), []study{found("empty", section{}, nil)}, o, io.Discard); err == nil {
		t.Error("a study without figures passed")
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		out  string // how it begins; "" for an error
	}{
		{nil, "bench-out/"},
		{[]string{"-clusters", "100", "-rounds", "1"}, "bench-out/"},
		{[]string{"-plan", "load"}, "docs/proof"},
		{[]string{"-plan", "load", "-dose", "short", "-seed", "4"}, "load-out"},
		{[]string{"-plan", "load", "-out", "x"}, "x"},
		{[]string{"-plan", "load", "-rounds", "1"}, ""},
		{[]string{"-dose", "short"}, ""},
		{[]string{"-plan", "load", "-dose", "medium"}, ""},
		{[]string{"-plan", "all"}, ""},
		{[]string{"-run", "("}, ""},
		{[]string{"-connections", "0"}, ""},
	} {
		o, err := parse(c.args)
		if !strings.HasPrefix(o.out, c.out) || (err != nil) != (c.out == "") {
			t.Errorf("%v: %+v, %v", c.args, o, err)
		}
	}
}
