package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/proxy"
)

// replica is a place for a process of the service, `cls-backend serve`, with ways of its own to PostgreSQL and Pub/Sub.
// When the process is killed another takes its place.
type replica struct {
	name     string
	w        *world
	postgres *proxy.Proxy
	pubsub   *proxy.Proxy
	log      *os.File

	ready atomic.Bool // as far as a load balancer knows

	mu      sync.Mutex
	binary  string          // of the next process
	orders  func() []string // further settings of the next process; nil for none
	died    func(at string) // nil for nobody who wants to know
	current *running        // nil before the first
	closed  bool            // no further process is to take the place
}

// running is a process, and what it has said.
type running struct {
	*process

	api, metrics string
	leaves       atomic.Bool // it was told to end, and whoever told it sees to another

	mu    sync.Mutex
	point string // the fault point at which it dies or stops, once it does
}

// newReplica returns a place without a process.
func (w *world) newReplica(name string) (*replica, error) {
	r := &replica{name: name, w: w, binary: w.binary}
	var err error
	if r.postgres, err = proxy.New(context.Background(), hostOf(w.postgres.URL())); err != nil {
		return nil, err
	}
	w.atEnd(closing(r.postgres))
	if r.pubsub, err = proxy.New(context.Background(), w.pubsub.address); err != nil {
		return nil, err
	}
	w.atEnd(closing(r.pubsub))
	if r.log, err = os.Create(filepath.Join(w.rig.logs(w.scenario.name), name+".log")); err != nil {
		return nil, err
	}
	w.atEnd(r.log.Close)
	ctx, cancel := context.WithCancel(context.Background())
	probed := make(chan struct{})
	go func() {
		defer close(probed)
		r.probe(ctx)
	}()
	w.atEnd(func() error {
		r.leave()
		cancel()
		<-probed
		return nil
	})
	return r, nil
}

func closing(p *proxy.Proxy) func() error {
	return func() error {
		p.Close()
		return nil
	}
}

func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "@")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// start runs a process and returns once it takes traffic.
func (r *replica) start(ctx context.Context) error {
	p, err := r.launch()
	if err != nil {
		return err
	}
	return until(ctx, r.name+" to be ready", startLimit, func() bool { return r.ready.Load() || p.ended() })
}

// launch runs a process and returns once it listens.
func (r *replica) launch() (*running, error) {
	w := r.w
	cmd := exec.Command(r.program(), "serve") //nolint:noctx // it is ended by a signal
	cmd.Env = append([]string{
		"DATABASE_URL=" + through(withDatabase(w.postgres.URL(), w.database), r.postgres.Addr()), "PUBSUB_EMULATOR_HOST=" + r.pubsub.Addr(),
		"HOST=127.0.0.1", "PORT=0", "METRICS_PORT=0",
	}, w.settings()...)
	if orders, _ := r.armed(); orders != nil {
		cmd.Env = append(cmd.Env, orders()...)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = writer
	p, err := start(cmd)
	_ = writer.Close()
	if err != nil {
		_ = reader.Close()
		return nil, err
	}
	now := &running{process: p}
	listening, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		now.read(reader, r.log, sync.OnceFunc(func() { close(listening) }))
	}()
	select {
	case <-listening:
	case <-read:
		<-p.done
		return nil, fmt.Errorf("%s does not start: %s; see %s", r.name, p.cmd.ProcessState, r.log.Name())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		p.signal(syscall.SIGKILL)
		<-p.done
		return nil, fmt.Errorf("%s has come too late", r.name)
	}
	r.current = now
	go r.mourn(now, read)
	return now, nil
}

// read copies what a process says to the log, and picks out where it listens and at which point it dies.
func (p *running) read(from io.ReadCloser, to io.Writer, listening func()) {
	defer from.Close()
	lines := bufio.NewReaderSize(from, 64<<10)
	known := false
	for {
		line, err := lines.ReadBytes('\n')
		_, _ = to.Write(line) // A log that is not written fails nothing.
		if at, found := bytes.CutPrefix(line, []byte("faultpoint: ")); found {
			point, _, _ := strings.Cut(string(at), " ")
			p.mu.Lock()
			p.point = point
			p.mu.Unlock()
		}
		var said struct {
			Msg     string `json:"msg"`
			API     string `json:"api"`
			Metrics string `json:"metrics"`
		}
		if !known && json.Unmarshal(line, &said) == nil && said.Msg == "listening" {
			p.api, p.metrics, known = said.API, said.Metrics, true
			listening()
		}
		if err != nil {
			return
		}
	}
}

