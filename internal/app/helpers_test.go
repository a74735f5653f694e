package app_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/dev"
)

// world is a service with its own database and Pub/Sub.
type world struct {
	*running

	database string
	pubsub   *dev.PubSub
}

// newWorld starts a service with settings.
func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	w := &world{database: dbtest.New(t), pubsub: pubSub(t)}
	w.running = start(t, configured(t, w.database, w.pubsub.Addr(), env...))
	return w
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

// send makes a request with headers of the caller's, given as name and value in turn. No
// user is named unless one of them does.
func (r *running) send(method, path, body string, headers ...string) answer {
	r.t.Helper()
	begun := time.Now()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.at.API+path, strings.NewReader(body))
	must(r.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	must(r.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(r.t, err)
	return answer{status: res.StatusCode, header: res.Header, body: string(text), took: time.Since(begun)}
}

// as names the user of a request to send.
func as(email string) []string { return []string{"X-User-Email", email} }

// create declares a cluster of the user's with a spec.
func (r *running) create(name, spec string) v1.Cluster {
	r.t.Helper()
	var c v1.Cluster
	if status := r.call(http.MethodPost, "/api/v1/clusters", user, `{"name":"`+name+`","spec":`+spec+`}`, &c); status != http.StatusCreated {
		r.t.Fatalf("create %s: %d", name, status)
	}
	return c
}

// report has a controller say whether the cluster is available.
func (r *running) report(id, available string) {
	r.t.Helper()
	body := `{"controller_name":"dns","conditions":[{"type":"Available","status":"` + available + `"}]}`
	if status := r.call(http.MethodPut, "/api/v1/clusters/"+id+"/status", robot, body, nil); status != http.StatusOK {
		r.t.Fatalf("report: %d", status)
	}
}

func (r *running) get(id string) (c v1.Cluster) {
	r.t.Helper()
	if status := r.call(http.MethodGet, "/api/v1/clusters/"+id, user, "", &c); status != http.StatusOK {
		r.t.Fatalf("get: %d", status)
	}
	return c
}

// expect fails the test unless the answer has a status and its body a text.
func (a answer) expect(t testing.TB, status int, text string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		t.Errorf("got %d %s, want %d with %q", a.status, a.body, status, text)
	}
}

// scrape returns the metrics as Prometheus reads them.
func (r *running) scrape() string {
	r.t.Helper()
	res, err := http.Get("http://" + r.at.Metrics + "/metrics")
	must(r.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(r.t, err)
	return string(text)
}

// metric sums the series whose name and labels begin with a prefix.
func (r *running) metric(prefix string) (sum float64) {
	r.t.Helper()
	for line := range strings.Lines(r.scrape()) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if series == prefix || strings.HasPrefix(series, prefix) && strings.ContainsAny(series, "{") {
			n, err := strconv.ParseFloat(value, 64)
			must(r.t, err)
			sum += n
		}
	}
	return sum
}

// value runs a query for a single value.
func value[T any](t testing.TB, database, query string, args ...any) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer conn.Close(t.Context())
	must(t, conn.QueryRow(t.Context(), query, args...).Scan(&v))
	return v
}

// sessions counts the service's connections.
func (w *world) sessions(where string) int {
	w.t.Helper()
	return value[int](w.t, w.database, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'cls-backend' AND `+where)
}

// lock holds the row of a cluster until the returned func is called, at the latest at the
// end of the test.
func (w *world) lock(id string) (release func()) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.database)
	must(w.t, err)
	_, err = conn.Exec(w.t.Context(), "BEGIN")
	must(w.t, err)
	_, err = conn.Exec(w.t.Context(), "SELECT FROM clusters WHERE id = $1 FOR UPDATE", id)
	must(w.t, err)
	return func() { must(w.t, conn.Close(w.t.Context())) }
}

// events are the events on record of a type, or of all with "".
func (w *world) events(kind string) (list []v1.Event) {
	w.t.Helper()
	for _, m := range w.pubsub.Server().Messages() {
		var e v1.Event
		must(w.t, json.Unmarshal(m.Data, &e))
		if kind == "" || e.Type == kind {
			list = append(list, e)
		}
	}
	return list
}

// eventsBecause counts the events of a reason.
func (w *world) eventsBecause(reason string) (n int) {
	for _, e := range w.events("") {
		if e.Reason == reason {
			n++
		}
	}
	return n
}

// hung is the address of something that accepts connections and never answers.
func hung(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// freePort is a port that nobody listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
