package database

import (
	"context"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cls-backend/cls-backend/internal/models"
)

// Translate lets the tests hold the table of errors.
func Translate(err error) error { return translate("test", err) }

// ScanLabels scans the text of a jsonb.
func ScanLabels(text []byte) (map[string]string, error) {
	var l labels
	err := l.ScanBytes(text)
	return l, err
}

// OfNodePools names the tables of node pools in a statement on clusters.
func OfNodePools(onClusters string) string { return ofNodePools.Replace(onClusters) }

// NewestVersion is the version of the schema that this binary wants.
func NewestVersion() int64 { return newestVersion() }

// WithoutStoreCondition returns the same database with a broken statement: it stores a
// calculated status even if facts have come in since its snapshot. The tests of the
// conditional store must notice.
func (db *DB) WithoutStoreCondition(kind models.Kind) *Resources {
	const condition = "AND c.resource_version = ($2::bigint[])[array_position($1, c.id)]"
	if !strings.Contains(db.storeStatus, condition) {
		panic("database: the condition of the conditional store is not where the mutant expects it")
	}
	broken := *db
	broken.storeStatus = strings.Replace(db.storeStatus, condition, "AND $2::bigint[] IS NOT NULL", 1)
	return broken.Resources(kind)
}

// Pool returns the connections of the package, with their settings.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Statement is a statement as it went to the server.
type Statement struct {
	SQL  string
	Args []any
}

// Recorder keeps the statements of the databases that are opened with it, so that their
// plans can be looked at.
type Recorder struct {
	mu   sync.Mutex
	list []Statement
}

// OpenRecorded is Open with a recorder.
func OpenRecorded(ctx context.Context, o Options, r *Recorder) (*DB, error) {
	cfg, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.Tracer = r
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &DB{pool: pool, q: pool, timeout: statementTimeout(o) + grace, storeStatus: storeStatuses}, nil
}

// Take returns what was recorded since the last call.
func (r *Recorder) Take() []Statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

func (r *Recorder) add(sql string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, Statement{sql, args})
}

// TraceQueryStart implements [pgx.QueryTracer].
func (r *Recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.add(data.SQL, data.Args)
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (*Recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements [pgx.BatchTracer].
func (*Recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (r *Recorder) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	r.add(data.SQL, data.Args)
}

// TraceBatchEnd implements [pgx.BatchTracer].
func (*Recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
