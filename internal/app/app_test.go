package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/app"
	"github.com/cls-backend/cls-backend/internal/config"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/dev"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// running is a service in this process.
type running struct {
	t    testing.TB
	at   app.Addresses
	log  *buffer
	stop context.CancelFunc
	done chan error
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// pubSub starts a Pub/Sub of the test's own.
func pubSub(t testing.TB) *dev.PubSub {
	t.Helper()
	ps, err := dev.StartPubSub(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ps.Close)
	return ps
}

// configured returns settings for a service of the test's own; env overrides them.
func configured(t testing.TB, database, pubsub string, env ...string) config.Config {
	t.Helper()
	cfg, err := config.Load(append([]string{
		"DATABASE_URL=" + database, "PUBSUB_EMULATOR_HOST=" + pubsub, "HOST=127.0.0.1", "PORT=0", "METRICS_PORT=0",
	}, env...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// start runs a service until the test ends, and returns once it serves.
func start(t testing.TB, cfg config.Config) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{t: t, log: &buffer{}, stop: stop, done: make(chan error, 1)}
	log, err := app.NewLogger(r.log, cfg)
	if err != nil {
		t.Fatal(err)
	}
	serving := make(chan app.Addresses, 1)
	go func() {
		r.done <- app.Run(ctx, cfg, app.Options{
			Build: app.Build{Version: "v1.2.3", Commit: "abc", Time: "today"}, Log: log, Serving: func(at app.Addresses) { serving <- at },
		})
	}()
	select {
	case r.at = <-serving:
	case err := <-r.done:
		t.Fatalf("the service ended: %v\n%s", err, r.log)
	case <-time.After(30 * time.Second):
		t.Fatalf("the service does not serve\n%s", r.log)
	}
	t.Cleanup(func() { r.end() })
	return r
}

// end stops the service as SIGTERM does, and returns what Run returned.
func (r *running) end() error {
	r.stop()
	err := <-r.done
	r.done <- err
	return err
}

// call makes a request as somebody and decodes the answer into out, if that is not nil.
func (r *running) call(method, path, as, body string, out any) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.at.API+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("X-User-Email", as)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			r.t.Fatalf("%s %s: %d %s: %v", method, path, res.StatusCode, text, err)
		}
	}
	return res.StatusCode
}

const (
	user  = "alice@example.com"
	robot = "controller@system.local"
)

// TestLifeOfACluster goes the whole way of the data once: down, out and back.
func TestLifeOfACluster(t *testing.T) {
	t.Parallel()
	ps := pubSub(t)
	r := start(t, configured(t, dbtest.New(t), ps.Addr()))

	var c v1.Cluster
	if status := r.call("POST", "/api/v1/clusters", user, `{"name":"one","spec":{"platform":{"type":"gcp"}}}`, &c); status != http.StatusCreated {
		t.Fatalf("create: %d", status)
	}
	await(t, "the event", func() bool { return len(ps.Server().Messages()) == 1 })
	var e v1.Event
	if err := json.Unmarshal(ps.Server().Messages()[0].Data, &e); err != nil || e.Type != v1.ClusterCreated || e.ClusterID != c.ID {
		t.Fatalf("event %+v, %v", e, err)
	}
	report := `{"controller_name":"dns","observed_generation":1,"conditions":[{"type":"Available","status":"True"}]}`
	if status := r.call("PUT", "/api/v1/clusters/"+c.ID+"/status", robot, report, nil); status != http.StatusOK {
		t.Fatalf("report: %d", status)
	}
	if r.call("GET", "/api/v1/clusters/"+c.ID, user, "", &c); c.Status.Phase != v1.PhaseReady {
		t.Fatalf("status %+v", c.Status)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
}

// await waits for what another goroutine or process does.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
