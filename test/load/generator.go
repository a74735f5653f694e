package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
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
	var b bytes.Buffer
	b.Grow(len(body) + 256)
	b.WriteString(method + " " + path + " HTTP/1.1\r\nHost: bench\r\nX-User-Email: " + user + "\r\n")
	if body != nil {
		b.WriteString("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return request{text: b.Bytes(), status: status, rows: rowCheck{0, 1}}
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
			var err error
			kept[i], err = drive(ctx, addr, func(now time.Time) []request {
				if halted.Load() || now.Sub(began) >= d {
					return nil
				}
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
	c, err := dial(ctx, addr)
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
			if err := c.do(r); err != nil {
				return samples, err
			}
		}
		samples = append(samples, sample{at: start.Sub(began), took: time.Since(start)})
	}
}

// connection is a kept-alive HTTP/1.1 connection. It does no more than it must: the
// generator shares its two cores with what it measures.
type connection struct {
	net.Conn
	in *bufio.Reader
}

func dial(ctx context.Context, addr string) (*connection, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to what is measured: %w", err)
	}
	return &connection{Conn: c, in: bufio.NewReaderSize(c, 64<<10)}, nil
}

// answerLimit is far beyond every timeout of the service.
const answerLimit = 30 * time.Second

// do sends a request and reads all of its answer, which must be the right one.
func (c *connection) do(r request) error {
	if err := c.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return fmt.Errorf("send a request: %w", err)
	}
	if _, err := c.Write(r.text); err != nil {
		return fmt.Errorf("send a request: %w", err)
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if resp.StatusCode == r.status && r.rows.holds(body) {
		return nil
	}
	line, _, _ := bytes.Cut(r.text, []byte("\r\n"))
	return &answerError{resp.StatusCode, fmt.Sprintf("%s: answered %d (expected %d, %d to %d clusters): %.500s",
		line, resp.StatusCode, r.status, r.rows.least, r.rows.most, body)}
}

// answerError is one that was read, and was not the expected one. The connection is as good as before.
type answerError struct {
	status int
	text   string
}

func (w *answerError) Error() string { return w.text }
