// Package config holds the settings of CLS Backend: what each is called in the
// environment, what it may be, and what it is when nobody says anything.
//
// It is pure data. The package opens nothing, connects to nothing and reads no
// global: the environment comes in as an argument. The comment above a field is
// its effect as docs/configuration.md and .env.example print it; a test holds
// the three together.
package config

import "time"

// EmulatorProject is the Google Cloud project that Load assumes when an emulator
// is named and a project is not. An emulator takes any name.
const EmulatorProject = "cls-local"

// The values of AUTH_MODE.
const (
	AuthGateway  = "gateway"
	AuthDisabled = "disabled"
)

// Config is every setting of one process. Load fills it; it is only read
// afterwards and may be copied and shared freely. Printing or logging it shows
// no secret.
type Config struct {
	// Name of the installation, shown by /api/v1/info. `production` refuses to
	// start without authentication.
	Environment string `env:"ENVIRONMENT" envDefault:"development" rule:"label"`

	Database       Database
	PubSub         PubSub
	Server         Server
	Auth           Auth
	CORS           CORS
	Spec           Spec
	Reconciliation Reconciliation
	Status         Status
	Retention      Retention
	Log            Log
	Tracing        Tracing
}

// Database is how the service reaches PostgreSQL.
type Database struct {
	// The PostgreSQL database. Required by `serve` and `migrate`; `dev` starts a
	// private one without it.
	URL DatabaseURL `env:"DATABASE_URL"`
	// Most connections that one process opens. A fifth of them, and at least one,
	// serves what runs by itself and the probes.
	MaxOpenConns int32 `env:"DATABASE_MAX_OPEN_CONNS" envDefault:"25" min:"2" max:"10000"`
	// Idle connections that are kept ready.
	MinIdleConns int32 `env:"DATABASE_MIN_IDLE_CONNS" envDefault:"2" min:"0" max:"10000"`
	// Age at which a connection is replaced.
	ConnMaxLifetime time.Duration `env:"DATABASE_CONN_MAX_LIFETIME" envDefault:"30m" min:"1s"`
	// Idle time after which a connection is closed.
	ConnMaxIdleTime time.Duration `env:"DATABASE_CONN_MAX_IDLE_TIME" envDefault:"5m" min:"1s"`
	// Time after which PostgreSQL cancels a statement.
	StatementTimeout time.Duration `env:"DATABASE_STATEMENT_TIMEOUT" envDefault:"10s" min:"1ms"`
}

// PubSub is where events are published.
type PubSub struct {
	// Google Cloud project of the topics. Required by `serve` unless
	// PUBSUB_EMULATOR_HOST is set, where it is `cls-local` if absent.
	ProjectID string `env:"GOOGLE_CLOUD_PROJECT" rule:"project"`
	// Address of a Pub/Sub emulator to use instead of Google's service.
	EmulatorHost string `env:"PUBSUB_EMULATOR_HOST" rule:"hostport"`
	// Topic of the events of clusters.
	ClusterEventsTopic string `env:"PUBSUB_CLUSTER_EVENTS_TOPIC" envDefault:"cluster-events" rule:"topic"`
	// Topic of the events of node pools.
	NodePoolEventsTopic string `env:"PUBSUB_NODEPOOL_EVENTS_TOPIC" envDefault:"nodepool-events" rule:"topic"`
	// Time that one publish may take before it counts as failed and is tried
	// again; no longer than a claim on an event lasts.
	PublishTimeout time.Duration `env:"PUBSUB_PUBLISH_TIMEOUT" envDefault:"10s" min:"1ms" max:"10s"`
}

// Server is what the HTTP listeners listen on and put up with.
type Server struct {
	// Address to listen on, for the API and the metrics; empty is all interfaces
	// (loopback in `dev`).
	Host string `env:"HOST" rule:"host"`
	// TCP port of the API; 0 picks a free one.
	Port int `env:"PORT" envDefault:"8080" min:"0" max:"65535"`
	// TCP port of /metrics; 0 picks a free one.
	MetricsPort int `env:"METRICS_PORT" envDefault:"8081" min:"0" max:"65535"`
	// Time to read a whole request.
	ReadTimeout time.Duration `env:"SERVER_READ_TIMEOUT" envDefault:"15s" min:"1ms"`
	// Time to answer a request, from the end of its header.
	WriteTimeout time.Duration `env:"SERVER_WRITE_TIMEOUT" envDefault:"30s" min:"1ms"`
	// Time that a connection is kept open for its next request.
	IdleTimeout time.Duration `env:"SERVER_IDLE_TIMEOUT" envDefault:"60s" min:"1ms"`
	// Time to drain after SIGTERM; 25s at most, since Kubernetes kills at 30.
	ShutdownTimeout time.Duration `env:"SERVER_SHUTDOWN_TIMEOUT" envDefault:"25s" min:"1ms" max:"25s"`
	// Largest request body in bytes; a larger one is refused with 413.
	MaxBodyBytes int64 `env:"SERVER_MAX_BODY_BYTES" envDefault:"1048576" min:"1" max:"1048576"`
}

