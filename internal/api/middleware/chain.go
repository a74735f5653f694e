package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/telemetry"
)

// statusClientLeft is what is logged and counted for a failure that nobody waited for.
// Nothing is sent by it; nginx made the number known.
const statusClientLeft = 499

// Metrics counts requests.
type Metrics interface {
	ObserveHTTP(route, method string, status int, elapsed time.Duration)
}

// Options configure a [Chain].
type Options struct {
	Auth    Auth
	Origins []string // that browsers may call from; none means no cross-origin headers at all
	Secrets models.Secrets
	// Open are the route patterns that need no identity, Quiet those that are logged at
	// debug while they succeed.
	Open, Quiet []string
	// MaxBody is the largest body in bytes.
	MaxBody int64
	// Timeout ends the context of a request; 0 for never.
	Timeout time.Duration
	// Admit is asked before anything else is done for a request that needs an identity. Its error is the answer.
	Admit   func() error
	Log     *slog.Logger
	Metrics Metrics
}

// Chain is the middleware of one server. It is safe for concurrent use.
type Chain struct {
	Options

	gate        *gate
	cors        corsRules
	open, quiet map[string]bool
}

// New returns the chain for the options.
func New(o Options) *Chain {
	return &Chain{Options: o, gate: newGate(o.Auth), cors: newCORS(o.Origins), open: set(o.Open), quiet: set(o.Quiet)}
}

func set(names []string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}

// Handlers returns the chain in its order.
func (c *Chain) Handlers() []gin.HandlerFunc {
	return []gin.HandlerFunc{c.begin, c.cors.handle, c.admit, c.identify}
}

// begin opens the exchange, and ends it whatever becomes of the request.
func (c *Chain) begin(g *gin.Context) {
	began := time.Now()
	r := g.Request
	x := &Exchange{accept: r.Header.Get("Accept"), secrets: c.Secrets}
	x.Actor.RequestID, x.Actor.Traceparent = requestID(r.Header), traceparent(r.Header)
	setHeaders(g.Writer.Header(), x.Actor.RequestID)

	ctx := context.WithValue(r.Context(), exchangeKey{}, x)
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	g.Request = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		g.Request.Body = http.MaxBytesReader(g.Writer, r.Body, c.MaxBody)
	}
	name(ctx, r.Method, g.FullPath())
	defer func() { c.end(g, r, x, began, recover()) }()
	g.Next()
}

// setHeaders sets what every answer carries. Answers are never to be cached: they differ
// by who asks.
func setHeaders(h http.Header, requestID string) {
	h[headerRequestID] = []string{requestID}
	h["Cache-Control"] = []string{"no-store"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
}

// name calls the span of a request by its route, which is only known here.
func name(ctx context.Context, method, route string) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() && route != "" {
		span.SetName(method + " " + route)
		span.SetAttributes(attribute.String("http.route", route))
	}
}

// end answers a panic, then counts and logs. r is the request as it came, whose context
// ends early only when the client leaves.
func (c *Chain) end(g *gin.Context, r *http.Request, x *Exchange, began time.Time, panicked any) {
	if panicked != nil && panicked != http.ErrAbortHandler { //nolint:errorlint // a panic's value, not an error
		err := fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
		if g.Writer.Written() {
			x.failure, panicked = err, http.ErrAbortHandler
		} else {
			Refuse(g, err)
			panicked = nil
		}
	}
	status := g.Writer.Status()
	if status >= http.StatusInternalServerError && r.Context().Err() != nil {
		status = statusClientLeft
	}
	elapsed := time.Since(began)
	c.Metrics.ObserveHTTP(g.FullPath(), r.Method, status, elapsed)
	c.log(g, x, status, elapsed)
	if panicked != nil {
		panic(panicked) // net/http cuts the connection, so that half an answer is not taken for a whole.
	}
}

// log writes the one line of a request.
func (c *Chain) log(g *gin.Context, x *Exchange, status int, elapsed time.Duration) {
	level := slog.LevelInfo
	switch {
	case x.turnedAway: // There are many, and they are counted.
	case x.failure != nil && status != statusClientLeft:
		level = slog.LevelError
	case c.quiet[g.FullPath()]:
		level = slog.LevelDebug
	}
	ctx := g.Request.Context()
	if !c.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", g.Request.Method), slog.String("route", g.FullPath()), slog.Int("status", status),
		slog.Duration("latency", elapsed), slog.String("user", x.Actor.Email),
		slog.String("request_id", x.Actor.RequestID), slog.Int("bytes", max(0, g.Writer.Size())),
	}
	if x.failure != nil {
		attrs = append(attrs, slog.String("error", x.failure.Error()))
	}
	c.Log.LogAttrs(ctx, level, telemetry.RequestLine, attrs...) //nolint:sloglint // it is a constant
}

// admit turns away for what there is no room, before anything is read or looked up for it: when more comes than can be
// done, what is spent on those who are refused is missing for the others.
func (c *Chain) admit(g *gin.Context) {
	if c.anybodys(g) {
		return
	}
	if err := c.Admit(); err != nil {
		From(g.Request.Context()).turnedAway = true
		Refuse(g, err)
	}
}

// anybodys reports whether a request needs no identity: its route is open, or there is none.
func (c *Chain) anybodys(g *gin.Context) bool {
	route := g.FullPath()
	return route == "" || c.open[route]
}

// identify establishes the actor, on every route that is not open.
func (c *Chain) identify(g *gin.Context) {
	if c.anybodys(g) {
		return
	}
	actor, err := c.gate.actor(g.Request)
	if err != nil {
		Refuse(g, err)
		return
	}
	x := From(g.Request.Context())
	actor.RequestID, actor.Traceparent = x.Actor.RequestID, x.Actor.Traceparent
	x.Actor = actor
}

// NoRoute answers a path that does not exist.
func NoRoute(g *gin.Context) {
	Refuse(g, models.Errorf(v1.CodeNotFound, "there is nothing at this path"))
}

// NoMethod answers a method that a path does not have. The router has set Allow, to
// which HEAD belongs wherever GET does.
func NoMethod(g *gin.Context) {
	h := g.Writer.Header()
	h.Set("Allow", withHead(h.Get("Allow")))
	Refuse(g, models.Errorf(v1.CodeMethodNotAllowed, "this path does not know the method"))
}

// Refuse ends a request with the answer to an error.
func Refuse(g *gin.Context, err error) {
	f := From(g.Request.Context()).Fail(err)
	h := g.Writer.Header()
	h.Del("ETag")
	h.Set("Content-Type", f.MediaType)
	if f.RetryAfter != "" {
		h.Set("Retry-After", f.RetryAfter)
	}
	g.Abort()
	g.Status(f.Status)
	_, _ = g.Writer.Write(f.Body) // A client that has left is no news.
}
