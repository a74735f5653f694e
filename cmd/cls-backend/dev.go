package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/cls-backend/cls-backend/controller"
	"github.com/cls-backend/cls-backend/internal/app"
	"github.com/cls-backend/cls-backend/internal/config"
	"github.com/cls-backend/cls-backend/internal/demo"
	"github.com/cls-backend/cls-backend/internal/dev"
)

// stopLimit bounds how long the private PostgreSQL may take to end cleanly.
const stopLimit = 10 * time.Second

func devCommand() *cobra.Command {
	var (
		dir   string
		reset bool
	)
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine: PostgreSQL, Pub/Sub, the API and three demo controllers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if reset {
				return dev.RemovePostgres(cmd.Context(), dir)
			}
			return runDev(cmd.Context(), dir, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", defaultDir(), "folder of the private PostgreSQL; another dev needs another one")
	cmd.Flags().BoolVar(&reset, "reset", false, "remove the private PostgreSQL's data and end")
	return cmd
}

// defaultDir is a folder that the account which PostgreSQL runs as can reach: as root
// that is another one, and root's home is closed to it.
func defaultDir() string {
	home, err := os.UserHomeDir()
	if err != nil || os.Geteuid() == 0 {
		return "/var/lib/cls-backend/dev"
	}
	return filepath.Join(home, ".local", "share", "cls-backend", "dev")
}

// runDev starts what the settings do not name, then the service and the demo
// controllers, and ends them in reverse. PostgreSQL goes last, so that the drain can
// use it.
func runDev(ctx context.Context, dir string, out io.Writer) error {
	cfg, err := config.Load(append([]string{"LOG_FORMAT=text"}, os.Environ()...)) // For people, unless they say otherwise.
	if err != nil {
		return fmt.Errorf("the settings are wrong:\n%w", err)
	}
	log, err := app.NewLogger(os.Stderr, cfg)
	if err != nil {
		return err
	}
	stop, err := provide(ctx, &cfg, dir)
	defer stop()
	if ctx.Err() != nil {
		return nil // Ctrl-C in the midst of a first start, which fails for that
	}
	if err != nil {
		return beside(err, cfg.Server, dir)
	}
	group, ctx := errgroup.WithContext(ctx)
	serving := func(at app.Addresses) {
		group.Go(func() error {
			return demo.Run(ctx, demo.Options{
				APIURL: "http://" + at.API, Log: log,
				PubSub: controller.PubSub{
					ProjectID: cfg.PubSub.ProjectID, EmulatorHost: cfg.PubSub.EmulatorHost,
					ClusterTopic: cfg.PubSub.ClusterEventsTopic, NodePoolTopic: cfg.PubSub.NodePoolEventsTopic,
				},
				Ready: func() { printHelp(out, cfg, at) }, // Not before: nobody would hear of a first cluster.
			})
		})
	}
	group.Go(func() error {
		err := app.Run(ctx, cfg, app.Options{Build: build(), Log: log, Serving: serving})
		if err == nil {
			err = errStopped // Ends the demo controllers too.
		}
		return err
	})
	if err := group.Wait(); !errors.Is(err, errStopped) {
		return beside(err, cfg.Server, dir)
	}
	return nil
}

// beside adds to the failure of a start that found its folder or a port taken, most likely by another dev, how to run beside that.
func beside(err error, c config.Server, dir string) error {
	folderTaken := errors.Is(err, dev.ErrInUse)
	if !folderTaken && !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	var line []string
	if taken(c.Host, c.Port) {
		line = append(line, "PORT=0") // Any free one, which the help names.
	}
	if taken(c.Host, c.MetricsPort) {
		line = append(line, "METRICS_PORT=0")
	}
	if folderTaken {
		dir += "-2"
	}
	line = append(line, os.Args[0], "dev", "--dir", dir)
	return fmt.Errorf("%w\nto run beside it: %s", err, strings.Join(line, " "))
}

// taken reports whether nobody else can listen on a port.
func taken(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))) //nolint:noctx // it does not wait
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}

var errStopped = errors.New("stopped")

// provide starts a private PostgreSQL and Pub/Sub where the settings name none, and
// puts their addresses into the settings. The returned func ends what was started.
func provide(ctx context.Context, cfg *config.Config, dir string) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, end := range slices.Backward(stops) {
			end()
		}
	}
	if cfg.Server.Host == "" {
		cfg.Server.Host = "127.0.0.1"
	}
	if cfg.Database.URL == "" {
		pg, err := dev.StartPostgres(ctx, dev.PostgresOptions{Dir: dir, Durable: true})
		if err != nil {
			return stop, err
		}
		stops = append(stops, func() {
			ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
			defer cancel()
			_ = pg.Stop(ctx)
		})
		cfg.Database.URL = config.DatabaseURL(pg.URL())
	}
	if cfg.PubSub.EmulatorHost == "" {
		ps, err := startPubSub(ctx)
		if err != nil {
			return stop, err
		}
		stops = append(stops, ps.Close)
		cfg.PubSub.EmulatorHost, cfg.PubSub.ProjectID = ps.Addr(), config.EmulatorProject
	}
	return stop, nil
}

// usualPubSub is the port that Google's emulator uses too.
const usualPubSub = "127.0.0.1:8085"

// startPubSub takes the usual port, or any when that is taken.
func startPubSub(ctx context.Context) (*dev.PubSub, error) {
	if ps, err := dev.StartPubSub(ctx, usualPubSub); err == nil {
		return ps, nil
	}
	return dev.StartPubSub(ctx, net.JoinHostPort("127.0.0.1", "0"))
}

// printHelp says where everything is, and what to try: each line can be pasted as it is.
func printHelp(out io.Writer, cfg config.Config, at app.Addresses) {
	fmt.Fprintf(out, `
CLS Backend is up.

  API       http://%[1]s/api/v1    documentation http://%[1]s/docs
  Metrics   http://%[2]s/metrics
  Pub/Sub   export PUBSUB_EMULATOR_HOST=%[3]s GOOGLE_CLOUD_PROJECT=%[4]s

Declare a cluster, and watch it become Ready:

  curl -sS http://%[1]s/api/v1/clusters -H 'X-User-Email: you@example.com' `+
		`-H 'Content-Type: application/json' -d '{"name":"hello-'$(date +%%s)'","spec":{"platform":{"type":"gcp"}}}'

  curl -sS http://%[1]s/api/v1/clusters -H 'X-User-Email: you@example.com'

Give the newest one a node pool; pause it, so that nobody is woken for it any more; delete both. One on azure
says whom its deletion waits for, and is gone once that controller has let go:

  ID=$(curl -sS 'http://%[1]s/api/v1/clusters?limit=1' -H 'X-User-Email: you@example.com' | sed 's/.*"clusters":\[{"id":"\([^"]*\).*/\1/')

  curl -sS http://%[1]s/api/v1/nodepools -H 'X-User-Email: you@example.com' `+
		`-H 'Content-Type: application/json' -d '{"name":"workers","cluster_id":"'$ID'"}'

  curl -sS -X PATCH http://%[1]s/api/v1/clusters/$ID -H 'X-User-Email: you@example.com' `+
		`-H 'Content-Type: application/json' -d '{"paused":true}'

  curl -sS -X DELETE http://%[1]s/api/v1/clusters/$ID -H 'X-User-Email: you@example.com'

Ctrl-C ends everything. The data stay; "make dev-reset" removes them.

`, at.API, at.Metrics, cfg.PubSub.EmulatorHost, cfg.PubSub.ProjectID)
}
