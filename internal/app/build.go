package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
	"github.com/cls-backend/cls-backend/internal/config"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/outbox"
	"github.com/cls-backend/cls-backend/internal/pubsub"
	"github.com/cls-backend/cls-backend/internal/reconciliation"
	"github.com/cls-backend/cls-backend/internal/retention"
	"github.com/cls-backend/cls-backend/internal/schemas"
	"github.com/cls-backend/cls-backend/internal/service"
	"github.com/cls-backend/cls-backend/internal/telemetry"
)

// NewLogger returns the logger that the settings ask for.
func NewLogger(w io.Writer, cfg config.Config) (*slog.Logger, error) {
	return telemetry.NewLogger(w, cfg.Log.Level, cfg.Log.Format)
}

// parts is everything that runs.
type parts struct {
	cfg     config.Config
	options Options
	log     *slog.Logger
	rules   service.Settings

	db            *database.DB // of requests
	loops         *database.DB // of what runs by itself, and of probes: requests that wait take nothing from it
	pubsub        *pubsub.Service
	relay         *outbox.Relay
	scheduler     *reconciliation.Scheduler // nil when it is switched off
	cleaners      []*retention.Cleaner
	metrics       *telemetry.Metrics
	tracer        trace.TracerProvider
	apiServer     *server
	metricsServer *server
	stopTracing   func(context.Context) error

	up       atomic.Bool // the schema is in place
	draining atomic.Bool
}

// build makes every part and takes the ports. Nothing runs yet, and nothing is waited for.
func build(ctx context.Context, cfg config.Config, o Options) (*parts, error) {
	p := &parts{cfg: cfg, options: o, log: o.Log, metrics: telemetry.NewMetrics()}
	p.metrics.SetBuild(o.Build.Version, o.Build.Commit)
	for _, step := range []func(context.Context) error{p.buildRules, p.buildStores, p.buildLoops, p.buildServers} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, p.close(ctx))
		}
	}
	return p, nil
}

// buildRules reads the schemas, if there are any: a folder that is not what it should be stops the
// start before anything is opened.
func (p *parts) buildRules(context.Context) error {
	p.rules = settings(p.cfg)
	dir := p.cfg.Spec.SchemaDir
	if dir == "" {
		return nil
	}
	set, err := schemas.Load(dir)
	if err != nil {
		return fmt.Errorf("SPEC_SCHEMA_DIR=%q is refused:\n%w", dir, err)
	}
	p.rules.Schema = set.Check
	p.log.Info("specs are checked", "schemas", set.Len(), "folder", dir)
	return nil
}

func (p *parts) buildStores(ctx context.Context) error {
	t := p.cfg.Tracing
	tracer, stop, err := telemetry.StartTracing(ctx, telemetry.TracingOptions{
		URL: t.URL(), Headers: t.Headers, Service: t.ServiceName, Version: p.options.Build.Version, Sampler: t.Sampler, Ratio: t.SamplerArg,
	}, p.log)
	if err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	p.tracer, p.stopTracing = tracer, stop
	if err := p.openDatabase(ctx); err != nil {
		return err
	}
	p.metrics.RegisterBacklog(func(ctx context.Context) (telemetry.Backlog, error) {
		b, err := p.loops.Backlog(ctx)
		return telemetry.Backlog{
			OutboxUnpublished: b.Unpublished, OutboxSetAside: b.SetAside, OutboxOldest: b.OldestAge,
			ClustersByPhase: b.ClustersByPhase, NodePoolsByPhase: b.NodePoolsByPhase, DirtyRows: b.DirtyRows,
		}, err
	})
	ps := p.cfg.PubSub
	p.pubsub, err = pubsub.Open(ctx, pubsub.Options{
		ProjectID: ps.ProjectID, EmulatorHost: ps.EmulatorHost, PublishTimeout: ps.PublishTimeout, Log: p.log, Tracer: p.tracerIfOn(),
		Topics: map[models.Kind]string{models.KindCluster: ps.ClusterEventsTopic, models.KindNodePool: ps.NodePoolEventsTopic},
	})
	return err
}

// waitersPerConnection is how many requests may wait for each connection. At fifty a second and connection they
// wait less than half a second, at ten two, and what comes on top is asked to try again.
const waitersPerConnection = 20

// openDatabase shares the connections out, a fifth of them to the loops.
func (p *parts) openDatabase(ctx context.Context) error {
	d := p.cfg.Database
	o := database.Options{
		URL: string(d.URL), MaxOpenConns: max(1, d.MaxOpenConns/5),
		ConnMaxLifetime: d.ConnMaxLifetime, ConnMaxIdleTime: d.ConnMaxIdleTime, StatementTimeout: d.StatementTimeout,
		Log: p.log, Tracer: p.tracerIfOn(),
	}
	var err error
	if p.loops, err = database.Open(ctx, o); err != nil {
		return err
	}
	o.MaxOpenConns = d.MaxOpenConns - o.MaxOpenConns
	o.MinIdleConns, o.MaxWaiting = min(d.MinIdleConns, o.MaxOpenConns), waitersPerConnection*int64(o.MaxOpenConns)
	if p.db, err = database.Open(ctx, o); err != nil {
		return err
	}
	p.metrics.RegisterPool(func() telemetry.PoolStats { return telemetry.PoolStats(p.db.Stats().Plus(p.loops.Stats())) })
	return nil
}

// tracerIfOn returns nil when spans go nowhere, so that nobody makes them.
func (p *parts) tracerIfOn() trace.TracerProvider {
	if p.cfg.Tracing.URL() == "" {
		return nil
	}
	return p.tracer
}