// Auth is whose word about a caller's identity is believed.
type Auth struct {
	// `gateway` believes X-User-Email from trusted peers; `disabled` makes every
	// caller without a header developer@localhost, an administrator.
	Mode string `env:"AUTH_MODE" envDefault:"gateway" oneof:"gateway,disabled"`
	// `true` means the same as AUTH_MODE=disabled.
	DisableAuth bool `env:"DISABLE_AUTH" envDefault:"false"`
	// Networks of the gateways whose identity headers are believed.
	TrustedProxies Prefixes `env:"AUTH_TRUSTED_PROXIES" envDefault:"127.0.0.0/8,::1/128"`
	// Secret that a gateway outside these networks sends as X-Proxy-Secret.
	ProxySecret Secret `env:"AUTH_PROXY_SECRET"`
	// Whether X-User-Roles from a trusted gateway counts. Set it only if the
	// gateway removes the header that a client sends.
	TrustRoles bool `env:"AUTH_TRUST_ROLES" envDefault:"false"`
	// Networks from which controllers may name themselves, as one of
	// CONTROLLER_IDENTITIES and nobody else.
	ControllerNetworks Prefixes `env:"CONTROLLER_NETWORKS"`
	// Identities that are controllers; `identity=name` binds one to the reports
	// of that controller name.
	ControllerIdentities ControllerIdentities `env:"CONTROLLER_IDENTITIES" envDefault:"controller@system.local"`
	// Identities that are administrators.
	AdminIdentities Identities `env:"ADMIN_IDENTITIES"`
}

// Disabled reports whether callers need no identity, by either of the two
// settings that say so.
func (a Auth) Disabled() bool { return a.DisableAuth || a.Mode == AuthDisabled }

// CORS is which web pages may call the API from a browser.
type CORS struct {
	// Origins of the web pages that may call the API; `*` alone is any.
	AllowedOrigins Origins `env:"CORS_ALLOWED_ORIGINS"`
}

// Spec is what the service does to a cluster's spec on its way in and out.
type Spec struct {
	// Paths below spec that only controllers get back, besides
	// serviceAccountSigningKey, which is always redacted.
	RedactedFields SpecPaths `env:"REDACTED_SPEC_FIELDS"`
	// Fills spec.release.version when a POST has none, or an empty one.
	DefaultClusterVersion string `env:"DEFAULT_CLUSTER_VERSION" rule:"text"`
	// Fills spec.release.channelGroup when a POST has none, or an empty one.
	DefaultChannelGroup string `env:"DEFAULT_CHANNEL_GROUP" rule:"text"`
	// JSON Schemas that specs must match: cluster.<platform>.json and
	// nodepool.<platform>.json. A spec whose platform has none is free.
	SchemaDir string `env:"SPEC_SCHEMA_DIR" rule:"folder"`
}

// Reconciliation is how often controllers are woken.
type Reconciliation struct {
	// Whether this process runs the scheduler.
	Enabled bool `env:"RECONCILIATION_ENABLED" envDefault:"true"`
	// Time between two passes of the scheduler.
	CheckInterval time.Duration `env:"RECONCILIATION_CHECK_INTERVAL" envDefault:"1s" min:"1ms"`
	// Time between the wake-ups of a cluster that needs attention.
	AttentionInterval time.Duration `env:"RECONCILIATION_ATTENTION_INTERVAL" envDefault:"30s" min:"1ms"`
	// Time between the wake-ups of a stable cluster.
	StableInterval time.Duration `env:"RECONCILIATION_STABLE_INTERVAL" envDefault:"5m" min:"1ms"`
	// Age, since creation or the last change of its spec, up to which a cluster
	// needs attention.
	AttentionAge time.Duration `env:"RECONCILIATION_ATTENTION_AGE" envDefault:"2h" min:"0s"`
	// Whether a report that moves a cluster wakes its controllers early.
	ReactiveEnabled bool `env:"REACTIVE_RECONCILIATION_ENABLED" envDefault:"true"`
	// Time from such a report to the first wake-up; each further one doubles it.
	ReactiveDebounce time.Duration `env:"REACTIVE_RECONCILIATION_DEBOUNCE" envDefault:"2s" min:"1ms"`
}

// Status is how a cluster's status is judged.
type Status struct {
	// Time without progress after which a cluster that is not Ready is Failed.
	ProgressDeadline time.Duration `env:"STATUS_PROGRESS_DEADLINE" envDefault:"30m" min:"1ms"`
}

// Retention is how long rows outlive their purpose.
type Retention struct {
	// Time that a published event is kept.
	Outbox time.Duration `env:"OUTBOX_RETENTION" envDefault:"24h" min:"1ms"`
	// Time that a deleted cluster is kept before it is purged.
	Tombstone time.Duration `env:"TOMBSTONE_RETENTION" envDefault:"720h" min:"1ms"`
	// Time that specs which were replaced, and the timeline, are kept.
	History time.Duration `env:"HISTORY_RETENTION" envDefault:"2160h" min:"1ms"`
}

// Log is what is logged and how it looks.
type Log struct {
	// Least severe level that is logged.
	Level string `env:"LOG_LEVEL" envDefault:"info" oneof:"debug,info,warn,error"`
	// One JSON object a line, or text for people.
	Format string `env:"LOG_FORMAT" envDefault:"json" oneof:"json,text"`
}