func (p *running) atPoint() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.point
}

// mourn waits for the end of a process. After a kill another takes its place; any other end is no part of a scenario.
func (r *replica) mourn(p *running, read <-chan struct{}) {
	<-p.done
	<-read
	r.ready.Store(false)
	if p.leaves.Load() {
		return
	}
	if p.killedBy() != syscall.SIGKILL {
		r.w.breaks(fmt.Errorf("%s has ended by itself: %s; see %s", r.name, p.cmd.ProcessState, r.log.Name()))
	}
	if _, died := r.armed(); died != nil {
		died(p.atPoint())
	}
	if _, err := r.launch(); err != nil && !r.isClosed() {
		r.w.breaks(err)
	}
}

func (r *replica) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// arm gives each process from the next on the settings that orders returns, such as where it is to die, and has died
// called with the fault point, or "", when one was killed, before the next is started. Both may be nil.
func (r *replica) arm(orders func() []string, died func(at string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.orders, r.died = orders, died
}

func (r *replica) armed() (orders func() []string, died func(at string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.orders, r.died
}

// use has another binary run from the next process on.
func (r *replica) use(binary string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.binary = binary
}

func (r *replica) program() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.binary
}

// process is the present one; nil before the first.
func (r *replica) process() *running {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// kill ends the process as kill -9 does, and returns once another is in its place.
func (r *replica) kill(ctx context.Context) error {
	p := r.process()
	p.signal(syscall.SIGKILL)
	if err := p.await(patience); err != nil {
		return err
	}
	return until(ctx, "another process for "+r.name, startLimit, func() bool { return r.process() != p && r.ready.Load() })
}

// stop ends the process as a rolling restart does, and returns how long that took. It starts no other.
func (r *replica) stop() (time.Duration, error) {
	p := r.process()
	p.leaves.Store(true)
	began := time.Now()
	p.signal(syscall.SIGTERM)
	err := p.await(patience)
	if err == nil && p.killedBy() == 0 && p.cmd.ProcessState.ExitCode() != 0 {
		err = fmt.Errorf("%s was stopped: %s; see %s", r.name, p.cmd.ProcessState, r.log.Name())
	}
	return time.Since(began), err
}

// restart stops the process in order and starts another; it returns how long the stop took.
func (r *replica) restart(ctx context.Context) (time.Duration, error) {
	took, err := r.stop()
	if err != nil {
		return took, err
	}
	return took, r.start(ctx)
}

// leave ends the process for good, with its world.
func (r *replica) leave() {
	r.mu.Lock()
	p := r.current
	r.closed = true
	r.mu.Unlock()
	if p == nil {
		return
	}
	p.leaves.Store(true)
	p.signal(syscall.SIGKILL)
	<-p.done
}

// probing is how often the load balancer looks, probeLimit how long it waits for the answer, and silences after how many
// that did not come in a row it gives a replica no traffic.
const (
	probing    = 100 * time.Millisecond
	probeLimit = time.Second
	silences   = 3
)

// probe keeps looking at /readyz, as a load balancer does. An answer counts at once.
func (r *replica) probe(ctx context.Context) {
	for silent := 0; pause(ctx, probing) == nil; {
		p := r.process()
		if p == nil || p.ended() {
			continue
		}
		ok, answered := r.isReady(ctx, p)
		if silent++; answered {
			silent = 0
		}
		if (answered || silent >= silences) && r.process() == p { // Or it is the answer of the one before.
			r.ready.Store(ok)
		}
	}
}

func (r *replica) isReady(ctx context.Context, p *running) (ok, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	status, _, err := r.w.get(ctx, "http://"+p.api+"/readyz")
	return status == http.StatusOK, err == nil
}

// get reads something past the record.
func (w *world) get(ctx context.Context, url string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// metric reads a metric without labels. The process may be one that has just taken another's place.
func (r *replica) metric(ctx context.Context, name string) (float64, error) {
	var err error
	for range 50 {
		var body []byte
		if p := r.process(); p != nil {
			_, body, err = r.w.get(ctx, "http://"+p.metrics+"/metrics")
		}
		for line := range strings.Lines(string(body)) {
			if value, found := strings.CutPrefix(line, name+" "); found {
				return strconv.ParseFloat(strings.TrimSpace(value), 64)
			}
		}
		if paused := pause(ctx, poll); paused != nil {
			return 0, paused
		}
	}
	return 0, errors.Join(fmt.Errorf("%s has no metric %s", r.name, name), err)
}
