package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/models"
)

// insertResource tells the trigger that puts the resource on the schedule when it is due.
const insertResource = `
	WITH changed AS (
		INSERT INTO clusters AS c (id, name, target_project_id, description, paused, deletion_protection, created_by, labels, spec)
		SELECT $7, $8, $9, $10, $11, $12, $13, coalesce($14::jsonb, '{}'), $15
		FROM (SELECT set_config('cls.first_wake', $16::interval::text, true)) schedule /* in its cluster */
		RETURNING *
	), event AS (` + insertEvent + `)
	SELECT ` + resourceColumns + ` FROM changed c`

// Insert stores a new resource with its place in the schedule, due after wake, and its event, in
// one statement. CLUSTER_NAME_EXISTS when its creator has a living cluster of the name,
// NODEPOOL_NAME_EXISTS when the cluster has such a node pool, and CLUSTER_DELETING when that
// cluster does not live on.
func (s *statements) Insert(ctx context.Context, c *models.Resource, wake time.Duration, e models.NewEvent) (*Snapshot, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	own := c.TargetProjectID
	if s.kind == models.KindNodePool {
		own = c.ClusterID
	}
	stored, err := one(ctx, s.q, s.scanResource, s.sql(insertResource), append(eventArgs(e),
		c.ID, c.Name, own, c.Description, c.Paused, c.DeletionProtection, c.CreatedBy, c.Labels, []byte(c.Spec), wake)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, models.Deleting(models.KindCluster)
	}
	if err != nil {
		return nil, translate("insert "+string(s.kind), err)
	}
	return &Snapshot{Resource: stored, Stale: true, Now: stored.CreatedAt}, nil // Nobody can have reported on it.
}

const getResource = `
	SELECT ` + snapshotColumns + `
	FROM clusters c WHERE c.id = $1 AND c.deleted_at IS NULL AND ($2 = '' OR c.created_by = $2)`

// Get reads a living resource; NOT_FOUND when there is none, or when owner is not
// "" and somebody else's.
func (s *statements) Get(ctx context.Context, id, owner string) (*Snapshot, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	snap, err := one(ctx, s.q, s.scanSnapshot, s.sql(getResource), id, owner)
	return snap, s.notFound(id, "get", err)
}

const lockResource = `
	SELECT ` + resourceColumns + `
	FROM clusters c WHERE c.id = $1 AND c.deleted_at IS NULL AND ($2 = '' OR c.created_by = $2)
	FOR NO KEY UPDATE`

// Lock reads a living resource and holds its row to the end of the transaction, so
// that nobody else changes it and no report is stored; NOT_FOUND as for Get.
func (tx *Tx) Lock(ctx context.Context, id, owner string) (*models.Resource, error) {
	c, err := one(ctx, tx.q, tx.scanResource, tx.sql(lockResource), id, owner)
	return c, tx.notFound(id, "lock", err)
}

func (s *statements) notFound(id, what string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return models.NotFound(s.kind, id)
	}
	return translate(what+" "+string(s.kind), err)
}

const updateResource = `
	WITH changed AS (
		UPDATE clusters c
		SET description = $8, paused = $9, deletion_protection = $10, labels = coalesce($11::jsonb, '{}'), spec = $12,
		    generation = c.generation + $13::int, resource_version = c.resource_version + 1
		WHERE c.id = $7
		RETURNING *
	), scheduled AS (
		UPDATE reconciliation_schedule s
		SET enabled = NOT changed.paused,
		    next_reconcile_at = CASE WHEN $13::int = 1 THEN least(s.next_reconcile_at, now() + $14::interval) ELSE s.next_reconcile_at END,
		    reactive = s.reactive AND ($13::int = 0 OR s.next_reconcile_at <= now() + $14::interval),
		    reactive_wakes = CASE WHEN $13::int = 1 THEN 0 ELSE s.reactive_wakes END,
		    updated_at = now()
		FROM changed WHERE s.cluster_id = changed.id AND ($13::int = 1 OR s.enabled = changed.paused)
	), event AS (` + insertEvent + `)
	SELECT ` + snapshotColumns + ` FROM changed c`

