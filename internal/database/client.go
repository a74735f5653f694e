package database

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
)

// Options configure a [DB]. The zero value of each field but URL has a default.
type Options struct {
	// URL is a connection URL or keyword string of PostgreSQL.
	URL             string
	MaxOpenConns    int32         // default 25
	MaxWaiting      int64         // for a connection, the others are refused with UNAVAILABLE; default no bound
	MinIdleConns    int32         // default 0
	ConnMaxLifetime time.Duration // default 30m
	ConnMaxIdleTime time.Duration // default 5m
	// StatementTimeout bounds every statement, on the server and at the client; default 10s.
	StatementTimeout time.Duration
	// Log receives each statement at debug, and slow ones at warn; default none.
	Log *slog.Logger
	// Tracer receives a span for each statement; default none.
	Tracer trace.TracerProvider
}

// abandonedTx is how long the server lets a transaction stand idle. A replica that is
// stopped or cut off in the middle of one gives its locks back then.
const abandonedTx = 5 * time.Second

// grace is how much longer than the server the client waits for a statement to end.
const grace = time.Second

// DB is a pool of connections and the statements of the service.
type DB struct {
	pool  *pgxpool.Pool
	queue *queue // of those who wait for a connection; nil for one without bound
	// q runs the statements: the pool, or a transaction.
	q       querier
	timeout time.Duration
	// storeStatus is the statement of StoreStatuses: a field, so that a test can break it.
	storeStatus string
}

// Open returns a DB. It does not connect: the server may come up later, and until it
// does every method fails with UNAVAILABLE.
func Open(ctx context.Context, o Options) (*DB, error) {
	cfg, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	traced := tracers(o)
	var waiting *queue
	if o.MaxWaiting > 0 {
		waiting = &queue{limit: o.MaxWaiting}
		traced.PoolAcquireTracers = append(traced.PoolAcquireTracers, waiting)
	}
	cfg.ConnConfig.Tracer = traced
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the connection pool: %w", err)
	}
	return &DB{pool: pool, queue: waiting, q: pool, timeout: statementTimeout(o) + grace, storeStatus: storeStatuses}, nil
}

func statementTimeout(o Options) time.Duration {
	if o.StatementTimeout == 0 {
		return 10 * time.Second
	}
	return o.StatementTimeout
}

func poolConfig(o Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read the database's URL: %w", err)
	}
	setIf(&cfg.MaxConns, o.MaxOpenConns, 25)
	setIf(&cfg.MinIdleConns, o.MinIdleConns, 0)
	setIf(&cfg.MaxConnLifetime, o.ConnMaxLifetime, 30*time.Minute)
	setIf(&cfg.MaxConnIdleTime, o.ConnMaxIdleTime, 5*time.Minute)
	cfg.HealthCheckPeriod = min(cfg.HealthCheckPeriod, cfg.MaxConnIdleTime) // When the idle ones are looked for.
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second

	params := cfg.ConnConfig.RuntimeParams
	params["application_name"] = "cls-backend"
	params["timezone"] = "UTC"
	params["statement_timeout"] = milliseconds(statementTimeout(o))
	// A plan a statement, made once: planning the longest costs more than running it.
	params["plan_cache_mode"] = "force_generic_plan"
	// A page in memory or on an SSD costs the same wherever it is. For a spinning disk, which is
	// the default, the planner walks a table in its order instead of using the index for a filter.
	params["random_page_cost"] = "1.1"
	// Every statement has its index (docs/adr/0011). A plan made while a table was empty would still read the whole
	// table when it has filled: the outbox is empty often, and then fills within seconds.
	params["enable_seqscan"] = "off"
	// What has no index all the same, the few rows of goose's table, would look so expensive that it
	// is compiled: a second for a millisecond.
	params["jit"] = "off"
	params["idle_in_transaction_session_timeout"] = milliseconds(abandonedTx)

	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID,
			Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}
	return cfg, nil
}

func setIf[T comparable](field *T, given, otherwise T) {
	var zero T
	if *field = given; given == zero {
		*field = otherwise
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func tracers(o Options) *multitracer.Tracer {
	var list []pgx.QueryTracer
	if o.Log != nil {
		list = append(list, queryLog{log: o.Log})
	}
	if o.Tracer != nil {
		list = append(list, otelpgx.NewTracer(otelpgx.WithTracerProvider(o.Tracer)))
	}
	return multitracer.New(list...)
}

// Close waits for the connections in use and closes them all.
func (db *DB) Close() { db.pool.Close() }

// Ping reports whether the server answers.
func (db *DB) Ping(ctx context.Context) error {
	return translate("ping", db.pool.Ping(ctx))
}

// PoolStats is the state of the pool.
type PoolStats struct {
	Max, Total, Idle, InUse int32
	// Waits counts the acquisitions that found no idle connection; WaitTime is their sum.
	Waits    int64
	WaitTime time.Duration
	// Canceled counts the acquisitions that their caller gave up, and those that were refused before or when they began.
	Canceled int64
}

// Stats returns the state of the pool.
func (db *DB) Stats() PoolStats {
	s := db.pool.Stat()
	refused := int64(0)
	if db.queue != nil {
		refused = db.queue.refused.Load()
	}
	return PoolStats{
		Max: s.MaxConns(), Total: s.TotalConns(), Idle: s.IdleConns(), InUse: s.AcquiredConns(),
		Waits: s.EmptyAcquireCount(), WaitTime: s.EmptyAcquireWaitTime(), Canceled: s.CanceledAcquireCount() + refused,
	}
}

// Plus is the state of two pools together.
func (s PoolStats) Plus(t PoolStats) PoolStats {
	return PoolStats{
		Max: s.Max + t.Max, Total: s.Total + t.Total, Idle: s.Idle + t.Idle, InUse: s.InUse + t.InUse,
		Waits: s.Waits + t.Waits, WaitTime: s.WaitTime + t.WaitTime, Canceled: s.Canceled + t.Canceled,
	}
}
