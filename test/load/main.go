// Command load measures what CLS Backend costs: operations a second, latency, and CPU
// time an operation of the service and of all PostgreSQL processes together.
//
// It runs the released binary on a durable PostgreSQL of its own, with the scheduler and
// the relay at work as in production, over 10,000 stable clusters. Beside each operation
// it runs the least that could do the same: the bare statement under pgbench, and a bare
// huma handler around that statement. Machines differ, ratios within one run hardly do.
//
// Everything runs in processes of its own on loopback and is ended and removed at the
// end. The raw samples stay in bench-out/. The exit code is 1 when a bar is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options say what is measured, and how.
type options struct {
	binary      string // cls-backend
	dir         string // of the private PostgreSQL
	out         string
	clusters    int
	connections []int
	warmUp      time.Duration
	duration    time.Duration // of each measurement
	rounds      int           // of each operation
	only        *regexp.Regexp
	// inMemory allows a dir that is no disk, where "durable" costs nothing: only for
	// trying out the harness.
	inMemory bool
}

// errMissed says that a bar was missed, and nothing else went wrong.
var errMissed = errors.New("a bar was missed")

func main() {
	if code, ok := runHelper(); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return run(ctx, o, out)
}

// parse reads the command line.
func parse(args []string) (options, error) {
	var o options
	// One folder a user: its lock also keeps two measurements from disturbing each other.
	dir := filepath.Join("/var/tmp", fmt.Sprintf("cls-backend-bench-%d", os.Getuid()))
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&o.binary, "binary", "bin/cls-backend", "the service to measure")
	flags.StringVar(&o.dir, "dir", dir, "folder of the private PostgreSQL, on a disk; what is in it is removed")
	flags.StringVar(&o.out, "out", filepath.Join("bench-out", time.Now().UTC().Format("20060102T150405Z")), "folder of the results")
	flags.IntVar(&o.clusters, "clusters", 10_000, "clusters in the database")
	flags.DurationVar(&o.duration, "duration", time.Second, "length of each measurement")
	flags.IntVar(&o.rounds, "rounds", 7, "measurements of each operation, of which the middle one counts")
	flags.DurationVar(&o.warmUp, "warm-up", 500*time.Millisecond, "load before the first measurement of an operation")
	only := flags.String("run", "", "measure the operations whose name matches this regular expression, such as ^list")
	connections := flags.String("connections", "8,32", "numbers of connections")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 {
		return o, fmt.Errorf("-rounds: %d is no number of rounds", o.rounds)
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-run: %w", err)
	}
	for text := range strings.SplitSeq(*connections, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-connections: %q is no number of connections", text)
		}
		o.connections = append(o.connections, n)
	}
	return o, nil
}

// run measures everything and writes the results; errMissed when a bar was missed.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	began := time.Now()
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make the folder of the results: %w", err)
	}
	r, err := startRig(ctx, o, out)
	defer func() { err = errors.Join(err, r.stop()) }()
	if err != nil {
		return err
	}
	b := &bench{rig: r, options: o, out: out, baseline: map[key]result{}}
	if err := b.measure(ctx); err != nil {
		return err
	}
	return b.finish(time.Since(began))
}