// Update stores what a user may change of a resource that the transaction has
// locked, with its event. A change of the spec begins a generation, and pulls the next
// wake-up to at most wake from now.
func (tx *Tx) Update(
	ctx context.Context, c *models.Resource, change models.Change, wake time.Duration, e models.NewEvent,
) (*Snapshot, error) {
	generations := 0
	if change.Spec {
		generations = 1
	}
	snap, err := one(ctx, tx.q, tx.scanSnapshot, tx.sql(updateResource), append(eventArgs(e),
		c.ID, c.Description, c.Paused, c.DeletionProtection, c.Labels, []byte(c.Spec), generations, wake)...)
	return snap, translate("update "+string(tx.kind), err)
}

const deleteResource = `
	WITH changed AS (
		UPDATE clusters c
		SET deletion_timestamp = clock_timestamp(), deleted_at = clock_timestamp(), recheck_at = NULL,
		    generation = c.generation + 1, resource_version = c.resource_version + 1
		WHERE c.id = $7
		RETURNING *
	), calm AS (
		DELETE FROM stale_statuses WHERE cluster_id = $7
	), wakes AS (
		DELETE FROM outbox
		WHERE resource_id = $7 AND wake AND published_at IS NULL AND set_aside_at IS NULL AND reason <> '` + manual + `'
	), event AS (` + insertEvent + `)
	SELECT ` + resourceColumns + ` FROM changed c`

// lockWithin locks in the order of the ids, as everything does that locks several. It asks for the
// living ones last: a plan made while there were few would walk an index of all that live.
const lockWithin = `
	WITH held AS MATERIALIZED (
		SELECT id, deleted_at FROM nodepools WHERE cluster_id = $1 ORDER BY id FOR NO KEY UPDATE
	)
	SELECT id FROM held WHERE deleted_at IS NULL ORDER BY id`

const unscheduleWithin = `
	WITH pools AS (
		UPDATE nodepool_schedule SET enabled = false, updated_at = now() WHERE nodepool_id = ANY ($2::uuid[])
	)
	UPDATE reconciliation_schedule SET enabled = false, updated_at = now() WHERE cluster_id = $1`

// lockWakes locks in the order in which relays lock what they have published: Delete, which takes
// them back one resource at a time, would meet a relay half-way.
const lockWakes = `
	SELECT FROM outbox
	WHERE resource_id = ANY ($1::uuid || $2::uuid[]) AND wake AND published_at IS NULL AND set_aside_at IS NULL
	ORDER BY resource_id FOR UPDATE`

// LockWithin holds the living node pools of a cluster, which the transaction has locked, and
// returns their ids. All of them, the cluster too, are off the schedule from here on, and
// their waiting wake-ups are held.
func (tx *Tx) LockWithin(ctx context.Context, cluster string) ([]string, error) {
	ids, err := collect(ctx, tx.q, pgx.RowTo[string], lockWithin, cluster)
	if err != nil || len(ids) == 0 {
		return ids, translate("lock node pools", err)
	}
	for _, sql := range []string{unscheduleWithin, lockWakes} {
		if _, err := tx.q.Exec(ctx, sql, cluster, ids); err != nil {
			return nil, translate("lock node pools", err)
		}
	}
	return ids, nil
}

const unschedule = `UPDATE reconciliation_schedule SET enabled = false, updated_at = now() WHERE cluster_id = $1`

// Delete makes a tombstone of a resource that the transaction has locked, with its
// event. Its wake-ups end: a controller that is woken after the deletion might build
// again what it has torn down.
func (tx *Tx) Delete(ctx context.Context, id string, e models.NewEvent) (*models.Resource, error) {
	// First, so that a pass that is just waking this resource has ended, and the next
	// statement sees the wake-up that it left.
	if _, err := tx.q.Exec(ctx, tx.sql(unschedule), id); err != nil {
		return nil, translate("unschedule "+string(tx.kind), err)
	}
	c, err := one(ctx, tx.q, tx.scanResource, tx.sql(deleteResource), append(eventArgs(e), id)...)
	return c, translate("delete "+string(tx.kind), err)
}

const purgeTombstones = `
	DELETE FROM clusters WHERE id IN (
		SELECT id FROM clusters WHERE deleted_at < now() - $1::interval
		ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// PurgeTombstones removes up to limit resources that were deleted longer ago than age,
// with all that hangs on them, and returns how many.
func (r *Resources) PurgeTombstones(ctx context.Context, age time.Duration, limit int) (int, error) {
	return r.exec(ctx, "purge tombstones", r.sql(purgeTombstones), age, limit)
}
