package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cls-backend/cls-backend/test/wire"
)

// arrivals are when requests are due that come at random, as those of many callers who know nothing of each other: the
// gaps are exponential (a Poisson process).
func arrivals(rng *rand.Rand, perSecond float64, d time.Duration) []time.Duration {
	var due []time.Duration
	for at := 0.0; ; {
		at += rng.ExpFloat64() / perSecond
		next := time.Duration(at * float64(time.Second))
		if next >= d {
			return due
		}
		due = append(due, next)
	}
}

// opened is what has come of an open loop.
type opened struct {
	began   time.Time // what is due counts from
	samples []sample
	refused int           // answered 503, which are no samples
	late    time.Duration // how late the generator itself was with most requests (the 99th percentile)
	elapsed time.Duration
}

// generateOpen sends a request whenever one is due, whatever has become of those before (an open loop). How long one took
// counts from when it was due, and not from when a connection was free to send it: callers who come while the service
// stands still wait too, and a closed loop, which sends nothing then, does not see them (coordinated omission; Gil Tene,
// "How NOT to Measure Latency" and github.com/giltene/wrk2). The connections are there before the first is due.
func generateOpen(ctx context.Context, addr string, connections int, due []time.Duration, next func(k int) request) (opened, error) {
	senders := make([]*sender, connections)
	defer func() {
		for _, s := range senders {
			s.close()
		}
	}()
	for i := range senders {
		var err error
		if senders[i], err = newSender(ctx, addr); err != nil {
			return opened{}, err
		}
	}
	stop := context.AfterFunc(ctx, func() {
		for _, s := range senders {
			s.close()
		}
	})
	defer stop()
	var (
		count atomic.Int64
		group errgroup.Group
		began = time.Now()
	)
	for _, s := range senders {
		group.Go(func() error {
			for {
				k := int(count.Add(1) - 1)
				if k >= len(due) {
					return nil
				}
				if err := s.send(next(k), began, due[k]); err != nil {
					count.Store(int64(len(due))) // The others end too.
					return err
				}
			}
		})
	}
	err := group.Wait()
	o := opened{began: began, elapsed: time.Since(began)}
	var late []sample
	for _, s := range senders {
		o.samples, late = append(o.samples, s.samples...), append(late, s.late...)
		o.refused += s.refused
	}
	o.late = percentile(late, 0.99)
	return o, err
}

// sender sends one request at a time over a connection of its own.
type sender struct {
	connection *wire.Connection
	alarm      *alarm
	samples    []sample
	late       []sample // of requests that a connection was free for in time: how much later they were sent
	refused    int
}

func newSender(ctx context.Context, addr string) (*sender, error) {
	c, err := wire.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	a, err := newAlarm()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &sender{connection: c, alarm: a}, nil
}

// close may be called more than once, and on nil.
func (s *sender) close() {
	if s != nil {
		_, _ = s.connection.Close(), s.alarm.close()
	}
}

// send waits until a request is due, if it is not yet, and has it answered.
func (s *sender) send(r request, began time.Time, due time.Duration) error {
	if ahead := due - time.Since(began); ahead > 0 {
		if err := s.alarm.wait(ahead); err != nil {
			return err
		}
		s.late = append(s.late, sample{at: due, took: time.Since(began) - due})
	}
	err := do(s.connection, r)
	var wrong *answerError
	if errors.As(err, &wrong) && wrong.status == http.StatusServiceUnavailable {
		s.refused++
		return nil
	}
	if err != nil {
		return err
	}
	s.samples = append(s.samples, sample{at: due, took: time.Since(began) - due})
	return nil
}

// perSecond is how many were answered.
func (o opened) perSecond() float64 { return float64(len(o.samples)) / o.elapsed.Seconds() }
