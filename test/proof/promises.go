package proof

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Promise is a row of the table of all that is proved.
type Promise struct {
	What   string `json:"what"`   // is promised, in words
	Test   string `json:"test"`   // the name of what proves it
	Link   string `json:"link"`   // to where that is described, beside the table
	Dose   string `json:"dose"`   // how much of it there was
	Result string `json:"result"` // what was measured; "" where it just holds or does not
	Held   bool   `json:"held"`
}

// provers are the programs that make promises, in the order of the table.
func provers() []string { return []string{"faults", "load"} }

// PublishPromises keeps the promises of a prover ("faults" or "load") in the folder work of its results, and writes the
// table of those of all provers as README.md beside its document.
func PublishPromises(out, prover string, list []Promise) error {
	file := func(prover string) string { return filepath.Join(out, "work", "promises-"+prover+".json") }
	if err := Keep(file(prover), list); err != nil {
		return err
	}
	var all []Promise
	for _, one := range provers() {
		var of []Promise
		if _, err := Kept(file(one), &of); err != nil {
			return err
		}
		all = append(all, of...)
	}
	if err := os.WriteFile(filepath.Join(out, "README.md"), []byte(promiseTable(all)), 0o600); err != nil {
		return fmt.Errorf("write the table of promises: %w", err)
	}
	return nil
}

// promiseTable is the table as Markdown.
func promiseTable(list []Promise) string {
	var b strings.Builder
	held := 0
	for _, p := range list {
		if p.Held {
			held++
		}
	}
	fmt.Fprintf(&b, "# What is promised, and whether it holds\n\n"+
		"`make fault` and `make load` have written this from what they measured; nothing in it was typed. %d of %d promises hold.\n"+
		"What was done, with seeds, commits, figures and plots: [faults.md](faults.md) and [load.md](load.md).\n\n"+
		"| Promise | Test | Dose | Result |\n|---|---|---|---|\n", held, len(list))
	for _, p := range list {
		verdict := "**missed**"
		if p.Held {
			verdict = "holds"
		}
		if p.Result != "" {
			verdict += ": " + p.Result
		}
		fmt.Fprintf(&b, "| %s | [%s](%s) | %s | %s |\n", Cell(p.What), p.Test, p.Link, Cell(p.Dose), Cell(verdict))
	}
	return b.String()
}

// Cell is a text that does not end its cell of a Markdown table.
func Cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
