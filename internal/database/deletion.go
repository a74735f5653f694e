package database

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// lockWithin locks in the order of the ids, as everything does that locks several. No index of the
// living ones is to seem to serve it.
const lockWithin = `
	SELECT ` + resourceColumns + `
	FROM clusters c WHERE c.target_project_id = $1 AND coalesce(c.deleted_at, 'infinity') = 'infinity' ORDER BY c.id FOR NO KEY UPDATE`

// lockWakes holds the wake-ups of a cluster and its node pools before the first of them is taken
// back: in the order in which relays lock what they have published, which a deletion of one
// resource after the other would meet half-way. No pass wakes any of them meanwhile.
const (
	lockPlaces = `
		WITH pools AS (
			SELECT FROM nodepool_schedule WHERE nodepool_id = ANY ($2::uuid[]) ORDER BY nodepool_id FOR UPDATE
		), cluster AS (
			SELECT FROM reconciliation_schedule WHERE cluster_id = $1 FOR UPDATE
		)
		SELECT (SELECT count(*) FROM pools), (SELECT count(*) FROM cluster)`
	lockWakes = `
		SELECT FROM outbox
		WHERE resource_id = ANY ($1::uuid || $2::uuid[]) AND wake AND published_at IS NULL AND set_aside_at IS NULL
		ORDER BY resource_id FOR UPDATE`
)

// LockWithin holds and returns the node pools, of which the transaction is, of a cluster that it
// has locked; and their places in the schedule and wake-ups, the cluster's among them.
func (tx *Tx) LockWithin(ctx context.Context, cluster string) ([]*models.Resource, error) {
	pools, err := collect(ctx, tx.db.q, tx.scanResource, tx.sql(lockWithin), cluster)
	if err != nil || len(pools) == 0 {
		return nil, translate("lock node pools", err)
	}
	ids := make([]string, len(pools))
	for i, pool := range pools {
		ids[i] = pool.ID
	}
	for _, sql := range []string{lockPlaces, lockWakes} {
		if _, err := tx.db.q.Exec(ctx, sql, cluster, ids); err != nil {
			return nil, translate("lock the wake-ups of node pools", err)
		}
	}
	return pools, nil
}

// alert puts a resource into the attention lane, a paused one too: somebody wants it gone. It comes
// before the deletion itself, so that a pass that is just waking the resource has ended, and the
// next statement sees the wake-up that it left.
const alert = `
	UPDATE reconciliation_schedule
	SET enabled = true, next_reconcile_at = least(next_reconcile_at, now() + $2::interval), reactive = false, reactive_wakes = 0,
	    updated_at = now()
	WHERE cluster_id = $1`

// unasked is a wake-up that nobody has been promised.
const unasked = `metadata ->> 'triggered_by' <> '` + v1.TriggeredByManual + `'`

// deleteResource fixes whom the deletion waits for: the controllers that are registered to finalize
// what it is, and those that say so with a condition. A wake-up that somebody has asked for and
// that still waits repeats the deletion, under a new id, as it may be on its way to Pub/Sub as what
// it was; the others are in vain.
const deleteResource = `
	WITH kept AS (` + keepRevision + `
	), changed AS (
		UPDATE clusters c
		SET deletion_timestamp = clock_timestamp(), generation_by = coalesce($4::jsonb ->> 'user_email', ''), generation_request_id = $5,
		    generation = c.generation + 1, resource_version = c.resource_version + 1,
		    holders = ARRAY(
				SELECT r.name::text FROM controllers r
				WHERE r.finalizes AND r.retired_at IS NULL
				  AND (r.kinds = '{}' OR $8 = ANY (r.kinds)) AND (r.platforms = '{}' OR c.platform = ANY (r.platforms))
				UNION
				SELECT s.controller_name::text FROM controller_status s
				WHERE s.cluster_id = c.id AND s.conditions @> '[{"type": "Finalized"}]'
				  AND NOT EXISTS (SELECT FROM controllers r WHERE r.name = s.controller_name AND r.retired_at IS NOT NULL)
				ORDER BY 1)
		WHERE c.id = $7
		RETURNING *
	), asked AS (
		UPDATE outbox o SET id = gen_random_uuid(), type = $2, reason = '` + deletionPending + `', generation = c.generation,
		    claim = NULL, leased_until = '-infinity', available_at = '-infinity'
		FROM changed c
		WHERE o.resource_id = $7 AND o.wake AND o.published_at IS NULL AND o.set_aside_at IS NULL AND NOT (` + unasked + `)
	), vain AS (
		DELETE FROM outbox
		WHERE resource_id = $7 AND wake AND published_at IS NULL AND set_aside_at IS NULL AND ` + unasked + `
	), event AS (` + insertEvent + `)
	SELECT ` + resourceColumns + ` FROM changed c`

