package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/internal/app"
	"github.com/cls-backend/cls-backend/internal/config"
	"github.com/cls-backend/cls-backend/internal/database"
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service until SIGTERM",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(os.Environ(), config.NeedDatabase, config.NeedPubSub)
			if err != nil {
				return fmt.Errorf("the settings are wrong:\n%w", err)
			}
			log, err := app.NewLogger(os.Stderr, cfg)
			if err != nil {
				return err
			}
			return app.Run(cmd.Context(), cfg, app.Options{Build: build(), Log: log, Balanced: true})
		},
	}
}

func migrateCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema up to this version",
		Args:  cobra.NoArgs,
		RunE:  withDatabase(database.Migrate),
	}
	root.AddCommand(
		subcommand("up", "The same: bring the schema up to this version", withDatabase(database.Migrate)),
		subcommand("down", "Take back the newest migration", withDatabase(database.MigrateDown)),
		subcommand("status", "List the migrations and when each was applied", migrationStatus),
	)
	return root
}

func subcommand(use, short string, run func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: run}
}

// withDatabase makes a command of what works on a database's URL.
func withDatabase(work func(context.Context, string, *slog.Logger) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(os.Environ(), config.NeedDatabase)
		if err != nil {
			return fmt.Errorf("the settings are wrong:\n%w", err)
		}
		log, err := app.NewLogger(os.Stderr, cfg)
		if err != nil {
			return err
		}
		return work(cmd.Context(), string(cfg.Database.URL), log)
	}
}

func migrationStatus(cmd *cobra.Command, _ []string) error {
	return withDatabase(func(ctx context.Context, url string, _ *slog.Logger) error {
		list, err := database.Migrations(ctx, url)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "VERSION\tAPPLIED\tNAME")
		for _, m := range list {
			applied := "no"
			if !m.AppliedAt.IsZero() {
				applied = m.AppliedAt.UTC().Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\n", m.Version, applied, m.Name)
		}
		return w.Flush()
	})(cmd, nil)
}
