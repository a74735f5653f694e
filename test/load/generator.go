package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cls-backend/cls-backend/test/wire"
)

// request is an HTTP request as it goes over the wire, and what its answer must be.
type request struct {
	text   []byte
	status int
	rows   rowCheck
}

// rowCheck bounds the clusters in an answer, so that a list that finds nothing is not
// taken for a fast one.
type rowCheck struct{ least, most int }

func (c rowCheck) holds(body []byte) bool {
	n := bytes.Count(body, []byte(`"created_by":`))
	return n >= c.least && n <= c.most
}

// newRequest writes a request; user is whom the gateway vouches for.
func newRequest(method, path, user string, body []byte, status int) request {
	return request{text: wire.Request(method, path, user, body), status: status, rows: rowCheck{0, 1}}
}

// source makes operation number n, of one or more requests; the last one is timed.
type source func(rng *rand.Rand, n int) []request

// sample is one timed request: when it began, from the start of the load, and how long it took.
type sample struct{ at, took time.Duration }

// generate keeps connections busy for a while, each with one operation after the other
// (a closed loop), and returns a sample of each operation. The first wrong answer ends it.
func generate(ctx context.Context, addr string, connections int, d time.Duration, next source) ([]sample, error) {
	var (
		count  atomic.Int64
		began  = time.Now()
		kept   = make([][]sample, connections)
		group  errgroup.Group
		halted atomic.Bool
	)
	for i := range connections {
		group.Go(func() error {
			rng := rand.New(rand.NewPCG(uint64(i), uint64(began.UnixNano())))
			var (
				err  error
				done bool // once at least, however busy the machine
			)
			kept[i], err = drive(ctx, addr, func(now time.Time) []request {
				if halted.Load() || done && now.Sub(began) >= d {
					return nil
				}
				done = true
				return next(rng, int(count.Add(1)-1))
			}, began)
			if err != nil {
				halted.Store(true)
			}
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(kept...), err
}

// drive runs operations on a connection of its own until there is no next one.
func drive(ctx context.Context, addr string, next func(time.Time) []request, began time.Time) ([]sample, error) {
	c, err := wire.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	var samples []sample
	for {
		start := time.Now()
		steps := next(start)
		if steps == nil {
			return samples, nil
		}
		for _, r := range steps {
			start = time.Now()
			if err := do(c, r); err != nil {
				return samples, err
			}
		}
		samples = append(samples, sample{at: start.Sub(began), took: time.Since(start)})
	}
}

// answerLimit is far beyond every timeout of the service.
const answerLimit = 30 * time.Second

// do sends a request and reads all of its answer, which must be the right one.
func do(c *wire.Connection, r request) error {
	_, err := ask(c, r)
	return err
}

// ask is do that returns what was answered.
func ask(c *wire.Connection, r request) ([]byte, error) {
	answer, err := c.Do(r.text, answerLimit)
	if err != nil {
		return nil, err
	}
	if answer.Status == r.status && r.rows.holds(answer.Body) {
		return answer.Body, nil
	}
	line, _, _ := bytes.Cut(r.text, []byte("\r\n"))
	return nil, &answerError{answer.Status, fmt.Sprintf("%s: answered %d (expected %d, %d to %d clusters): %.500s",
		line, answer.Status, r.status, r.rows.least, r.rows.most, answer.Body)}
}

// answerError is one that was read, and was not the expected one. The connection is as good as before.
type answerError struct {
	status int
	text   string
}

func (w *answerError) Error() string { return w.text }
