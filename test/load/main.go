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
//
// With -plan load it makes studies instead: each answers a question about the service
// under load, with figures that have bars, tables and plots. A study's result is kept as
// JSON, and a document is made of all that are there.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The plans.
const (
	planBench = "bench"
	planLoad  = "load"
)

// The doses of a study.
const (
	doseFull  = "full"
	doseShort = "short"
)

// options say what is measured, and how.
type options struct {
	plan        string
	binary      string // cls-backend
	dir         string // of the private PostgreSQL
	out         string
	clusters    int
	connections []int
	warmUp      time.Duration
	duration    time.Duration // of each measurement
	rounds      int           // of each operation
	only        *regexp.Regexp
	short       bool   // studies are made small, to see that they work
	seed        uint64 // what a study draws at random follows from it
	// stable is the interval in which controllers are woken for what is stable, in the second half of which a new fleet is
	// first woken; 0 for the service's default.
	stable   time.Duration
	settings map[string]string // of PostgreSQL, beside ours
	env      []string          // of the service, beside ours or in place of them
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
	if o.plan == planLoad {
		return makeStudies(ctx, studies(), o, out)
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
	flags.StringVar(&o.out, "out", "", "folder of the results; default bench-out and the time, of -plan load docs/proof, short load-out")
	flags.StringVar(&o.plan, "plan", planBench, "bench or load")
	dose := flags.String("dose", doseFull, "of -plan load: full or short")
	flags.Uint64Var(&o.seed, "seed", 1, "of -plan load: what is drawn at random follows from it")
	flags.IntVar(&o.clusters, "clusters", 10_000, "clusters in the database")
	flags.DurationVar(&o.duration, "duration", time.Second, "length of each measurement")
	flags.IntVar(&o.rounds, "rounds", 7, "measurements of each operation, of which the middle one counts")
	flags.DurationVar(&o.warmUp, "warm-up", 500*time.Millisecond, "load before the first measurement of an operation")
	only := flags.String("run", "", "measure the operations, or make the studies, whose name matches this regular expression, such as ^list")
	connections := flags.String("connections", "8,32", "numbers of connections")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if err := o.choose(flags, *dose); err != nil {
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

// choose is what follows from the plan and its dose.
func (o *options) choose(flags *flag.FlagSet, dose string) error {
	if dose != doseFull && dose != doseShort {
		return fmt.Errorf("-dose: %q is neither %s nor %s", dose, doseFull, doseShort)
	}
	o.short = dose == doseShort
	var others []string // flags that the plan has no use for
	var out string
	switch {
	case o.plan == planBench:
		others, out = []string{"dose", "seed"}, filepath.Join("bench-out", time.Now().UTC().Format("20060102T150405Z"))
	case o.plan == planLoad && o.short:
		others, out = sizesOfBench(), "load-out"
	case o.plan == planLoad:
		others, out = sizesOfBench(), "docs/proof"
	default:
		return fmt.Errorf("-plan: %q is neither %s nor %s", o.plan, planBench, planLoad)
	}
	o.out = cmp.Or(o.out, out)
	var err error
	flags.Visit(func(f *flag.Flag) {
		if slices.Contains(others, f.Name) {
			err = fmt.Errorf("-%s has no place in -plan %s", f.Name, o.plan)
		}
	})
	return err
}

// sizesOfBench are the flags that studies decide by themselves, so that a result is the same whoever made it.
func sizesOfBench() []string {
	return []string{"clusters", "connections", "duration", "rounds", "warm-up"}
}

// run measures everything and writes the results; errMissed when a bar was missed.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	began := time.Now()
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make the folder of the results: %w", err)
	}
	r, err := startRig(ctx, o, out, true)
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
