package middleware

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/cls-backend/cls-backend/internal/telemetry"
)

// headerRequestID is spelt as Go keeps it, so that it can be put into a header map as it is.
const headerRequestID = "X-Request-Id"

// maxRequestID is the longest request id that is taken from a caller, in bytes.
const maxRequestID = 128

// requestID takes the caller's, where it is one and can be put into a log as it is, or
// makes one.
func requestID(h http.Header) string {
	if given := h[headerRequestID]; len(given) == 1 && isPrintable(given[0]) {
		return given[0]
	}
	id, err := uuid.NewV7()
	if err != nil { // Only when the system has no randomness, of which crypto/rand makes a crash.
		panic("middleware: make a request id: " + err.Error())
	}
	return id.String()
}

func isPrintable(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxRequestID
}

// traceparent returns the caller's place in a trace, or "" when the header is missing,
// doubled or not of the form of W3C Trace Context. Of a later version of that form, the
// part is kept that version 00 knows.
func traceparent(h http.Header) string {
	if len(h["Traceparent"]) != 1 {
		return ""
	}
	ctx := telemetry.Propagator().Extract(context.Background(), propagation.HeaderCarrier(h))
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return ""
	}
	return fmt.Sprintf("00-%s-%s-%s", span.TraceID(), span.SpanID(), span.TraceFlags())
}
