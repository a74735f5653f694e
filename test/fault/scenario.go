package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cls-backend/cls-backend/internal/dev"
	"github.com/cls-backend/cls-backend/test/fault/checker"
	"github.com/cls-backend/cls-backend/test/proof"
	"github.com/cls-backend/cls-backend/test/pubsub"
)

// The doses.
const (
	doseFull  = "full"
	doseShort = "short"
)

// scenario is something that goes wrong, and what is promised all the same.
type scenario struct {
	// name is family/what.
	name string
	// promise is what it proves, in a sentence; about is what happens.
	promise, about string
	// full and short are how much of it; unit is what a dose counts, such as kills.
	full, short dose
	unit        string
	// run has it happen to a world where all is well. It starts the load and ends it, waits until all is well again
	// (settle), and returns what it has measured. An error fails the scenario, and so does a figure that misses its bar.
	run func(ctx context.Context, w *world, d dose) ([]figure, error)

	// The world, where it is not the usual one.

	replicas    int                  // default 3
	connections int                  // of each replica to PostgreSQL, default 4
	settings    []string             // of the replicas, beside the usual ones
	postgres    *dev.PostgresOptions // of a PostgreSQL of its own, whose folder the rig chooses; nil shares one
	emulator    bool                 // Google's emulator instead of its server in this process
	previous    bool                 // it begins with the binary and the schema from before the last two migrations
	mounts      bool                 // a small disk
	alone       bool                 // it measures what the machine can do: no other world is there meanwhile
	except      []exception          // invariants that have nothing to be examined here
}

// exception is an invariant that does not apply, and why.
type exception struct {
	invariant checker.Invariant
	why       string
}

// scenarios are all that there are: a function a family.
func scenarios() []scenario {
	return slices.Concat(kills(), restarts(), stops(), clocks(), outages(), contests(), databases(), holds(), networks(), disks(),
		storms(), overloads(), upgrades(), soaks())
}

// leftOut says why a scenario cannot be played here; nil for one that can.
func (s scenario) leftOut(ctx context.Context) (err error) {
	if s.emulator {
		_, err = pubsub.Emulator()
	}
	if s.previous {
		_, err = previousRelease(ctx)
	}
	if s.mounts {
		err = mountable(ctx)
	}
	return err
}

// dose is how much goes wrong. A field that a scenario has no use for is 0.
type dose struct {
	times int           // how often
	lasts time.Duration // how long each time
}

// text is the dose in words.
func (d dose) text(unit string) string {
	text := fmt.Sprintf("%s %s", thousands(d.times), unit)
	if d.lasts > 0 {
		text += " of " + d.lasts.String()
	}
	return text
}

type figure = proof.Figure

func measured(what string, value float64, unit string) figure {
	return proof.Measured(what, value, unit)
}

func atMost(what string, value float64, unit string, bar float64) figure {
	return proof.AtMost(what, value, unit, bar)
}

//nolint:unparam // what drains has no unit, others have
func atLeast(what string, value float64, unit string, bar float64) figure {
	return proof.AtLeast(what, value, unit, bar)
}

// atFull keeps a figure's bar for the full dose: what a few seconds, on a machine that other worlds have too, say of a
// trend or a share is noise.
func (w *world) atFull(f figure) figure {
	if w.rig.options.short {
		f.Bar = nil
	}
	return f
}

func thousands(n int) string { return proof.Thousands(n) }
