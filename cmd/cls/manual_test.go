package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/cli.md and the golden tables anew")

// TestManual holds docs/cli.md against the commands: one that is missing, left over, or says something else fails.
func TestManual(t *testing.T) {
	t.Parallel()
	const file, mark = "../../docs/cli.md", "make generate -->\n"
	text, err := os.ReadFile(file)
	must(t, err)
	byHand, made, found := strings.Cut(string(text), mark)
	if !found {
		t.Fatalf("%s has lost its mark", file)
	}
	want := manual(rootCommand())
	if *update {
		must(t, os.WriteFile(file, []byte(byHand+mark+want), 0o600))
		return
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("%s is not in step, make generate writes it anew (-commands +document):\n%s", file, diff)
	}
}

// manual is the reference of all commands.
func manual(root *cobra.Command) string {
	var text strings.Builder
	text.WriteString("\n## All commands\n\nEvery command has these:\n")
	writeFlags(&text, root.PersistentFlags())
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" {
				writeCommand(&text, sub)
				walk(sub)
			}
		}
	}
	walk(root)
	return text.String()
}

func writeCommand(text *strings.Builder, c *cobra.Command) {
	c.InitDefaultHelpFlag()
	about := c.Long
	if about == "" {
		about = c.Short
	}
	fmt.Fprintf(text, "\n### %s\n\n%s\n", strings.TrimSuffix(c.UseLine(), " [flags]"), strings.TrimSuffix(about, ".")+".")
	if c.Example != "" {
		fmt.Fprintf(text, "\n```sh\n%s\n```\n", strings.ReplaceAll(c.Example[2:], "\n  ", "\n"))
	}
	writeFlags(text, c.NonInheritedFlags())
}

func writeFlags(text *strings.Builder, flags *pflag.FlagSet) {
	var rows strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value := ""
		if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" && f.DefValue != "0" {
			value = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", name, value, strings.ReplaceAll(f.Usage, "|", `\|`))
	})
	if rows.Len() > 0 {
		text.WriteString("\n| Flag | Default | |\n|---|---|---|\n" + rows.String())
	}
}

// TestEveryCommandIsComplete: whoever asks for help gets a sentence and, where there are arguments, an example.
func TestEveryCommandIsComplete(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s does not say what it does", c.CommandPath())
		}
		if c.HasParent() && !c.HasSubCommands() && c.ValidArgsFunction == nil && c.ValidArgs == nil {
			t.Errorf("%s completes files that it has no use for", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s does not say what it does", c.CommandPath(), f.Name)
			}
			if _, offers := c.GetFlagCompletionFunc(f.Name); !offers && f.Name != "help" && f.Annotations[cobra.BashCompFilenameExt] == nil {
				t.Errorf("%s --%s completes files that it has no use for", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand())
}
