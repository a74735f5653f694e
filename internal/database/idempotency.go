package database

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// keyWait is how long a second call with a key waits for the first.
const keyWait = 10 * time.Second

// patience bounds the waiting on the server: beyond it no lock is waited for, and the statement
// that waits is not ended before.
const patience = `SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)`

// takeKey returns a row if the key is new, or older than it is kept for. While another transaction has
// just taken it, this waits for its end.
const takeKey = `
	INSERT INTO idempotency_keys AS k (identity, route, key, request) VALUES ($1, $2, $3, $4)
	ON CONFLICT (identity, route, key) DO UPDATE
	SET request = excluded.request, created_at = excluded.created_at
	WHERE k.created_at < excluded.created_at - $5::interval
	RETURNING true`

const keptAnswer = `SELECT request, etag, location, body FROM idempotency_keys WHERE identity = $1 AND route = $2 AND key = $3`

const keepAnswer = `
	UPDATE idempotency_keys SET etag = $4, location = $5, body = $6 WHERE identity = $1 AND route = $2 AND key = $3`

// Once runs work in a transaction that takes a key, and keeps its answer with what it wrote; or
// returns the answer that is kept. IDEMPOTENCY_KEY_REUSED for a key that came with another body,
// REQUEST_IN_FLIGHT when another call with the key has not ended in ten seconds.
func (r *Resources) Once(
	ctx context.Context, key models.Key, work func(context.Context, *Resources) (models.Answer, error),
) (answer models.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, keyWait+r.timeout)
	defer cancel()
	err = r.transact(ctx, func(tx pgx.Tx) error {
		within := r.on(tx)
		taken, err := within.takeKey(ctx, key)
		if err != nil {
			return err
		}
		if !taken {
			answer, err = within.keptAnswer(ctx, key)
			return err
		}
		if answer, err = work(ctx, within.Resources(r.kind)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, keepAnswer, key.Identity, key.Route, key.Key, answer.ETag, answer.Location, answer.Body)
		return err
	})
	return answer, translate("once", err)
}

func (db *DB) takeKey(ctx context.Context, key models.Key) (taken bool, err error) {
	if _, err := db.q.Exec(ctx, patience, milliseconds(keyWait), milliseconds(keyWait+db.timeout)); err != nil {
		return false, err
	}
	taken, err = one(ctx, db.q, pgx.RowTo[bool], takeKey, key.Identity, key.Route, key.Key, key.Request[:], models.KeyRetention)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	const lockNotAvailable = "55P03"
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == lockNotAvailable {
		return false, &models.Error{
			Code: v1.CodeRequestInFlight, Message: "another call with this Idempotency-Key is under way", RetryAfter: retryAfter, Err: pg,
		}
	}
	return taken, err
}

func (db *DB) keptAnswer(ctx context.Context, key models.Key) (models.Answer, error) {
	var request []byte
	answer, err := one(ctx, db.q, func(row pgx.CollectableRow) (a models.Answer, err error) {
		return a, row.Scan(&request, &a.ETag, &a.Location, &a.Body)
	}, keptAnswer, key.Identity, key.Route, key.Key)
	if err == nil && !bytes.Equal(request, key.Request[:]) {
		return answer, models.KeyReused()
	}
	return answer, err
}

// PurgeKeys removes up to limit keys that were taken longer ago than age.
func (db *DB) PurgeKeys(ctx context.Context, age time.Duration, limit int) (int, error) {
	return db.exec(ctx, "purge idempotency keys", `
		DELETE FROM idempotency_keys WHERE (identity, route, key) IN (
			SELECT identity, route, key FROM idempotency_keys WHERE created_at < now() - $1::interval
			ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, age, limit)
}
