// Command cls is the command line of CLS Backend, for people: kubectl's grammar over the public API. docs/cli.md is made from
// its commands.
package main

//go:generate go test -run ^TestManual$ -update .

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Set by the linker; see the Makefile.
//
//nolint:gochecknoglobals // the linker sets variables and nothing else
var (
	version   = "dev"
	commit    = "unknown"
	buildTime = "unknown"
)

// The codes that the program ends with, beside 0.
const (
	exitFailed = 1
	// exitTimeout is that of a wait that was in vain, as timeout(1) has it.
	exitTimeout = 124
	// exitInterrupted is what a shell makes of Ctrl-C.
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx)
	stop()
	os.Exit(code)
}

// run is the program: it returns the code to end with.
func run(ctx context.Context) int {
	err := rootCommand().ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && advise(err).code != exitInterrupted:
		return exitInterrupted // Whoever has pressed Ctrl-C knows why.
	}
	return complain(os.Stderr, err)
}

// rootCommand returns the whole tree of commands. Each has its own state, so that a process may have several.
func rootCommand() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:   "cls",
		Short: "Declare clusters and see what becomes of them",
		Long: "cls is the command line of CLS Backend. Its grammar is kubectl's: cls get clusters, cls apply -f FILE, cls wait NAME.\n" +
			"KIND is cluster, nodepool or controller, and is cluster where a command lets you leave it out. A cluster or node pool is\n" +
			"named by its name, its id, or the beginning of its id, of four characters or more.",
		Args:              oneOfIts,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd.HasSubCommands() { // What is wrong may be the command before the flag.
			if unknown := cmd.ValidateArgs(cmd.Flags().Args()); unknown != nil {
				return unknown
			}
		}
		return &failure{message: err.Error(), hint: cmd.CommandPath() + " --help lists the flags", err: err}
	})
	g.addFlags(root)
	root.AddCommand(
		getCommand(g), describeCommand(g), createCommand(g), applyCommand(g), editCommand(g), patchCommand(g), deleteCommand(g),
		waitCommand(g), watchCommand(g), treeCommand(g), eventsCommand(g), explainCommand(g), reconcileCommand(g), statusCommand(g),
		shortWay(g, "clusters"), shortWay(g, "nodepools"), shortWay(g, "controllers"),
		configCommand(g), conformanceCommand(g), versionCommand(g), completionCommand(),
	)
	completeNoFiles(root)
	return root
}

// oneOfIts refuses what is no command of a group, and says which is near.
func oneOfIts(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the commands"
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage(hint, "%s has no command %q", cmd.CommandPath(), args[0])
}
