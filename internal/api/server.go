package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/handlers"
	"github.com/cls-backend/cls-backend/internal/api/middleware"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
	"github.com/cls-backend/cls-backend/internal/telemetry"
)

// Auth says whose word about a caller's identity is believed, and who has which role.
type Auth = middleware.Auth

// Controller is an identity that is a controller.
type Controller = middleware.Controller

// Options are what a [Server] is made of. All are required but those that say otherwise.
type Options struct {
	Clusters    *service.Resources
	NodePools   *service.Resources
	Controllers *service.Controllers
	// Info is the answer to GET /api/v1/info.
	Info v1.Info
	Auth Auth
	// CORSOrigins may call the API from a browser; none by default, "*" for any.
	CORSOrigins []string
	// MaxBodyBytes is the largest body; a larger one is BODY_TOO_LARGE.
	MaxBodyBytes int64
	// RequestTimeout ends the context of a request; 0 for never.
	RequestTimeout time.Duration
	// Admit is asked before anything is done for a request that needs an identity. Its error is the answer.
	Admit func() error
	// Secrets are the fields whose values no error repeats.
	Secrets models.Secrets
	// Health and Ready are asked by each probe, and should answer within two seconds. An
	// error of Ready that is a models.Error is shown; any other is only logged.
	Health func(context.Context) v1.Health
	Ready  func(context.Context) error
	Log    *slog.Logger
	// Metrics is usually a *telemetry.Metrics.
	Metrics middleware.Metrics
	// Tracer makes a span for each request; nil for none.
	Tracer trace.TracerProvider
}

// Server answers the API. It is an [http.Handler]: listening, and the timeouts of
// connections, are for who runs it.
type Server struct {
	http.Handler

	engine   *gin.Engine
	document document
}

// New returns a server, with its document rendered. An error means that the document
// cannot be, which is a fault of the program.
func New(o Options) (*Server, error) {
	setGlobals()
	chain := middleware.New(middleware.Options{
		Auth: o.Auth, Origins: o.CORSOrigins, Secrets: o.Secrets, Open: openRoutes(), Quiet: probes(),
		MaxBody: o.MaxBodyBytes, Timeout: o.RequestTimeout, Admit: o.Admit, Log: o.Log, Metrics: o.Metrics,
	})
	s := &Server{engine: newEngine(chain)}
	api := humagin.New(s.engine, newConfig())
	handlers.New(handlers.Options{
		Clusters: o.Clusters, NodePools: o.NodePools, Controllers: o.Controllers, Info: o.Info, Secrets: o.Secrets, ActorOf: middleware.ActorOf,
		Health: o.Health, Ready: o.Ready, Log: o.Log,
	}).Register(api)
	var err error
	if s.document, err = render(api.OpenAPI()); err != nil {
		return nil, fmt.Errorf("render the OpenAPI document: %w", err)
	}
	s.document.serve(s.engine, middleware.NoRoute)
	s.Handler = traced(middleware.Head(s.engine), o.Tracer)
	return s, nil
}

func newEngine(chain *middleware.Chain) *gin.Engine {
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false
	r.UseRawPath, r.UnescapePathValues = true, false
	r.Use(chain.Handlers()...)
	r.Use(unescape)
	r.NoRoute(middleware.NoRoute)
	r.NoMethod(middleware.NoMethod)
	return r
}

// unescape has a slash within a name, such as that of example.com%2Fdns, part no names. gin's own
// unescaping is that of queries, and would take a plus for a blank.
func unescape(c *gin.Context) {
	if c.Request.URL.RawPath == "" {
		return
	}
	for i := range c.Params {
		if value, err := url.PathUnescape(c.Params[i].Value); err == nil {
			c.Params[i].Value = value
		}
	}
}

// traced makes spans, unless nobody would see them: even a span that goes nowhere costs
// more than the handler of a GET.
func traced(next http.Handler, provider trace.TracerProvider) http.Handler {
	if _, off := provider.(noop.TracerProvider); off || provider == nil {
		return next
	}
	return otelhttp.NewHandler(next, "request",
		otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(telemetry.Propagator()))
}

// probes are the routes that something asks every few seconds.
func probes() []string { return []string{"/health", "/livez", "/readyz"} }

// openRoutes need no identity. Whatever is not here does.
func openRoutes() []string {
	return append(probes(), "/api/v1/info", pathYAML, pathJSON, pathDocs, pathDocs+"/:asset")
}

// newConfig is huma without what the contract has no room for: documentation pages from
// a public server, schema links in answers, media types besides JSON.
func newConfig() huma.Config {
	cfg := huma.DefaultConfig("", "")
	cfg.CreateHooks = nil
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.Formats = map[string]huma.Format{"application/json": {Marshal: writeJSON}, "json": {Marshal: writeJSON}}
	handlers.Alias(cfg.Components.Schemas)
	describe(cfg.OpenAPI)
	return cfg
}
