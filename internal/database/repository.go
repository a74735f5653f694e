package database

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cls-backend/cls-backend/internal/faultpoint"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Tx is a transaction on the resources of one kind. It is used by one goroutine, and only within
// [Resources.InTx].
type Tx struct{ statements }

// Kind returns the kind of the resources that the transaction is on.
func (tx *Tx) Kind() models.Kind { return tx.kind }

// Of returns the same transaction on the resources of another kind.
func (tx *Tx) Of(kind models.Kind) *Tx { return &Tx{statements{tx.db, kind}} }

// querier is what runs statements: the pool or a transaction, within which another is a savepoint.
type querier interface { //nolint:interfacebloat // what pgx's pool and transactions have in common
	Begin(ctx context.Context) (pgx.Tx, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// InTx runs work in a transaction (READ COMMITTED) and commits it, or rolls it back when
// work fails. It returns nil only once the commit has been acknowledged; reply to a
// caller after that. The whole is bounded by the statement timeout.
func (r *Resources) InTx(ctx context.Context, work func(context.Context, *Tx) error) error {
	ctx, cancel := r.db.bounded(ctx)
	defer cancel()
	err := r.transact(ctx, func(tx pgx.Tx) error { return work(ctx, &Tx{statements{r.on(tx), r.kind}}) })
	return translate("transaction", err)
}

// transact runs work in a transaction, which within another is a part of that.
func (db *DB) transact(ctx context.Context, work func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, db.q, func(tx pgx.Tx) error {
		if err := work(tx); err != nil {
			return err
		}
		db.pass(faultpoint.BeforeCommit)
		return nil
	})
	if err == nil {
		db.pass(faultpoint.AfterCommit)
	}
	return err
}

// pass passes a fault point where something is committed, which is not within a transaction.
func (db *DB) pass(point string) {
	if db.q == querier(db.pool) {
		faultpoint.Hit(point)
	}
}

// on returns the same database with its statements in a transaction.
func (db *DB) on(tx pgx.Tx) *DB {
	within := *db
	within.q = tx
	return &within
}

var errRehearsed = errors.New("the rehearsal is over")

// Rehearse runs work on the database, in a transaction that is rolled back in the end: all is as if
// it had happened, for work, and nothing has. It returns the error of work.
func (db *DB) Rehearse(ctx context.Context, work func(context.Context, *DB) error) error {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return cmp.Or(work(ctx, db.on(tx)), errRehearsed) })
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return translate("rehearsal", err)
}

// collect runs a query and scans all its rows.
func collect[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// one runs a query of at most one row; pgx.ErrNoRows when there is none.
func one[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		var none T
		return none, err
	}
	return pgx.CollectExactlyOneRow(rows, scan)
}

// write is one for a statement that changes what its caller asks for. Outside of a transaction it is one by itself.
func write[T any](ctx context.Context, db *DB, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	db.pass(faultpoint.BeforeCommit)
	v, err := one(ctx, db.q, scan, sql, args...)
	if err == nil {
		db.pass(faultpoint.AfterCommit)
	}
	return v, err
}

// bounded gives a statement its deadline at the client: the server's own is of no use
// when the server cannot be heard.
func (db *DB) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, db.timeout)
}

// exec runs a statement and returns how many rows it touched.
func (db *DB) exec(ctx context.Context, what, sql string, args ...any) (int, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	tag, err := db.q.Exec(ctx, sql, args...)
	if err != nil {
		return 0, translate(what, err)
	}
	return int(tag.RowsAffected()), nil
}

// wrap is fmt.Errorf("what: %w") that leaves nil alone.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
