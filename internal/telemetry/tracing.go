package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// TracingOptions says where spans go and which are recorded.
type TracingOptions struct {
	// URL is the exact OTLP/HTTP address that spans are posted to; "" is off.
	URL string
	// Headers go with each export.
	Headers map[string]string
	// Service and Version name this process in traces.
	Service string
	Version string
	// Sampler is a name of the OpenTelemetry specification for
	// OTEL_TRACES_SAMPLER; "" is parentbased_always_on. Ratio is the share that
	// the samplers with "traceidratio" in their name record.
	Sampler string
	Ratio   float64
}

// Propagator carries a trace over HTTP and messages as W3C Trace Context
// (traceparent, tracestate).
func Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

// StartTracing returns the provider to make spans with, and the shutdown that
// sends what is left and must be called once; it gives up when its context ends.
//
// Without a URL the provider records and sends nothing, but its spans still pass
// a caller's trace on. With one, spans are sent in batches in the background: a
// collector that is away costs spans and never a request, and is logged once when
// it fails and once when it is back. An error means an unknown sampler or a URL
// that is none; nothing is running then.
func StartTracing(ctx context.Context, o TracingOptions, log *slog.Logger) (trace.TracerProvider, func(context.Context) error, error) {
	if o.URL == "" {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	sampler, err := samplerOf(o.Sampler, o.Ratio)
	if err != nil {
		return nil, nil, err
	}
	exporter, err := newExporter(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	// The order matters: of two values of one attribute the later stands.
	who, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithFromEnv(), resource.WithAttributes(
		attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)))
	if err != nil {
		return nil, nil, fmt.Errorf("describe this service for traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&loggingExporter{SpanExporter: exporter, log: log}),
		sdktrace.WithResource(who), sdktrace.WithSampler(sampler))
	return provider, provider.Shutdown, nil
}

func newExporter(ctx context.Context, o TracingOptions) (sdktrace.SpanExporter, error) {
	// The option below reports a bad URL to a global handler and goes on without.
	if u, err := url.Parse(o.URL); err != nil || u.Host == "" {
		return nil, fmt.Errorf("address for traces %q is not a URL", o.URL)
	}
	opts := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(o.URL)}
	if len(o.Headers) > 0 {
		opts = append(opts, otlptracehttp.WithHeaders(o.Headers))
	}
	exporter, err := otlptracehttp.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("start the export of traces: %w", err)
	}
	return exporter, nil
}

// samplerOf follows "General SDK Configuration" of the OpenTelemetry
// specification.
func samplerOf(name string, ratio float64) (sdktrace.Sampler, error) {
	switch name {
	case "always_on":
		return sdktrace.AlwaysSample(), nil
	case "always_off":
		return sdktrace.NeverSample(), nil
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(ratio), nil
	case "", "parentbased_always_on":
		return sdktrace.ParentBased(sdktrace.AlwaysSample()), nil
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample()), nil
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio)), nil
	}
	return nil, fmt.Errorf("trace sampler %q is not known", name)
}

// loggingExporter keeps failures from OpenTelemetry's global error handler, which
// would print them outside our log, and tells only when the state changes: a
// collector that is away for a day is two lines.
type loggingExporter struct {
	sdktrace.SpanExporter

	log     *slog.Logger
	failing atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *loggingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch was := e.failing.Swap(err != nil); {
	case err != nil && !was:
		e.log.WarnContext(ctx, "traces cannot be exported", "error", err)
	case err == nil && was:
		e.log.InfoContext(ctx, "traces are exported again")
	}
	return nil
}
