package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// watched is what was seen while PostgreSQL could not do all that it is there for.
type watched struct {
	mayBeBusy bool // reads may be refused for a while, as writes

	accepted, refused int // writes
	reads             int
	wrong             int // answers that neither do what was asked nor say that it is to be asked again
	unready, silent   int // looks at a replica that was not ready, or did not tell its health
	what              string
	slowest           time.Duration // of the answers
}

func (s *watched) figures() []figure {
	figures := []figure{
		atLeast("writes that were refused (503 with Retry-After)", float64(s.refused), "", 1),
		atLeast("reads that were answered", float64(s.reads), "", 1),
		atMost("answers that were wrong"+s.what, float64(s.wrong), "", 0),
		atMost("looks at a replica that told no health", float64(s.silent), "", 0),
		measured("slowest answer", s.slowest.Seconds(), "s"),
	}
	return figures
}

// isWrong counts an answer that is not what it must be, and keeps the first.
func (s *watched) isWrong(what string, err error) {
	if s.wrong++; s.what == "" {
		s.what = fmt.Sprintf(", such as %s: %v", what, err)
	}
}

// judge counts what became of a write.
func (s *watched) judge(what string, err error) {
	switch {
	case err == nil:
		s.accepted++
	case isBusy(err):
		s.refused++
	case !errors.Is(err, errNobody):
		s.isWrong(what, err)
	}
}

func (s *watched) add(more *watched) {
	s.accepted += more.accepted
	s.refused += more.refused
	s.reads += more.reads
	s.unready += more.unready
	s.silent += more.silent
	s.wrong += more.wrong
	s.what = cmp.Or(s.what, more.what)
	s.slowest = max(s.slowest, more.slowest)
}

// watch reads and writes by single tries, each of which must be answered, for a while and until a write was refused.
func (w *world) watch(ctx context.Context, l *load, lasts time.Duration, seen *watched) error {
	c, refused := w.once("watch"), seen.refused
	for began := time.Now(); time.Since(began) < lasts || seen.refused == refused && time.Since(began) < patience; {
		for _, r := range w.replicas {
			w.look(ctx, r, seen)
		}
		w.readSome(ctx, l, c, seen)
		err := timed(seen, func() error {
			_, err := c.CreateCluster(ctx, v1.CreateCluster{Name: fmt.Sprintf("w-%x", l.rng.Uint64()), Spec: spec(platforms()[0], l.mark(l.rng))})
			return err
		})
		seen.judge("a write", err)
		if err := pause(ctx, 5*poll); err != nil {
			return err
		}
	}
	return nil
}

// readSome reads some of what the load works on.
func (*world) readSome(ctx context.Context, l *load, c *client.Client, seen *watched) {
	const some = 3
	items := l.living()
	for _, it := range items[max(0, len(items)-some):] {
		err := timed(seen, func() error {
			if it.kind == "nodepool" {
				_, err := c.GetNodePoolStatus(ctx, it.id)
				return err
			}
			_, err := c.GetClusterStatus(ctx, it.id)
			return err
		})
		switch {
		case err == nil || errors.Is(err, client.ErrNotFound):
			seen.reads++
		case !errors.Is(err, errNobody):
			seen.isWrong("a read of a "+it.kind, err)
		}
	}
}

// look asks a replica for what needs no write.
func (w *world) look(ctx context.Context, r *replica, seen *watched) {
	at := "http://" + r.process().api
	if ready, _ := r.isReady(ctx, r.process()); !ready {
		seen.unready++
	}
	began := time.Now()
	status, _, err := w.get(ctx, at+"/health")
	if err != nil || time.Since(began) > healthLimit || status != http.StatusOK && status != http.StatusServiceUnavailable {
		seen.silent++
	}
	for _, path := range []string{"/api/v1/clusters?limit=20", "/api/v1/clusters?limit=20&status=Ready", "/api/v1/nodepools"} {
		err := timed(seen, func() error { return w.read(ctx, at+path) })
		switch {
		case err == nil:
			seen.reads++
		case seen.mayBeBusy && isBusy(err):
			seen.refused++
		default:
			seen.isWrong("a read of "+path, err)
		}
	}
}

// healthLimit is how long a replica may take to tell its health.
const healthLimit = 3 * time.Second

func timed(seen *watched, call func() error) error {
	began := time.Now()
	err := call()
	seen.slowest = max(seen.slowest, time.Since(began))
	return err
}

// read reads something of the API of one replica, past the record.
func (w *world) read(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	return w.ask(req)
}

// ask makes a call that changes nothing, past the record. An answer that is no success is a [client.Error].
func (w *world) ask(req *http.Request) error {
	req.Header.Set("X-User-Email", owner)
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusOK {
		return err
	}
	e := &client.Error{Status: resp.StatusCode}
	var said v1.ErrorBody
	if json.Unmarshal(body, &said) == nil {
		e.Code, e.Message = said.Code, said.Message
	}
	if resp.Header.Get("Retry-After") != "" {
		e.RetryAfter = time.Second
	}
	return e
}

// isBusy reports whether an error is the answer of a service that cannot just now: 503, UNAVAILABLE, with Retry-After.
func isBusy(err error) bool {
	e, answered := errors.AsType[*client.Error](err)
	return answered && e.Status == http.StatusServiceUnavailable && e.Code == v1.CodeUnavailable && e.RetryAfter > 0
}

// onceLimit is longer than any statement may take.
const onceLimit = 15 * time.Second

// once returns a client that makes each call a single time.
func (w *world) once(name string) *client.Client {
	c, err := client.New("http://fault", client.Options{
		Identity: owner, HTTP: &http.Client{Transport: &door{w: w, client: name}, Timeout: onceLimit}, Retry: client.Retry{Attempts: 1},
	})
	if err != nil { // The address is right.
		panic("fault: " + err.Error())
	}
	return c
}

// writesAgain waits until a write is accepted, and returns how long that took.
func (w *world) writesAgain(ctx context.Context) (time.Duration, error) {
	c, began := w.once("watch"), time.Now()
	l := &load{w: w, rng: w.rng}
	var last error
	err := until(ctx, "a write to be accepted", patience, func() bool {
		_, last = c.CreateCluster(ctx, v1.CreateCluster{Name: fmt.Sprintf("w-%x", l.rng.Uint64()), Spec: spec(platforms()[0], l.mark(l.rng))})
		return last == nil
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", err, last)
	}
	return time.Since(began), nil
}
