package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/checker"
	"github.com/cls-backend/cls-backend/test/proof"
)

// result is what has come of a scenario.
type result struct {
	Scenario string            `json:"scenario"`
	Promise  string            `json:"promise"`
	About    string            `json:"about"`
	Dose     string            `json:"dose"`
	Short    bool              `json:"short"`
	Seed     uint64            `json:"seed"`
	Commit   string            `json:"commit"`
	Began    time.Time         `json:"began"`
	Took     time.Duration     `json:"took"` // ns
	Machine  proof.Machine     `json:"machine"`
	Passed   bool              `json:"passed"`
	Error    string            `json:"error,omitempty"`
	Figures  []figure          `json:"figures"`
	Calls    int               `json:"calls"`  // on record
	Events   int               `json:"events"` // as the subscriber was given them
	Report   checker.Report    `json:"report"`
	Excepted map[string]string `json:"excepted,omitempty"` // why, by invariant
}

// command repeats a result.
func (r result) command() string {
	dose := doseFull
	if r.Short {
		dose = doseShort
	}
	return fmt.Sprintf("go run ./test/fault -run '^%s$' -dose %s -seed %d", r.Scenario, dose, r.Seed)
}

// say prints a result.
func (r *rig) say(out io.Writer, res result) {
	verdict := "passed"
	if !res.Passed {
		verdict = "FAILED"
	}
	fmt.Fprintf(out, "%s %s (%s) in %v, seed %d\n", verdict, res.Scenario, res.Dose, res.Took.Round(100*time.Millisecond), res.Seed)
	for _, f := range res.Figures {
		fmt.Fprintf(out, "    %s\n", f.Text())
	}
	if len(res.Report.Results) > 0 {
		fmt.Fprintf(out, "    on record: %s calls, %s events\n", thousands(res.Calls), thousands(res.Events))
		fmt.Fprintf(out, "%s", indent(res.Report.String()))
	}
	if !res.Passed {
		fmt.Fprintf(out, "%s    again: %s\n    logs: %s\n", indent(res.Error+"\n"), res.command(), r.logs(res.Scenario))
	}
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	return b.String()
}

// fileName is a scenario's as a file.
func fileName(scenario string) string { return strings.ReplaceAll(scenario, "/", "-") }

// logs is where the replicas of a scenario write.
func (r *rig) logs(scenario string) string { return filepath.Join(r.work(), fileName(scenario)) }

// keep writes a result where the document is made from.
func (r *rig) keep(res result) error {
	return proof.Keep(r.resultFile(res.Scenario), res)
}

func (r *rig) resultFile(scenario string) string {
	return filepath.Join(r.work(), fileName(scenario)+".json")
}

// kept reads the results that are there, in the order of the scenarios.
func (r *rig) kept() ([]result, error) {
	var list []result
	for _, s := range scenarios() {
		var res result
		found, err := proof.Kept(r.resultFile(s.name), &res)
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, res)
		}
	}
	return list, nil
}

// writeDocument makes the document of all results that are there.
func (r *rig) writeDocument() error {
	list, err := r.kept()
	if err != nil || len(list) == 0 {
		return err
	}
	if err := proof.PublishPromises(r.options.out, "faults", promised(list)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.options.out, "faults.md"), []byte(document(list)), 0o600); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

// promised is what the scenarios promise.
func promised(list []result) []proof.Promise {
	var all []proof.Promise
	for _, res := range list {
		all = append(all, proof.Promise{
			What: res.Promise, Test: res.Scenario, Link: "faults.md#" + anchor(res.Scenario), Dose: res.Dose, Held: res.Passed,
		})
	}
	return all
}

// document is the results as Markdown.
func document(list []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What the service survives\n\n"+
		"`make fault` has written this from what it measured; nothing in it was typed. Each scenario runs real processes of the\n"+
		"service on a real PostgreSQL and Google's Pub/Sub server, under load, while the fault happens; a program that was not there\n"+
		"judges the whole record of the run afterwards, by the invariants that are listed at the end.\n\n")
	var on []proof.Machine
	for _, res := range list {
		on = append(on, res.Machine)
	}
	b.WriteString(proof.On(on))
	b.WriteString("\n| Promise | Scenario | Dose | Result | Commit | Date | Seed |\n|---|---|---|---|---|---|--:|\n")
	passed := 0
	for _, res := range list {
		verdict := "**failed**"
		if res.Passed {
			verdict = "held"
			passed++
		}
		fmt.Fprintf(&b, "| %s | [%s](#%s) | %s | %s, %v | %s | %s | %d |\n", res.Promise, res.Scenario, anchor(res.Scenario), res.Dose, verdict,
			res.Took.Round(time.Second), res.Commit, res.Began.Format(time.DateOnly), res.Seed)
	}
	fmt.Fprintf(&b, "\n%d of %d held.\n", passed, len(list))
	for _, res := range list {
		section(&b, res)
	}
	invariants(&b, list)
	return b.String()
}

// anchor is where GitHub puts a heading.
func anchor(heading string) string { return strings.ReplaceAll(heading, "/", "") }

// section is a result in full.
func section(b *strings.Builder, res result) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", res.Scenario, res.About)
	for _, f := range res.Figures {
		fmt.Fprintf(b, "- %s%s\n", f.Text(), map[bool]string{true: ", **missed**"}[f.Missed()])
	}
	var examined []string
	for _, i := range res.Report.Results {
		name := i.Invariant.String()
		if why, excepted := res.Excepted[name]; excepted {
			examined = append(examined, fmt.Sprintf("%s does not apply (%s)", name, why))
			continue
		}
		text := fmt.Sprintf("%s %s", name, thousands(i.Examined))
		if i.Broken > 0 {
			text += fmt.Sprintf(" (**%s violated**)", thousands(i.Broken))
		}
		examined = append(examined, text)
	}
	fmt.Fprintf(b, "- on record: %s calls, %s events\n- examined: %s\n\nAgain: `%s`\n",
		thousands(res.Calls), thousands(res.Events), strings.Join(examined, ", "), res.command())
	if !res.Passed {
		fmt.Fprintf(b, "\n```\n%s\n```\n", res.Error)
	}
}

// invariants lists them with what all scenarios have examined.
func invariants(b *strings.Builder, list []result) {
	var all checker.Report
	for _, res := range list {
		if len(res.Report.Results) > 0 {
			all = all.Merge(res.Report)
		}
	}
	b.WriteString("\n## The invariants\n\n| | | Examined | Violated |\n|---|---|--:|--:|\n")
	for _, i := range all.Results {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", i.Invariant, i.Promise, thousands(i.Examined), thousands(i.Broken))
	}
}
