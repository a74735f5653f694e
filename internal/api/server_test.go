package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
	"github.com/cls-backend/cls-backend/internal/models"
)

func TestProbes_TellTheTruth(t *testing.T) {
	t.Parallel()
	health := v1.Health{Status: v1.Degraded, Components: map[string]v1.Component{"pubsub": {Status: v1.Unhealthy, Message: "no answer"}}, Timestamp: time.Unix(0, 0).UTC()}
	var ready error
	b := newBackendOn(t, nil, nil, func(o *api.Options) {
		o.Health = func(context.Context) v1.Health { return health }
		o.Ready = func(context.Context) error { return ready }
	})
	if diff := cmp.Diff(health, into[v1.Health](b.get("", "/health").is(http.StatusOK))); diff != "" {
		t.Errorf("degraded: -want +got:\n%s", diff)
	}
	health.Status = v1.Unhealthy
	if diff := cmp.Diff(health, into[v1.Health](b.get("", "/health").is(http.StatusServiceUnavailable))); diff != "" {
		t.Errorf("unhealthy: -want +got:\n%s", diff)
	}
	b.get("", "/readyz").is(http.StatusOK)
	ready = models.Errorf(v1.CodeUnavailable, "the schema is older than this version")
	if got := into[v1.Probe](b.get("", "/readyz").is(http.StatusServiceUnavailable)); got.Reason != "the schema is older than this version" {
		t.Errorf("not ready: %+v", got)
	}
	ready = errors.New("dial tcp 10.0.0.1:5432: connection refused")
	if got := into[v1.Probe](b.get("", "/readyz").is(http.StatusServiceUnavailable)); got.Reason != "" || got.Status == "" {
		t.Errorf("a reason that is not for callers: %+v", got)
	}
	b.get("", "/livez").is(http.StatusOK)
	want := v1.Info{Service: v1.Source, Version: "test", APIVersion: "v1", Environment: "test"}
	if diff := cmp.Diff(want, into[v1.Info](b.get("", "/api/v1/info").is(http.StatusOK))); diff != "" {
		t.Errorf("info: -want +got:\n%s", diff)
	}
}

func TestAnswers_AllCarryARequestID(t *testing.T) {
	t.Parallel()
	b := newBackend(t, func(o *api.Options) {
		o.Health = func(context.Context) v1.Health { panic("on purpose") }
	})
	for _, c := range []call{
		{method: "GET", path: clusters, as: ada},
		{method: "GET", path: clusters},
		{method: "GET", path: "/nope"},
		{method: "PATCH", path: clusters},
		{method: "GET", path: "/health"},
		{method: "GET", path: "/docs"},
	} {
		c.header = http.Header{"X-Request-Id": {"mine-1"}}
		if got := b.do(c).header.Get("X-Request-ID"); got != "mine-1" {
			t.Errorf("%s %s: request id %q, want the caller's", c.method, c.path, got)
		}
		c.header = http.Header{"X-Request-Id": {"not mine"}}
		r := b.do(c)
		if got := r.header.Get("X-Request-ID"); !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(got) {
			t.Errorf("%s %s: request id %q, want one that was made", c.method, c.path, got)
		}
		if r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v", c.method, c.path, r.header)
		}
	}
}

// logged returns the lines of the log about requests.
func (b *backend) logged() []map[string]any {
	b.t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(b.logs.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			b.t.Fatal(err)
		}
		if entry["msg"] == "request" {
			lines = append(lines, entry)
		}
	}
	return lines
}

