package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/internal/conformance"
)

func conformanceCommand(g *globals) *cobra.Command {
	var (
		o    conformance.Options
		form string
	)
	cmd := &cobra.Command{
		Use: "conformance", Short: "Hold a service to its contract, from outside",
		Long: "conformance makes clusters, plays their controllers, and removes all of it again. It says of each promise of the\n" +
			"contract whether the service keeps it, and ends with 1 when it does not keep one. Events are judged too where --project\n" +
			"says where they are published. docs/conformance.md lists the checks.",
		Example: "  cls conformance --url http://localhost:8080 --pubsub localhost:8085 --project cls-local",
		Args:    cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := loadConfig()
			if err != nil {
				return err
			}
			to, err := file.resolve(g, os.Getenv)
			if err != nil {
				return err
			}
			o.URL, o.User = to.URL, to.Identity
			return conform(cmd, o, form)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Controller, "controller-as", "", "e-mail address that may report under any name (default controller@system.local)")
	f.StringVar(&o.Admin, "admin-as", "", "e-mail address of an administrator; without one, what needs one is skipped")
	f.StringVar(&o.PubSub.EmulatorHost, "pubsub", "", "host and port of a Pub/Sub emulator (default Google's service)")
	f.StringVar(&o.PubSub.ProjectID, "project", "", "project that the events are published in; without one, they are not judged")
	f.StringSliceVar(&o.Only, "only", nil, "patterns of the checks to run, such as status/*")
	f.StringVarP(&form, "output", "o", "table", "table or junit")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "junit"}, cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"controller-as", "admin-as", "pubsub", "project", "only"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// conform runs the checks and writes the report in a form. A promise that is not kept is an error.
func conform(cmd *cobra.Command, o conformance.Options, form string) error {
	if form != "table" && form != "junit" {
		return &failure{message: fmt.Sprintf("a report has no form %q", form), hint: "it is table or junit"}
	}
	report, err := conformance.Run(cmd.Context(), o)
	if err != nil {
		return err
	}
	write := report.WriteTable
	if form == "junit" {
		write = report.WriteJUnit
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if failed := report.Failed(); failed > 0 {
		return &failure{message: fmt.Sprintf("%d of %d promises are not kept", failed, len(report.Results))}
	}
	return nil
}
