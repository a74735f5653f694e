package database

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// queue bounds how many wait for a connection. One more is refused at once: when more comes than can be done, a
// longer queue serves nobody sooner, it only makes everybody late and fills the memory (docs/adr/0019).
type queue struct {
	limit  int64
	length atomic.Int64 // with those who need not wait, for a moment

	refused atomic.Int64 // by Admit
}

// Admit returns UNAVAILABLE while the queue for connections is full, so that whoever would be refused at its end can be
// refused before anything was done for them. Who is admitted may be refused there all the same.
func (db *DB) Admit() error {
	if q := db.queue; q != nil && q.length.Load() >= q.limit {
		q.refused.Add(1)
		return errFull()
	}
	return nil
}

func errFull() error {
	return &models.Error{Code: v1.CodeUnavailable, Message: "more is asked for than can be done; try again", RetryAfter: retryAfter}
}

// TraceAcquireStart implements [pgxpool.AcquireTracer], whose context is that of the wait.
func (q *queue) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if q.length.Add(1) > q.limit {
		return refused{ctx}
	}
	return ctx
}

// TraceAcquireEnd implements [pgxpool.AcquireTracer].
func (q *queue) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {
	q.length.Add(-1)
}

// refused is the context of a wait that is over before it has begun.
type refused struct{ context.Context } //nolint:containedctx // it is one

// Done implements [context.Context].
func (refused) Done() <-chan struct{} {
	over := make(chan struct{})
	close(over)
	return over
}

// Err implements [context.Context], and says why.
func (refused) Err() error { return errFull() }
