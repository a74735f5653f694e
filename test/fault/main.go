// Command fault proves that the service survives what happens to it: processes that die or stand still, stores that go
// away, clocks that are wrong, callers that all want the same.
//
// Each scenario has a world of its own: real processes of the service, which reach a real PostgreSQL and Google's
// Pub/Sub server each by its own way through a proxy; clients and controllers that use the public packages; one
// subscriber. While they work something goes wrong, at full dose for hours and at a short one within seconds. What all
// were asked, were answered and were given is on record, and is judged in the end by a program that was not there
// (package checker) together with what PostgreSQL has. The results are JSON, and a document is made of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

// options say what is proved, and how hard.
type options struct {
	only  *regexp.Regexp
	short bool
	seed  uint64
	out   string
}

// errFailed says that a scenario failed, and nothing else went wrong.
var errFailed = errors.New("a scenario has failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fault:", err)
		os.Exit(1)
	}
}

// parse reads the command line.
func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("fault", flag.ContinueOnError)
	only := flags.String("run", "", "play the scenarios whose name matches this regular expression, such as ^kill/")
	dose := flags.String("dose", doseFull, "full or short")
	flags.Uint64Var(&o.seed, "seed", 0, "what is drawn at random follows from it; 0 draws one")
	flags.StringVar(&o.out, "out", "", "folder of the results; default docs/proof, for short doses fault-out")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *dose != doseFull && *dose != doseShort {
		return o, fmt.Errorf("-dose: %q is neither %s nor %s", *dose, doseFull, doseShort)
	}
	if o.short = *dose == doseShort; o.out == "" {
		o.out = map[bool]string{false: "docs/proof", true: "fault-out"}[o.short]
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-run: %w", err)
	}
	return o, nil
}

// command plays the scenarios that are asked for, one after the other, and writes the document.
func command(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	r, err := newRig(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	failed := false
	for _, s := range scenarios() {
		if !o.only.MatchString(s.name) || ctx.Err() != nil {
			continue
		}
		if err := s.leftOut(ctx); err != nil {
			fmt.Fprintf(out, "left out %s: %v\n", s.name, err)
			continue
		}
		result := r.play(ctx, s)
		r.say(out, result)
		if err := r.keep(result); err != nil {
			return err
		}
		failed = failed || !result.Passed
	}
	if err := r.writeDocument(); err != nil {
		return err
	}
	if failed {
		return errFailed
	}
	return ctx.Err()
}
