package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cls-backend/cls-backend/test/proof"
)

// finding is a study's result, as it is kept.
type finding struct {
	Study   string        `json:"study"`
	About   string        `json:"about"`
	Short   bool          `json:"short"`
	Seed    uint64        `json:"seed"`
	Commit  string        `json:"commit"`
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took"` // ns
	Machine proof.Machine `json:"machine"`
	Error   string        `json:"error,omitempty"`
	section
}

func (f finding) missed() bool {
	return f.Error != "" || slices.ContainsFunc(f.Figures, proof.Figure.Missed)
}

func (f finding) dose() string {
	if f.Short {
		return doseShort
	}
	return doseFull
}

// command repeats a study.
func (f finding) command() string {
	return fmt.Sprintf("go run ./test/load -plan load -run '^%s$' -dose %s -seed %d", f.Study, f.dose(), f.Seed)
}

// say prints a finding.
func (f finding) say(out io.Writer) {
	fmt.Fprintf(out, "%s (%s) took %v\n", f.Study, f.dose(), f.Took.Round(100*time.Millisecond))
	for _, figure := range f.Figures {
		fmt.Fprintf(out, "    %s%s\n", figure.Text(), map[bool]string{true: " MISSED"}[figure.Missed()])
	}
	if f.Error != "" {
		fmt.Fprintf(out, "    FAILED: %s\n    again: %s\n", f.Error, f.command())
	}
}

// plotFile is where a plot of a study is, beside the document.
func plotFile(study string, number int) string { return fmt.Sprintf("load-%s-%d.svg", study, number+1) }

// writeDocument makes the document and its plots of all findings that are there.
func writeDocument(all []study, o options) error {
	var list []finding
	for _, s := range all {
		var f finding
		found, err := proof.Kept(findingFile(o, s.name), &f)
		if err != nil {
			return err
		}
		if found {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return nil
	}
	if err := proof.PublishPromises(o.out, "load", promised(list)); err != nil {
		return err
	}
	files := map[string][]byte{"load.md": []byte(document(list))}
	for _, f := range list {
		for i, p := range f.Plots {
			files[plotFile(f.Study, i)] = p.SVG()
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(o.out, name), text, 0o600); err != nil {
			return fmt.Errorf("write the document: %w", err)
		}
	}
	return nil
}

// document is the findings as Markdown.
func document(list []finding) string {
	var b strings.Builder
	b.WriteString("# What the service bears\n\n" +
		"`make load` has written this from what it measured; nothing in it was typed. Each study runs the released binary on a durable\n" +
		"PostgreSQL and Google's Pub/Sub server of its own, all on one machine together with what makes the load.\n\n")
	var on []proof.Machine
	for _, f := range list {
		on = append(on, f.Machine)
	}
	b.WriteString(proof.On(on))
	b.WriteString("\n| Study | Dose | Took | Commit | Date | Again |\n|---|---|--:|---|---|---|\n")
	for _, f := range list {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %v | %s | %s | `%s` |\n", f.Study, f.Study, f.dose(), f.Took.Round(time.Second), f.Commit,
			f.Began.Format(time.DateOnly), f.command())
	}
	for _, f := range list {
		f.write(&b)
	}
	return b.String()
}

// promised are all figures that have a bar, and that a study can be made at all where one could not.
func promised(list []finding) []proof.Promise {
	var all []proof.Promise
	for _, f := range list {
		row := proof.Promise{Test: f.Study, Link: "load.md#" + f.Study, Dose: f.dose() + ", " + f.Took.Round(time.Second).String()}
		if f.Error != "" {
			row.What = "that it can be measured"
			all = append(all, row)
		}
		for _, figure := range f.Figures {
			if figure.Bar != nil {
				row.What, row.Result, row.Held = figure.What+": "+figure.Promise(), figure.Amount(), !figure.Missed()
				all = append(all, row)
			}
		}
	}
	return all
}

// write adds a finding in full.
func (f finding) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", f.Study, f.About)
	if f.Error != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", f.Error)
	}
	b.WriteString("\n")
	for _, figure := range f.Figures {
		fmt.Fprintf(b, "- %s%s\n", figure.Text(), map[bool]string{true: ", **missed**"}[figure.Missed()])
	}
	for i, p := range f.Plots {
		fmt.Fprintf(b, "\n![%s](%s)\n", p.Title, plotFile(f.Study, i))
	}
	for i := range f.Tables {
		f.Tables[i].write(b)
	}
}

func (t *table) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s\n\n%s\n", t.Title, line(t.Header))
	for i := range t.Header {
		right := len(t.Rows) > 0 && i < len(t.Rows[0]) && strings.IndexAny(t.Rows[0][i], "0123456789") == 0
		b.WriteString(map[bool]string{false: "|---", true: "|--:"}[right])
	}
	b.WriteString("|\n")
	for _, row := range t.Rows {
		b.WriteString(line(row) + "\n")
	}
}

func line(cells []string) string {
	safe := make([]string, len(cells))
	for i, c := range cells {
		safe[i] = proof.Cell(c)
	}
	return "| " + strings.Join(safe, " | ") + " |"
}
