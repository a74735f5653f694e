package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cls-backend/cls-backend/test/proof"
)

// study answers a question about the service under load.
type study struct {
	name string
	// about says what is done and what it is judged by, in a paragraph of the document.
	about string
	// run measures. It starts what it needs, and ends it. What it returns beside an error is kept too.
	run func(ctx context.Context, l *lab) (section, error)
}

// studies are all there are, in the order of the document.
func studies() []study {
	return []study{
		operationsStudy(), openLoopStudy(), sizesStudy(), steadyStudy(), eventsStudy(), wakeUpsStudy(), replicasStudy(),
	}
}

// section is what has come of a study.
type section struct {
	Figures []proof.Figure `json:"figures"`
	Tables  []table        `json:"tables,omitempty"`
	Plots   []proof.Plot   `json:"plots,omitempty"`
}

// table is rows under a header. What begins with a digit is set to the right.
type table struct {
	Title  string     `json:"title"`
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// add appends a row: numbers as people write them, everything else as it is.
func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case float64:
			row[i] = proof.Number(c)
		case int:
			row[i] = proof.Thousands(c)
		default:
			row[i] = fmt.Sprint(c)
		}
	}
	t.Rows = append(t.Rows, row)
}

// lab is where a study is made.
type lab struct {
	options options // out is a folder of the study's own, for samples and logs
	out     io.Writer
	machine proof.Machine
}

// dosed is what a study takes of something at the dose that is asked for.
func dosed[T any](l *lab, short, full T) T {
	if l.options.short {
		return short
	}
	return full
}

// rig starts everything on a fleet of a size, with or without the copy for the baselines. The caller ends it with
// stop, after an error too.
func (l *lab) rig(ctx context.Context, clusters int, baselines bool) (*rig, error) {
	o := l.options
	o.clusters = clusters
	r, err := startRig(ctx, o, l.out, baselines)
	if err == nil {
		err = r.db.QueryRow(ctx, "SHOW server_version").Scan(&l.machine.Postgres)
	}
	return r, err
}

// bench measures on a rig as make bench does, at the study's dose.
func (l *lab) bench(r *rig) *bench {
	o := r.options
	o.duration = dosed(l, 50*time.Millisecond, time.Second)
	o.warmUp = dosed(l, 20*time.Millisecond, 500*time.Millisecond)
	o.rounds = dosed(l, 1, 7)
	return &bench{rig: r, options: o, out: l.out, baseline: map[key]result{}}
}

// makeStudies makes those that are asked for, one after the other, and writes the document of all that have been made;
// errMissed when a bar was missed.
func makeStudies(ctx context.Context, all []study, o options, out io.Writer) error {
	missed := false
	for _, s := range all {
		if !o.only.MatchString(s.name) {
			continue
		}
		f, err := s.make(ctx, o, out)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		f.say(out)
		if err := proof.Keep(findingFile(o, s.name), f); err != nil {
			return err
		}
		missed = missed || f.missed()
	}
	if err := writeDocument(all, o); err != nil {
		return err
	}
	if missed {
		return errMissed
	}
	return nil
}

// work is where results, samples and logs go.
func work(o options) string { return filepath.Join(o.out, "work") }

// findingFile is where a study's finding is kept. Another program keeps its own there too.
func findingFile(o options, study string) string {
	return filepath.Join(work(o), "load-"+study+".json")
}

// make makes a study. A failure of the study itself is part of the finding.
func (s study) make(ctx context.Context, o options, out io.Writer) (finding, error) {
	began := time.Now()
	f := finding{
		Study: s.name, About: s.about, Short: o.short, Seed: o.seed, Commit: proof.Commit(ctx), Began: began.UTC().Truncate(time.Second),
	}
	l := &lab{options: o, out: out, machine: proof.LookAtMachine()}
	l.options.out = filepath.Join(work(o), "load-"+s.name)
	if err := os.MkdirAll(l.options.out, 0o755); err != nil {
		return f, fmt.Errorf("make the folder of the samples: %w", err)
	}
	fmt.Fprintf(out, "study %s\n", s.name)
	var err error
	if f.section, err = s.run(ctx, l); err != nil {
		f.Error = err.Error()
	}
	if len(f.Figures) == 0 && err == nil {
		return f, errors.New(s.name + " has measured nothing")
	}
	f.Took, f.Machine = time.Since(began), l.machine
	return f, nil
}
