package config

import "strings"

// Tracing is where spans are exported to, by the names of the OpenTelemetry
// environment variable specification.
//
// These six are read and checked here and handed to the exporter as arguments.
// What is not here (OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_BSP_*,
// OTEL_RESOURCE_ATTRIBUTES and so on) the OpenTelemetry libraries read from the
// process environment themselves; that is theirs to document.
type Tracing struct {
	// OTLP/HTTP collector to export traces to, at /v1/traces below this address.
	// Without an endpoint nothing is traced.
	Endpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" rule:"url"`
	// Exact address to export traces to; goes before OTEL_EXPORTER_OTLP_ENDPOINT.
	TracesEndpoint string `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" rule:"url"`
	// Headers sent with each export, such as a collector's credentials.
	Headers Headers `env:"OTEL_EXPORTER_OTLP_HEADERS"`
	// Service name in traces.
	ServiceName string `env:"OTEL_SERVICE_NAME" envDefault:"cls-backend" rule:"text"`
	// Which traces are recorded.
	Sampler string `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on" rule:"sampler"`
	// Share of traces that a ratio sampler records.
	SamplerArg float64 `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"1" min:"0" max:"1"`
}

// URL returns the address that spans are posted to, or "" when tracing is off.
// The signal's own endpoint is taken as it stands and the general one gets
// /v1/traces appended, as the OTLP exporter specification says.
func (t Tracing) URL() string {
	switch {
	case t.TracesEndpoint != "":
		return t.TracesEndpoint
	case t.Endpoint != "":
		return strings.TrimSuffix(t.Endpoint, "/") + "/v1/traces"
	}
	return ""
}
