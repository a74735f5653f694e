// Command cls-backend is the service: serve runs it, migrate changes the schema, and dev
// runs everything on one machine with nothing configured.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/internal/app"
)

// Set by the linker; see the Makefile.
//
//nolint:gochecknoglobals // the linker sets variables and nothing else
var (
	version   = "dev"
	commit    = "unknown"
	buildTime = "unknown"
)

// gcPercent lets the heap grow to five times what lives in it. That is some ten MiB, and at
// Go's own 100 the collector would run all the time, at a sixth of the CPU.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cls-backend:", err)
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "cls-backend",
		Short: "The control-plane service of a fleet of clusters",
		Long: "CLS Backend keeps declared clusters in PostgreSQL, tells controllers through Pub/Sub, and folds\n" +
			"their reports into one status. It is configured by the environment: see docs/configuration.md.",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(serveCommand(), migrateCommand(), devCommand(), versionCommand())
	return root
}

func build() app.Build { return app.Build{Version: version, Commit: commit, Time: buildTime} }

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "cls-backend %s (commit %s, built %s)\n", version, commit, buildTime)
			return err
		},
	}
}