// Delete begins the deletion of a resource that the transaction has locked, with its event. Until
// its holders have let go it is woken in the attention lane, first at most wake from now.
func (tx *Tx) Delete(ctx context.Context, id string, wake time.Duration, e models.NewEvent) (*models.Resource, error) {
	if _, err := tx.db.q.Exec(ctx, tx.sql(alert), id, wake); err != nil {
		return nil, translate("wake for the deletion", err)
	}
	c, err := one(ctx, tx.db.q, tx.scanResource, tx.sql(deleteResource), append(eventArgs(e), id, string(tx.kind))...)
	return c, translate("delete "+string(tx.kind), err)
}

const forceDeletion = `
	WITH changed AS (
		UPDATE clusters c
		SET holders = '{}', forced_by = $8, force_reason = $9, resource_version = c.resource_version + 1
		WHERE c.id = $7
		RETURNING *
	), event AS (` + insertEvent + `)
	SELECT ` + resourceColumns + ` FROM changed c`

// ForceDeletion ends the waiting of a deletion that the transaction has locked, and records who
// did and why. The event tells the controllers that nobody waits for them.
func (tx *Tx) ForceDeletion(ctx context.Context, id, by, reason string, e models.NewEvent) (*models.Resource, error) {
	c, err := one(ctx, tx.db.q, tx.scanResource, tx.sql(forceDeletion), append(eventArgs(e), id, by, reason)...)
	return c, translate("force the deletion", err)
}

// bury makes tombstones. Wake-ups that wait are in vain: who is woken after the end might build
// again what is torn down.
const (
	findLetGo = `
		SELECT c.id FROM clusters c
		WHERE c.deletion_timestamp IS NOT NULL AND c.deleted_at IS NULL AND c.holders = '{}' AND NOT (true ` + withPools + `)
		ORDER BY c.deletion_timestamp LIMIT $1`
	lockLetGo = `
		SELECT c.id FROM clusters c
		WHERE c.id = ANY ($1) AND c.deletion_timestamp IS NOT NULL AND c.deleted_at IS NULL AND c.holders = '{}' AND NOT (true ` + withPools + `)
		ORDER BY c.id FOR NO KEY UPDATE`
	unschedule = `UPDATE reconciliation_schedule SET enabled = false, updated_at = now() WHERE cluster_id = ANY ($1)`
	bury       = `
		WITH gone AS (
			UPDATE clusters
			SET deleted_at = clock_timestamp(), recheck_at = NULL, resource_version = resource_version + 1
			WHERE id = ANY ($1)
		), calm AS (
			DELETE FROM stale_statuses WHERE cluster_id = ANY ($1)
		)
		DELETE FROM outbox WHERE seq = ANY (ARRAY( -- in the order in which relays lock them
			SELECT seq FROM outbox
			WHERE resource_id = ANY ($1) AND wake AND published_at IS NULL AND set_aside_at IS NULL AND ` + unasked + `
			ORDER BY resource_id FOR UPDATE))`
)

// Bury makes tombstones of up to limit resources whose deletion waits for nobody any more, and
// returns how many.
func (r *Resources) Bury(ctx context.Context, limit int) (n int, err error) {
	ids, err := r.collectIDs(ctx, findLetGo, limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	err = r.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		n, err = tx.Bury(ctx, ids...)
		return err
	})
	return n, err
}

func (s *statements) collectIDs(ctx context.Context, sql string, arg any) ([]string, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	ids, err := collect(ctx, s.db.q, pgx.RowTo[string], s.sql(sql), arg)
	return ids, translate("find what is let go", err)
}

// Bury makes tombstones of those of the resources whose deletion waits for nobody any more, and
// returns how many these are. A cluster has to be locked before its node pools.
func (tx *Tx) Bury(ctx context.Context, ids ...string) (int, error) {
	gone, err := tx.collectIDs(ctx, lockLetGo, ids)
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	if _, err := tx.db.q.Exec(ctx, tx.sql(unschedule), gone); err != nil {
		return 0, translate("unschedule what is gone", err)
	}
	_, err = tx.db.q.Exec(ctx, tx.sql(bury), gone)
	return len(gone), translate("bury", err)
}

// letGo takes out of the holders who is retired, or was since the deletion began.
const letGo = `
	UPDATE clusters c
	SET holders = ARRAY(
			SELECT h FROM unnest(c.holders) WITH ORDINALITY AS u (h, n)
			WHERE NOT EXISTS (
				SELECT FROM controllers r
				WHERE r.name = h AND (r.retired_at IS NOT NULL OR r.let_go_at >= c.deletion_timestamp))
			ORDER BY n),
	    status_dirty = true
	WHERE c.id = ANY (ARRAY( -- in the order in which everything locks them
		SELECT id FROM clusters WHERE id = ANY ($1) AND deletion_timestamp IS NOT NULL AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE))`

// LetGo has deletions wait for no retired controller any more.
func (r *Resources) LetGo(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := r.exec(ctx, "let go", r.sql(letGo), ids)
	return err
}
