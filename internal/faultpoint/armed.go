//go:build faultpoint

package faultpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What the environment says, read at the first pass. A process that misreads its orders would pass for one that
// survives, so it panics.
//
//nolint:gochecknoglobals // a process has one environment
var (
	armed  = sync.OnceValue(func() map[string]*order { return must(parse(os.Getenv("FAULTPOINT"))) })
	offset = sync.OnceValue(func() time.Duration { return must(parseOffset(os.Getenv("FAULTPOINT_CLOCK"))) })
)

// order is what is to happen at a point.
type order struct {
	signal syscall.Signal
	at     int64 // the pass
	passes atomic.Int64
}

// Hit passes a point: the process dies or stops there, if it was told to.
func Hit(point string) {
	o := armed()[point]
	if o == nil || o.passes.Add(1) != o.at {
		return
	}
	fmt.Fprintf(os.Stderr, "faultpoint: %s %s\n", point, o.signal)
	if err := syscall.Kill(os.Getpid(), o.signal); err != nil {
		panic("faultpoint: " + err.Error())
	}
	if o.signal == syscall.SIGKILL {
		select {} // until the kernel has done it
	}
}

// Now is the time by a clock that is as far off as the environment says.
func Now() time.Time { return time.Now().Add(offset()) }

// parse reads a list of orders, such as after-commit:kill@17.
func parse(text string) (map[string]*order, error) {
	orders := map[string]*order{}
	if text == "" {
		return orders, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		point, rest, _ := strings.Cut(one, ":")
		what, pass, _ := strings.Cut(rest, "@")
		n, err := strconv.ParseInt(pass, 10, 64)
		signal, known := map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP}[what]
		if err != nil || n < 1 || !known || !isPoint(point) {
			return nil, fmt.Errorf("faultpoint: %q is no order such as after-commit:kill@17", one)
		}
		orders[point] = &order{signal: signal, at: n}
	}
	return orders, nil
}

func isPoint(name string) bool {
	switch name {
	case BeforeCommit, AfterCommit, BeforePublish, BeforeMark:
		return true
	}
	return false
}

func parseOffset(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	return time.ParseDuration(text)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