func TestLog_OneLineARequest(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := b.create(ada, `{"name":"orders"}`)
	b.do(call{method: "GET", path: clusters + "/" + c.ID, as: ada, header: http.Header{"X-Request-Id": {"r2"}}}).is(200)
	b.do(call{method: "GET", path: "/livez", header: http.Header{"X-Request-Id": {"r3"}}}).is(200)
	b.do(call{method: "GET", path: clusters, header: http.Header{"X-Request-Id": {"r4"}}}).is(401)
	b.do(call{method: "GET", path: "/nope%0a", header: http.Header{"X-Request-Id": {"r5"}}}).is(404)
	var got []string
	for _, line := range b.logged()[1:] {
		if latency, ok := line["latency"].(float64); !ok || latency <= 0 {
			t.Errorf("latency %v", line["latency"])
		}
		if size, ok := line["bytes"].(float64); !ok || size <= 0 {
			t.Errorf("bytes %v", line["bytes"])
		}
		got = append(got, fmt.Sprint(line["level"], " ", line["method"], " ", line["route"], " ", line["status"], " ", line["user"], " ", line["request_id"]))
	}
	want := []string{
		"INFO GET /api/v1/clusters/:id 200 ada@example.com r2", "DEBUG GET /livez 200  r3",
		"INFO GET /api/v1/clusters 401  r4", "INFO GET  404  r5",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFailuresOfOurs_SayNothingAndAreLoggedOnce(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	path := clusters + "/" + b.create(ada, `{"name":"orders"}`).ID
	if _, err := b.pool.Exec(t.Context(), "ALTER TABLE clusters RENAME COLUMN description TO gone"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []call{
		{method: "GET", path: path, as: ada},
		{method: "GET", path: clusters, as: ada},
		{method: "DELETE", path: path, as: ada},
		{method: "POST", path: clusters, as: ada, body: `{"name":"x"}`},
		{method: "PUT", path: path, as: ada, body: `{"spec":{}}`},
	} {
		before := len(b.logged())
		r := b.do(c)
		r.failsAt(v1.CodeInternal, "")
		for _, word := range []string{"description", "column", "SQL", "42703"} {
			if strings.Contains(r.body, word) {
				t.Errorf("%s %s: the answer says %q: %s", c.method, c.path, word, r.body)
			}
		}
		lines := b.logged()[before:]
		if len(lines) != 1 || lines[0]["level"] != "ERROR" || !strings.Contains(fmt.Sprint(lines[0]["error"]), "description") {
			t.Errorf("%s %s: log %v", c.method, c.path, lines)
		}
	}
}

func TestDatabaseAway_IsUnavailableWithRetryAfter(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	path := clusters + "/" + b.create(ada, `{"name":"orders"}`).ID
	c := newContract(t, b)
	lock, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback(context.Background())
	if _, err := lock.Exec(t.Context(), "LOCK TABLE clusters"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
	r.RemoteAddr = b.remote
	r.Header.Set("X-User-Email", ada)
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	answer := reply{t: t, status: w.Code, header: w.Header(), body: w.Body.String()}
	answer.fails(v1.CodeUnavailable)
	if got := answer.header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After %q", got)
	}
	c.check(t, clusters+"/{id}", "get", "503", "application/json", answer.body)
}

func TestTimeout_EndsARequest(t *testing.T) {
	t.Parallel()
	b := newBackendOn(t, nil, nil, func(o *api.Options) {
		o.RequestTimeout = time.Minute
		o.Health = func(ctx context.Context) v1.Health {
			<-ctx.Done()
			return v1.Health{Status: v1.Unhealthy}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b := *b
		b.t = t
		b.get("", "/health").is(http.StatusServiceUnavailable)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestPanic_IsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	b := newBackendOn(t, nil, nil, func(o *api.Options) {
		o.Health = func(context.Context) v1.Health { panic("a secret of ours") }
	})
	r := b.get("", "/health")
	if r.fails(v1.CodeInternal); strings.Contains(r.body, "secret of ours") {
		t.Errorf("the answer says %s", r.body)
	}
	lines := b.logged()
	if len(lines) != 1 || lines[0]["level"] != "ERROR" || !strings.Contains(fmt.Sprint(lines[0]["error"]), "a secret of ours") ||
		!strings.Contains(fmt.Sprint(lines[0]["error"]), "server_test.go") {
		t.Errorf("log %v", lines)
	}
}

// recorder counts requests by route.
type recorder map[string]int

func (r recorder) ObserveHTTP(route, method string, status int, elapsed time.Duration) {
	if elapsed > 0 {
		r[fmt.Sprint(method, " ", route, " ", status)]++
	}
}

func TestMetrics_GoByRoute(t *testing.T) {
	t.Parallel()
	seen := recorder{}
	b := newBackend(t, func(o *api.Options) { o.Metrics = seen })
	c := b.create(ada, `{"name":"orders"}`)
	b.get(ada, clusters+"/"+c.ID).is(200)
	b.get(ada, clusters+"/00000000-0000-7000-8000-000000000000").is(404)
	b.get(ada, "/made/up").is(404)
	b.do(call{method: "BREW", path: clusters}).is(405)
	want := recorder{
		"POST /api/v1/clusters 201": 1, "GET /api/v1/clusters/:id 200": 1, "GET /api/v1/clusters/:id 404": 1,
		"GET  404": 1, "BREW  405": 1,
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTracing_SpansAreNamedByRouteAndContinueTheCallers(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	b := newBackend(t, func(o *api.Options) {
		o.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	})
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	b.do(call{method: "POST", path: clusters, as: ada, body: `{"name":"orders"}`, header: http.Header{"Traceparent": {parent}}}).is(201)
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].Name() != "POST /api/v1/clusters" || ended[0].SpanContext().TraceID().String() != trace {
		t.Errorf("spans %+v", ended)
	}
}

// The caller's request id and place in a trace go into the event of the change.
func TestActor_ReachesTheOutbox(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	b.do(call{method: "POST", path: clusters, as: "Ada@Example.com", body: `{"name":"orders"}`, header: http.Header{"Traceparent": {parent}, "X-Request-Id": {"r1"}}}).is(201)
	var id, trace, by string
	err := b.pool.QueryRow(t.Context(), "SELECT request_id, traceparent, created_by FROM outbox").Scan(&id, &trace, &by)
	if err != nil || id != "r1" || trace != parent || by != ada {
		t.Errorf("outbox has %q %q %q, %v", id, trace, by, err)
	}
}

func TestHead_IsAGetWithoutABody(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	path := clusters + "/" + b.create(ada, `{"name":"orders","spec":{"notes":"`+strings.Repeat("long ", 1000)+`"}}`).ID
	server := httptest.NewServer(b.server)
	t.Cleanup(server.Close)
	b.get(ada, path).is(200)                                             // It stores the status, which is written with spaces from then on.
	lengths := map[string]int64{path: int64(len(b.get(ada, path).body))} // What is long is not sent in chunks either.
	for path, status := range map[string]int{path: 200, "/livez": 200, "/openapi.yaml": 200, "/nope": 404, path + "/reconcile": 405} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-User-Email", ada)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(answer.Body); err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != status || body.Len() > 0 || status == 200 && strings.HasPrefix(path, clusters) && answer.Header.Get("ETag") == "" {
			t.Errorf("HEAD %s: %d with %d bytes, headers %v", path, answer.StatusCode, body.Len(), answer.Header)
		}
		if want := lengths[path]; want > 0 && answer.ContentLength != want {
			t.Errorf("HEAD %s: a length of %d, want %d", path, answer.ContentLength, want)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const console, evil = "https://console.example.com", "https://evil.example.com"
	preflight := func(origin string) call {
		return call{method: "OPTIONS", path: clusters, header: http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"PUT"}}}
	}
	get := func(origin string) call {
		return call{method: "GET", path: "/livez", header: http.Header{"Origin": {origin}}}
	}
	for _, test := range []struct {
		why     string
		origins []string
		call    call
		status  int
		allowed string
		vary    bool
	}{
		{"nobody is allowed: a request", nil, get(console), 200, "", false},
		{"nobody is allowed: a preflight is a method like any other", nil, preflight(console), 405, "", false},
		{"allowed: a request", []string{console}, get(console), 200, console, true},
		{"allowed: a preflight needs no identity", []string{console}, preflight(console), 204, console, true},
		{"one of two", []string{"https://a.example.com", console}, get(console), 200, console, true},
		{"not allowed: a request", []string{console}, get(evil), 200, "", true},
		{"not allowed: a preflight", []string{console}, preflight(evil), 204, "", true},
		{"not allowed: one that begins alike", []string{console}, get(console + ".evil.example.com"), 200, "", true},
		{"anybody", []string{"*"}, get(evil), 200, evil, true},
		{"no browser", []string{console}, call{method: "GET", path: "/livez"}, 200, "", true},
		{"OPTIONS that is no preflight", []string{console}, call{method: "OPTIONS", path: clusters, header: http.Header{"Origin": {console}}}, 405, console, true},
	} {
		b := newBackendOn(t, nil, nil, func(o *api.Options) { o.CORSOrigins = test.origins })
		r := b.do(test.call).is(test.status)
		if got := r.header.Get("Access-Control-Allow-Origin"); got != test.allowed {
			t.Errorf("%s: allows %q, want %q", test.why, got, test.allowed)
		}
		if got := r.header.Get("Vary") == "Origin"; got != test.vary {
			t.Errorf("%s: Vary %q", test.why, r.header.Get("Vary"))
		}
		exposed := r.header.Get("Access-Control-Expose-Headers")
		for _, name := range []string{"ETag", "X-Request-ID", "Retry-After"} {
			if strings.Contains(exposed, name) != (test.allowed != "") {
				t.Errorf("%s: exposes %q", test.why, exposed)
			}
		}
		if methods := r.header.Get("Access-Control-Allow-Methods"); (methods != "") != (test.status == 204 && test.allowed != "") {
			t.Errorf("%s: methods %q", test.why, methods)
		}
	}
}

func TestDocs_LoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	b := newBackendOn(t, nil, nil)
	page := b.get("", "/docs").is(http.StatusOK)
	if got := page.header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'self';") {
		t.Errorf("policy %q", got)
	}
	if got := page.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("media type %q", got)
	}
	if regexp.MustCompile(`(?i)https?://|<style|style=|<script>| on[a-z]+=`).MatchString(page.body) {
		t.Errorf("the page is not its own: %s", page.body)
	}
	found := regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(page.body, -1)
	if len(found) < 3 {
		t.Errorf("the page loads %v", found)
	}
	for _, link := range found {
		if r := b.get("", link[1]).is(http.StatusOK); strings.HasSuffix(link[1], ".js") && !strings.HasPrefix(r.header.Get("Content-Type"), "text/javascript") {
			t.Errorf("%s is %s", link[1], r.header.Get("Content-Type"))
		}
	}
	for _, path := range []string{"/docs/nope.js", "/docs/..%2fserver.go", "/docs/.."} {
		b.get("", path).fails(v1.CodeNotFound)
	}
}
