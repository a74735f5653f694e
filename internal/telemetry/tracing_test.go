package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// collector is an OTLP/HTTP server that keeps what it was sent. Protocol Buffers
// hold strings as they are, so that a test can look for them.
type collector struct {
	*httptest.Server

	mu     sync.Mutex
	bodies bytes.Buffer
	paths  []string
	header http.Header
	answer int
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{answer: http.StatusOK}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bodies.Write(body)
		c.paths = append(c.paths, r.URL.Path)
		c.header = r.Header.Clone()
		w.WriteHeader(c.answer)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) setAnswer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = status
}

func incoming() context.Context {
	return Propagator().Extract(context.Background(), propagation.MapCarrier{"traceparent": traceparent})
}

func TestTracingExportsSpans(t *testing.T) {
	t.Parallel()
	server := newCollector(t)
	provider, shutdown, err := StartTracing(t.Context(), TracingOptions{
		URL: server.URL + "/v1/traces", Headers: map[string]string{"api-key": "k"}, Service: "a-service", Version: "v1.2.3",
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("test").Start(incoming(), "a-span")
	span.End()
	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a-span", "a-service", "v1.2.3"} {
		if !strings.Contains(server.bodies.String(), want) {
			t.Errorf("the export lacks %q", want)
		}
	}
	if got := span.SpanContext().TraceID().String(); got != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the span is of trace %s, not of the caller's", got)
	}
	if server.paths[0] != "/v1/traces" || server.header.Get("Api-Key") != "k" {
		t.Errorf("exported to %s with %v", server.paths[0], server.header)
	}
}

func TestTracingOffPassesTheCallersTraceOn(t *testing.T) {
	t.Parallel()
	provider, shutdown, err := StartTracing(t.Context(), TracingOptions{Service: "a-service", Sampler: "always_on"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := provider.Tracer("test").Start(incoming(), "a-span")
	defer span.End()
	if span.IsRecording() {
		t.Error("a span is recorded with nowhere to go")
	}
	out := propagation.MapCarrier{}
	Propagator().Inject(ctx, out)
	if out["traceparent"] != traceparent {
		t.Errorf("traceparent became %q", out["traceparent"])
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSamplers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		ratio     float64
		root, kid bool // recorded without a caller, and below one that records
	}{
		{"", 0, true, true},
		{"always_on", 0, true, true},
		{"always_off", 1, false, false},
		{"traceidratio", 1, true, true},
		{"traceidratio", 0, false, false},
		{"parentbased_always_on", 0, true, true},
		{"parentbased_always_off", 0, false, true},
		{"parentbased_traceidratio", 0, false, true},
		{"parentbased_traceidratio", 1, true, true},
	} {
		provider, shutdown, err := StartTracing(t.Context(), TracingOptions{
			URL: newCollector(t).URL, Sampler: c.name, Ratio: c.ratio,
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for ctx, want := range map[context.Context]bool{context.Background(): c.root, incoming(): c.kid} {
			if got := recorded(ctx, provider); got != want {
				t.Errorf("%q at %v below %v: recorded %t, want %t", c.name, c.ratio, trace.SpanContextFromContext(ctx).IsValid(), got, want)
			}
		}
		if err := shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func recorded(ctx context.Context, provider trace.TracerProvider) bool {
	_, span := provider.Tracer("test").Start(ctx, "a-span")
	defer span.End()
	return span.IsRecording()
}

func TestTracingRefuses(t *testing.T) {
	t.Parallel()
	for why, o := range map[string]TracingOptions{
		"an unknown sampler": {URL: "http://127.0.0.1:1", Sampler: "sometimes"},
		"what is no URL":     {URL: "collector:4318"},
	} {
		if _, _, err := StartTracing(t.Context(), o, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s was accepted", why)
		}
	}
}

func TestFailingExportIsLoggedOnceAndItsEndToo(t *testing.T) {
	t.Parallel()
	server := newCollector(t)
	var logged bytes.Buffer
	exporter, err := newExporter(t.Context(), TracingOptions{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	e := &loggingExporter{SpanExporter: exporter, log: slog.New(slog.NewTextHandler(&logged, nil))}
	for _, status := range []int{400, 400, 200, 200} {
		server.setAnswer(status)
		if err := e.ExportSpans(t.Context(), oneSpan(t)); err != nil {
			t.Errorf("the failure went on to the global handler: %v", err)
		}
	}
	lines := strings.Split(strings.TrimSpace(logged.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "cannot be exported") || !strings.Contains(lines[1], "exported again") {
		t.Errorf("logged:\n%s", logged.String())
	}
}

func TestShutdownGivesUpWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	provider, shutdown, err := StartTracing(t.Context(), TracingOptions{URL: server.URL}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	recorded(t.Context(), provider)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if err := shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown with a hung collector: %v", err)
	}
}

// oneSpan makes the spans of a batch without a provider's own exporter.
func oneSpan(t *testing.T) []sdktrace.ReadOnlySpan {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	_, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test").Start(t.Context(), "a-span")
	span.End()
	return recorder.Ended()
}