func (p *parts) buildLoops(context.Context) error {
	p.relay = outbox.New(p.loops, p.pubsub, p.metrics, p.log, outbox.Options{})
	if r := p.cfg.Reconciliation; r.Enabled {
		p.scheduler = reconciliation.NewScheduler(r.CheckInterval, p.metrics, p.log, p.resources(models.KindCluster, p.loops),
			p.resources(models.KindNodePool, p.loops))
	}
	db, keep := p.loops, p.cfg.Retention
	p.cleaners = []*retention.Cleaner{
		retention.NewCleaner("published events", db.PurgePublished, keep.Outbox, p.log),
		retention.NewCleaner("idempotency keys", db.PurgeKeys, models.KeyRetention, p.log),
		retention.NewCleaner("revisions of clusters", db.Resources(models.KindCluster).PurgeRevisions, keep.History, p.log),
		retention.NewCleaner("revisions of node pools", db.Resources(models.KindNodePool).PurgeRevisions, keep.History, p.log),
		retention.NewCleaner("the timeline", db.PurgeTimeline, keep.History, p.log),
		retention.NewCleaner("tombstones of clusters", db.Resources(models.KindCluster).PurgeTombstones, keep.Tombstone, p.log),
		retention.NewCleaner("tombstones of node pools", db.Resources(models.KindNodePool).PurgeTombstones, keep.Tombstone, p.log),
	}
	return nil
}

// resources are the use cases of a kind, for requests or for loops.
func (p *parts) resources(kind models.Kind, db *database.DB) *service.Resources {
	return service.NewResources(kind, db, p.rules, p.relay, p.metrics)
}

// settings turns configuration into the rules of the installation.
func settings(cfg config.Config) service.Settings {
	r := cfg.Reconciliation
	s := service.Settings{
		Secrets:          models.NewSecrets(cfg.Spec.RedactedFields),
		Defaults:         models.Defaults{ReleaseVersion: cfg.Spec.DefaultClusterVersion, ChannelGroup: cfg.Spec.DefaultChannelGroup},
		Cadence:          models.Cadence{Attention: r.AttentionInterval, Stable: r.StableInterval, AttentionAge: r.AttentionAge},
		ProgressDeadline: cfg.Status.ProgressDeadline,
	}
	if r.ReactiveEnabled {
		s.Cadence.Debounce = r.ReactiveDebounce
	}
	return s
}

func (p *parts) migrate(ctx context.Context) error {
	return database.Migrate(ctx, string(p.cfg.Database.URL), p.log)
}

func isUnavailable(err error) bool { return models.CodeOf(err) == v1.CodeUnavailable }

// close frees what build has made, as far as that went.
func (p *parts) close(ctx context.Context) error {
	var errs []error
	for _, s := range []*server{p.apiServer, p.metricsServer} {
		if s != nil {
			_ = s.listener.Close() // Closed already, if it served.
		}
	}
	if p.pubsub != nil {
		errs = append(errs, p.pubsub.Close())
	}
	if p.stopTracing != nil {
		errs = append(errs, p.stopTracing(ctx))
	}
	p.closePools(ctx)
	return errors.Join(errs...)
}

// closePools gives up on connections that do not end: a server that hangs would hold up
// the end of each for fifteen seconds, and whatever counts has been settled or given up.
func (p *parts) closePools(ctx context.Context) {
	closed := make(chan struct{})
	go func() {
		for _, db := range []*database.DB{p.db, p.loops} {
			if db != nil {
				db.Close()
			}
		}
		close(closed)
	}()
	select {
	case <-closed:
	case <-ctx.Done():
		p.log.WarnContext(ctx, "connections to the database did not end in time")
	}
}

func (p *parts) buildServers(ctx context.Context) error {
	handler, err := api.New(p.apiOptions())
	if err != nil {
		return err
	}
	s := p.cfg.Server
	if p.apiServer, err = listen(ctx, s, "PORT", s.Port, handler, p.log); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", p.metrics.Handler())
	p.metricsServer, err = listen(ctx, s, "METRICS_PORT", s.MetricsPort, mux, p.log)
	return err
}

func (p *parts) apiOptions() api.Options {
	if p.cfg.Auth.Disabled() {
		p.log.Warn("authentication is disabled: every caller without an identity is an administrator")
	}
	b := p.options.Build
	return api.Options{
		Clusters:    p.resources(models.KindCluster, p.db),
		NodePools:   p.resources(models.KindNodePool, p.db),
		Controllers: service.NewControllers(p.db),
		Info: v1.Info{
			Service: v1.Source, Version: b.Version, GitCommit: b.Commit, BuildTime: b.Time, APIVersion: "v1", Environment: p.cfg.Environment,
		},
		Auth:           auth(p.cfg.Auth),
		CORSOrigins:    p.cfg.CORS.AllowedOrigins,
		MaxBodyBytes:   p.cfg.Server.MaxBodyBytes,
		RequestTimeout: p.cfg.Server.WriteTimeout * 9 / 10, // Time left to say that it was too long.
		Admit:          p.db.Admit,
		Secrets:        models.NewSecrets(p.cfg.Spec.RedactedFields),
		Health:         p.health,
		Ready:          p.ready,
		Log:            p.log,
		Metrics:        p.metrics,
		Tracer:         p.tracer,
	}
}

func auth(a config.Auth) api.Auth {
	out := api.Auth{
		Disabled: a.Disabled(), TrustedProxies: a.TrustedProxies, ProxySecret: string(a.ProxySecret), TrustRoles: a.TrustRoles,
		ControllerNetworks: a.ControllerNetworks, Admins: a.AdminIdentities,
	}
	for _, c := range a.ControllerIdentities {
		out.Controllers = append(out.Controllers, api.Controller(c))
	}
	return out
}
