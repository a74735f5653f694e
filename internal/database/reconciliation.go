package database

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/models"
)

// claimDue locks the places it returns. The order makes the most overdue first, so that
// none starves behind a limit; SKIP LOCKED lets passes at the same time share the work,
// and keeps a stalled one from holding up the rest. A place that another pass has moved
// on meanwhile is judged anew when its lock is taken, and is then due no longer.
const claimDue = `
	SELECT s.cluster_id, s.reactive, now() + $1::interval, s.next_reconcile_at,
	       c.generation_started_at, c.phase, c.generation, coalesce((c.status ->> 'observedGeneration')::bigint, 0),
	       c.deletion_timestamp IS NOT NULL
	FROM reconciliation_schedule s
	CROSS JOIN LATERAL (SELECT * FROM clusters WHERE id = s.cluster_id OFFSET 0) c -- one by one, however small the table was
	WHERE s.enabled AND s.next_reconcile_at <= now() + $1::interval AND c.deleted_at IS NULL
	ORDER BY s.next_reconcile_at LIMIT $2
	FOR UPDATE OF s SKIP LOCKED`

// ClaimDue returns up to limit resources whose wake-up is due at the database's time plus
// offset (0 but in tests), the most overdue first, and holds their places in the schedule to
// the end of the transaction. Places that another pass holds are skipped, so any number
// of replicas share the work.
func (tx *Tx) ClaimDue(ctx context.Context, offset time.Duration, limit int) ([]models.Due, error) {
	due, err := collect(ctx, tx.db.q, scanDue, tx.sql(claimDue), offset, limit)
	return due, translate("claim what is due", err)
}

func scanDue(row pgx.CollectableRow) (d models.Due, err error) {
	a := &d.Attention
	err = row.Scan(&d.ID, &d.Reactive, &d.Now, &d.DueAt,
		&a.GenerationStartedAt, &a.Phase, &a.Generation, &a.ObservedGeneration, &a.Deleting)
	return d, err
}

// wakeDue says of a resource that is being deleted that it is, whatever the pass took it for: the
// statement that claimed it may have read it before the deletion and locked its place after. With
// the place locked no deletion comes between.
const wakeDue = `
	WITH moved AS (
		UPDATE reconciliation_schedule s
		SET next_reconcile_at = ($6::timestamptz[])[array_position($1, s.cluster_id)],
		    reactive = false, reactive_wakes = s.reactive_wakes + s.reactive::int, updated_at = now()
		WHERE s.cluster_id = ANY ($1::uuid[])
	)
	INSERT INTO outbox AS o (id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by, metadata)
	SELECT w.event, 'cluster', c.id, c.id, CASE WHEN c.deletion_timestamp IS NULL THEN w.type ELSE $7 END,
		CASE WHEN c.deletion_timestamp IS NULL THEN w.reason ELSE '` + deletionPending + `' END,
		true, c.generation, c.platform, c.created_by, w.metadata
	FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[]) w (id, event, type, reason, metadata)
	CROSS JOIN LATERAL (SELECT * FROM clusters WHERE id = w.id OFFSET 0) c -- one by one, however small the table was
	CROSS JOIN ` + laxCommit + `
	ORDER BY c.id
	` + onWaitingWake + ` WHERE o.claim IS NOT NULL`

// Wake appends the wake-ups of resources that the transaction has claimed and gives each
// its next time. One whose last wake-up still waits gets no second one; if
// that one is being published just now, the new one takes its place.
func (tx *Tx) Wake(ctx context.Context, wakes []models.Wake) error {
	n := len(wakes)
	var (
		ids, events    = make([]string, n), make([]string, n)
		types, reasons = make([]string, n), make([]string, n)
		metadata       = make([]any, n)
		next           = make([]time.Time, n)
	)
	for i, w := range wakes {
		ids[i], events[i], next[i] = w.ID, w.Event.ID, w.Next
		types[i], reasons[i], metadata[i] = w.Event.Type, w.Event.Reason, w.Event.Metadata
	}
	_, err := tx.db.q.Exec(ctx, tx.sql(wakeDue), ids, events, types, reasons, metadata, next, tx.kind.Event(models.Deleted))
	return translate("wake what is due", err)
}
