package app_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// records decodes the lines of the log that have a message.
func (r *running) records(message string) (found []map[string]any) {
	for line := range strings.Lines(r.log.String()) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

// At debug every statement is logged, and never its arguments; at info none is.
func showLogLevel(t *testing.T) {
	t.Helper()
	const secret = "hush-hush"
	spec := `{"serviceAccountSigningKey":"` + secret + `"}`
	debug, info := newWorld(t, "LOG_LEVEL=debug"), newWorld(t)
	for _, w := range []*world{debug, info} {
		w.create("one", spec)
		if strings.Contains(w.log.String(), secret) {
			t.Error("the secret is in the log")
		}
	}
	if !strings.Contains(debug.log.String(), "INSERT INTO clusters") {
		t.Errorf("no statement is logged at debug:\n%s", debug.log)
	}
	if strings.Contains(info.log.String(), "INSERT INTO clusters") {
		t.Error("a quick statement is logged at info")
	}
	quiet := newWorld(t, "LOG_LEVEL=error")
	quiet.create("one", `{}`)
	if text := quiet.log.String(); text != "" {
		t.Errorf("logged at error: %s", text)
	}
}

func showLogFormat(t *testing.T) {
	t.Helper()
	for format, pattern := range map[string]string{
		"json": `(?m)^\{"time":".*"msg":"request",`,
		"text": `(?m)^time=\S+ level=INFO msg=request `,
	} {
		w := newWorld(t, "LOG_FORMAT="+format)
		w.create("one", `{}`)
		await(t, "the line of the request", func() bool { return regexp.MustCompile(pattern).MatchString(w.log.String()) })
	}
}

func TestRequestsAreLoggedForWhoSearches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.send(http.MethodGet, list, "", append(as(user), "X-Request-ID", "my-request")...)
	a.expect(t, http.StatusOK, "clusters")
	if got := a.header.Get("X-Request-ID"); got != "my-request" {
		t.Errorf("answered as request %q", got)
	}
	await(t, "its line", func() bool { return len(w.records("request")) == 1 })
	record := w.records("request")[0]
	if record["request_id"] != "my-request" || record["user"] != user || record["route"] != list || record["status"] != 200.0 {
		t.Errorf("logged: %v", record)
	}
	if latency, ok := record["latency"].(float64); !ok || latency <= 0 || latency > 30 {
		t.Errorf("latency %v, in seconds", record["latency"])
	}
}

func TestSlowStatementsAreLoggedAtWarn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create("slow", `{}`).ID
	release := w.lock(id)
	finished := make(chan answer, 1)
	go func() { finished <- w.send(http.MethodPost, list+"/"+id+"/reconcile", "", as(user)...) }()
	await(t, "a statement that takes long", func() bool {
		return w.sessions("wait_event_type = 'Lock' AND query_start < clock_timestamp() - interval '0.6 seconds'") == 1
	})
	release()
	a := <-finished
	a.expect(t, http.StatusAccepted, id)
	for _, record := range w.records("sql") {
		if record["level"] == "WARN" && strings.Contains(record["sql"].(string), "INSERT INTO outbox") {
			if strings.Contains(w.log.String(), `"args"`) {
				t.Error("with its arguments")
			}
			return
		}
	}
	t.Errorf("no line says so:\n%s", w.log)
}

// collector is an OTLP/HTTP server that keeps what it was sent. Protocol Buffers hold
// texts and ids as they are, so that a test can look for them.
type collector struct {
	*httptest.Server

	mu     sync.Mutex
	bodies []byte
	paths  map[string]int
	header http.Header
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{paths: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is missing of it is missed below
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bodies = append(c.bodies, body...)
		c.paths[r.URL.Path]++
		c.header = r.Header.Clone()
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) has(text string) bool { return c.times([]byte(text)) > 0 }

func (c *collector) times(text []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Count(c.bodies, text)
}

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + traceID + "-b7ad6b7169203331-01"
)

// tracedPost makes a request that belongs to a trace of the caller's, and returns the
// traceparent that its event was published with.
func (w *world) tracedPost() string {
	w.t.Helper()
	w.send(http.MethodPost, list, `{"name":"traced","spec":{}}`, append(as(user), "traceparent", traceparent)...).
		expect(w.t, http.StatusCreated, "traced")
	await(w.t, "its event", func() bool { return len(w.pubsub.Server().Messages()) == 1 })
	return w.pubsub.Server().Messages()[0].Attributes["traceparent"]
}

func TestTheCallersTraceReachesControllers(t *testing.T) {
	t.Parallel()
	if got := newWorld(t).tracedPost(); got != traceparent {
		t.Errorf("the event carries %q, want the caller's %q", got, traceparent)
	}
}

