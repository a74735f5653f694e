// Package telemetry is how the service shows what it does: logs (slog), metrics
// (Prometheus) and traces (OpenTelemetry).
//
// Nothing here is global. Whoever measures or logs is handed a *Metrics, a
// *slog.Logger or a trace.TracerProvider, so two servers in one process, as in
// tests, do not mix.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes to w, one line a record. The level is
// debug, info, warn or error; the format is json or text. Any other is an error.
// Durations are seconds in json, as in the metrics. The logger is safe for concurrent use. The
// lines of requests may come some milliseconds late, many with one call of w; any other at once.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: least}
	switch format {
	case "json":
		opts.ReplaceAttr = inSeconds
		return slog.New(newGatherer(w, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, opts) })), nil
	case "text":
		return slog.New(newGatherer(w, func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, opts) })), nil
	}
	return nil, fmt.Errorf("log format %q: want json or text", format)
}

// inSeconds is a ReplaceAttr: encoding/json would write a duration as nanoseconds.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}
