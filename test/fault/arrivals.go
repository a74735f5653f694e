package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cls-backend/cls-backend/test/wire"
)

const (
	// sockets are more than the service ever has open: twenty requests wait for each of its twenty connections.
	sockets = 4000
	// inTime is how long who has asked waits for an answer. A later one is counted as none.
	inTime = 5 * time.Second
)

// arrival is a request and what became of it.
type arrival struct {
	due    time.Duration // since the beginning
	took   time.Duration // from then on, whenever it was sent
	status int           // 0 for no answer
	again  bool          // it was told when to try again
	unsent bool          // there was no socket for it
}

func (a arrival) succeeded() bool { return a.status >= 200 && a.status < 300 }

// ok says that it has succeeded in time.
func (a arrival) ok() bool { return a.succeeded() && a.took <= inTime }

// refused says that an answer was that there is too much to do, and when to try again.
func (a arrival) refused() bool {
	return a.again && (a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests)
}

// source makes the next request.
type source func(*rand.Rand) []byte

// gun sends one request after the other over a connection of its own.
type gun struct {
	at   string
	conn *wire.Connection
	rng  *rand.Rand
}

func (g *gun) close() {
	if g.conn != nil {
		_ = g.conn.Close()
		g.conn = nil
	}
}

// fire sends a request and notes what came back. Whatever goes wrong is no answer.
func (g *gun) fire(ctx context.Context, next source, began time.Time, a *arrival) {
	defer func() { a.took = time.Since(began) - a.due }()
	if g.conn == nil {
		var err error
		if g.conn, err = wire.Dial(ctx, g.at); err != nil {
			return
		}
	}
	answer, err := g.conn.Do(next(g.rng), 2*inTime)
	if err != nil {
		g.close()
		return
	}
	a.status, a.again = answer.Status, answer.Header.Get("Retry-After") != ""
}

// openLoop sends requests at fixed times, whether or not earlier ones are answered, and returns when all are. Those that
// fall within one millisecond go together.
func openLoop(ctx context.Context, at string, rate float64, lasts time.Duration, next source) []arrival {
	var (
		list  = make([]arrival, int(rate*lasts.Seconds()))
		due   = make(chan *arrival)
		all   sync.WaitGroup
		began = time.Now()
		open  = 0
	)
	for i := range list {
		a := &list[i]
		a.due = time.Duration(float64(i) / rate * float64(time.Second))
		if wait := a.due - time.Since(began); wait > 0 {
			_ = pause(ctx, max(wait, time.Millisecond))
		}
		if ctx.Err() != nil {
			list = list[:i]
			break
		}
		select {
		case due <- a:
			continue
		default: // All are under way.
		}
		if a.unsent = open == sockets; a.unsent {
			continue
		}
		g := &gun{at: at, rng: rand.New(rand.NewPCG(uint64(open), uint64(i)))}
		open++
		all.Go(func() {
			defer g.close()
			g.fire(ctx, next, began, a)
			for a := range due {
				g.fire(ctx, next, began, a)
			}
		})
	}
	close(due)
	all.Wait()
	return list
}

// closedLoop keeps some connections busy, each with one request after the other.
func closedLoop(ctx context.Context, at string, connections int, lasts time.Duration, next source) []arrival {
	var (
		each  = make([][]arrival, connections)
		all   sync.WaitGroup
		over  atomic.Bool
		began = time.Now()
	)
	for i := range each {
		all.Go(func() {
			g := &gun{at: at, rng: rand.New(rand.NewPCG(uint64(i), 0))}
			defer g.close()
			for !over.Load() {
				a := arrival{due: time.Since(began)}
				g.fire(ctx, next, began, &a)
				each[i] = append(each[i], a)
			}
		})
	}
	_ = pause(ctx, lasts)
	over.Store(true)
	all.Wait()
	return slices.Concat(each...)
}

// goodput is the median over the seconds after the first of how many were answered with success, and in time.
func goodput(list []arrival, first, seconds int) float64 {
	each := make([]int, seconds)
	for _, a := range list {
		if at := int((a.due + a.took) / time.Second); a.ok() && at < seconds {
			each[at]++
		}
	}
	each = each[min(first, seconds-1):]
	slices.Sort(each)
	return float64(each[len(each)/2]+each[(len(each)-1)/2]) / 2
}

// tookOf is how long the successes took.
func tookOf(list []arrival) []time.Duration {
	var took []time.Duration
	for _, a := range list {
		if a.ok() {
			took = append(took, a.took)
		}
	}
	return took
}

// number of them that are so.
func numberOf(list []arrival, is func(arrival) bool) (n int) {
	for _, a := range list {
		if is(a) {
			n++
		}
	}
	return n
}
