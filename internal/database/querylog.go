package database

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// slowStatement is how long a statement may take before it is logged at warn.
const slowStatement = 500 * time.Millisecond

// queryLog logs statements: all at debug, slow ones at warn. It never logs
// arguments, which may hold secrets.
type queryLog struct{ log *slog.Logger }

type queryStart struct {
	sql   string
	began time.Time
}

type queryStartKey struct{}

// TraceQueryStart implements [pgx.QueryTracer].
func (queryLog) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, queryStartKey{}, queryStart{sql: data.SQL, began: time.Now()})
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (q queryLog) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	start, ok := ctx.Value(queryStartKey{}).(queryStart)
	if !ok {
		return
	}
	elapsed := time.Since(start.began)
	level := slog.LevelDebug
	if elapsed >= slowStatement {
		level = slog.LevelWarn
	}
	if !q.log.Enabled(ctx, level) {
		return
	}
	args := []any{"sql", strings.Join(strings.Fields(start.sql), " "), "latency", elapsed, "rows", data.CommandTag.RowsAffected()}
	if data.Err != nil {
		args = append(args, "error", data.Err)
	}
	q.log.Log(ctx, level, "sql", args...)
}