// One trace over the request, its statements and the publish, which comes later and from
// another goroutine.
func showTraces(t *testing.T) {
	t.Helper()
	c := newCollector(t)
	w := newWorld(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_SERVICE_NAME=cls-test", "OTEL_EXPORTER_OTLP_HEADERS=api-key=s3cret")
	if got := w.tracedPost(); !strings.Contains(got, traceID) || got == traceparent {
		t.Errorf("the event carries %q, want the span of the publish in the caller's trace", got)
	}
	must(t, w.end()) // which sends what is left
	for _, span := range []string{"POST /api/v1/clusters", "INSERT INTO outbox", "publish cluster-events", "cls-test"} {
		if !c.has(span) {
			t.Errorf("the export lacks %q", span)
		}
	}
	id, err := hex.DecodeString(traceID)
	must(t, err)
	if n := c.times(id); n < 3 {
		t.Errorf("%d spans are of the caller's trace", n)
	}
	if c.paths["/v1/traces"] == 0 || c.header.Get("Api-Key") != "s3cret" {
		t.Errorf("exported to %v with %v", c.paths, c.header)
	}
	if strings.Contains(w.log.String(), "s3cret") {
		t.Error("the header is in the log")
	}
}

func showTracesEndpoint(t *testing.T) {
	t.Helper()
	general, exact := newCollector(t), newCollector(t)
	w := newWorld(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+general.URL, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+exact.URL+"/in/here")
	w.create("one", `{}`)
	must(t, w.end())
	if exact.paths["/in/here"] == 0 || len(general.paths) != 0 {
		t.Errorf("exported to %v, and to the general address %v", exact.paths, general.paths)
	}
}

func showSampler(t *testing.T) {
	t.Helper()
	for setting, want := range map[string]bool{"0": false, "1": true} {
		c := newCollector(t)
		w := newWorld(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG="+setting)
		w.create("one", `{}`)
		must(t, w.end())
		if got := len(c.paths) > 0; got != want {
			t.Errorf("a share of %s: exported: %v", setting, got)
		}
	}
}

// What an operator's dashboards and alerts are made of, in one scrape.
func TestScrape(t *testing.T) {
	t.Parallel()
	w := newWorld(t, often()...)
	c := w.create("one", `{}`)
	w.report(c.ID, "False")
	w.get(c.ID)
	w.send(http.MethodGet, "/nowhere/"+c.ID, "", as(user)...).expect(t, http.StatusNotFound, "")
	await(t, "a wake-up", func() bool { return w.eventsBecause(v1.ReasonAttention) > 0 })
	// A pass that stores another status of the row at the same moment makes the reading leave it to the next one.
	await(t, "the status to be stored", func() bool { return w.metric("cls_dirty_rows") == 0 })

	text := w.scrape()
	for what, series := range map[string]string{
		"HTTP by route":         `cls_http_requests_total{method="GET",route="/api/v1/clusters/:id",status="200"} 1`,
		"HTTP latency":          `cls_http_request_duration_seconds_count{method="POST",route="/api/v1/clusters"} 1`,
		"unknown routes as one": `cls_http_requests_total{method="GET",route="unmatched",status="404"} 1`,
		"pool":                  `cls_db_pool_max_connections 25`,
		"outbox depth":          `cls_outbox_unpublished_events `,
		"outbox age":            `cls_outbox_oldest_age_seconds `,
		"publish results":       `cls_publish_total{result="ok",topic="cluster-events"}`,
		"publish latency":       `cls_publish_duration_seconds_count{topic="cluster-events"}`,
		"set aside":             `cls_events_set_aside_total{topic="cluster-events"} 0`,
		"lateness":              `cls_scheduler_lateness_seconds_count `,
		"batch size":            `cls_scheduler_batch_size_count `,
		"clusters by phase":     `cls_clusters{phase="Progressing"} 1`,
		"dirty rows":            `cls_dirty_rows 0`,
		"aggregation time":      `cls_aggregation_duration_seconds_count `,
		"build":                 `cls_build_info{git_commit="abc",`,
	} {
		if !strings.Contains(text, "\n"+series) {
			t.Errorf("%s: no %s", what, series)
		}
	}
	if strings.Contains(text, c.ID) {
		t.Error("a label holds a cluster's id")
	}
}

// What waits shows while it waits, and a scrape does not hang with the database.
func TestBacklogShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pubsub.Close()
	w.create("one", `{}`)
	w.create("two", `{}`)
	if got := w.metric("cls_outbox_unpublished_events"); got != 2 {
		t.Errorf("%v events wait", got)
	}
	await(t, "age", func() bool { return w.metric("cls_outbox_oldest_age_seconds") > 0.1 })
	begun := time.Now()
	if up := w.metric("cls_backlog_up"); up != 1 || time.Since(begun) > 5*time.Second {
		t.Errorf("cls_backlog_up %v after %v", up, time.Since(begun))
	}
}
