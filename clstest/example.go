package clstest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
)

// ForExample is what an Example function, which has no test, starts a [Backend] with. The example ends with end, which ends
// the backend too. What would fail a test panics.
func ForExample() (t testing.TB, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &example{ctx: ctx}
	return e, func() {
		cancel()
		for _, f := range slices.Backward(e.cleanups) {
			f()
		}
	}
}

// example is as much of a test as a Backend needs. The methods that it lacks are never called.
type example struct {
	testing.TB

	ctx      context.Context //nolint:containedctx // as a test's
	cleanups []func()
}

func (*example) Helper()                    {}
func (*example) Name() string               { return "example" }
func (e *example) Cleanup(f func())         { e.cleanups = append(e.cleanups, f) }
func (e *example) Context() context.Context { return e.ctx }
func (*example) Output() io.Writer          { return io.Discard }
func (*example) Errorf(f string, v ...any)  { panic(fmt.Sprintf(f, v...)) }
func (*example) Fatalf(f string, v ...any)  { panic(fmt.Sprintf(f, v...)) }
