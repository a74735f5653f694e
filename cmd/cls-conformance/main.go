// Command cls-conformance is what cls conformance runs: it holds a running backend to its contract, from outside. It is a
// program of its own because it listens to Pub/Sub, whose client would make every start of cls a slow one.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/internal/conformance"
)

// The codes that the program ends with, beside 0.
const (
	exitFailed = 1
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
	err := command(os.Getenv).ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return exitInterrupted // Whoever has pressed Ctrl-C knows why.
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	return exitFailed
}

// command is the whole command line. What cls says of the service comes by the environment.
func command(env func(string) string) *cobra.Command {
	var (
		o    conformance.Options
		form string
	)
	cmd := &cobra.Command{
		Use: "cls conformance", Short: "Hold a service to its contract, from outside",
		Long: "cls conformance makes clusters, plays their controllers, and removes all of it again. It says of each promise of the\n" +
			"contract whether the service keeps it, and ends with 1 when it does not keep one. Events are judged too where --pubsub\n" +
			"or --project says where they are published. docs/conformance.md lists the checks.\n\n" +
			"Run as cls-conformance, it takes the address from CLS_URL, a user to call as from CLS_IDENTITY, a bearer token for a\n" +
			"gateway from CLS_TOKEN, and how long a request may take from CLS_REQUEST_TIMEOUT. A gateway that takes the caller from the\n" +
			"token is given one for each: CLS_OTHER_TOKEN, CLS_CONTROLLER_TOKEN and CLS_ADMIN_TOKEN.",
		Example: "  cls conformance --url http://localhost:8080 --pubsub localhost:8085",
		Args:    cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			o.URL, o.User = cmp.Or(env("CLS_URL"), "http://127.0.0.1:8080"), cmp.Or(env("CLS_IDENTITY"), "conformance@example.com")
			o.Other = cmp.Or(o.Other, "other."+o.User)
			o.Tokens = map[string]string{
				o.Other: env("CLS_OTHER_TOKEN"), o.Controller: env("CLS_CONTROLLER_TOKEN"), o.Admin: env("CLS_ADMIN_TOKEN"),
			}
			o.Tokens[""] = env("CLS_TOKEN") // Without an administrator the last was of "".
			if o.RequestTimeout, err = time.ParseDuration(cmp.Or(env("CLS_REQUEST_TIMEOUT"), "30s")); err != nil {
				return fmt.Errorf("CLS_REQUEST_TIMEOUT: %w", err)
			}
			return conform(cmd, o, form)
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	f := cmd.Flags()
	f.StringVar(&o.Other, "other-as", "", "e-mail address of a second user (default other. and the first)")
	f.StringVar(&o.Controller, "controller-as", "controller@system.local", "e-mail address that may report under any name")
	f.StringVar(&o.Admin, "admin-as", "", "e-mail address of an administrator; without one, what needs one is skipped")
	f.StringVar(&o.PubSub.EmulatorHost, "pubsub", "", "host and port of a Pub/Sub emulator (default Google's service)")
	f.StringVar(&o.PubSub.ProjectID, "project", "", "project of the events (default cls-local with an emulator; else none are judged)")
	f.StringVar(&o.PubSub.ClusterTopic, "cluster-topic", "", "topic of the events of clusters (default cluster-events)")
	f.StringVar(&o.PubSub.NodePoolTopic, "nodepool-topic", "", "topic of the events of node pools (default nodepool-events)")
	f.StringSliceVar(&o.Only, "only", nil, "patterns of the checks to run, such as status/*")
	f.StringVarP(&form, "output", "o", "table", "table or junit")
	return cmd
}

// conform runs the checks and writes the report in a form. A promise that is not kept is an error.
func conform(cmd *cobra.Command, o conformance.Options, form string) error {
	if form != "table" && form != "junit" {
		return fmt.Errorf("a report has no form %q: it is table or junit", form)
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
		return fmt.Errorf("%d of %d promises are not kept", failed, len(report.Results))
	}
	return nil
}
