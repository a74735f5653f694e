package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/models"
)

// insertCluster tells the trigger that puts the cluster on the schedule when it is due.
const insertCluster = `
	WITH changed AS (
		INSERT INTO clusters AS c (id, name, target_project_id, description, paused, deletion_protection, created_by, labels, spec)
		SELECT $7, $8, $9, $10, $11, $12, $13, coalesce($14::jsonb, '{}'), $15
		FROM (SELECT set_config('cls.first_wake', $16::interval::text, true)) schedule
		RETURNING *
	), event AS (` + insertEvent + `)
	SELECT ` + clusterColumns + ` FROM changed c`

// InsertCluster stores a new cluster with its place in the schedule, due after wake,
// and its event, in one statement. CLUSTER_NAME_EXISTS when its creator has a living
// cluster of the name.
func (db *DB) InsertCluster(ctx context.Context, c *models.Cluster, wake time.Duration, e models.NewEvent) (*Snapshot, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	stored, err := one(ctx, db.pool, scanCluster, insertCluster, append(eventArgs(e),
		c.ID, c.Name, c.TargetProjectID, c.Description, c.Paused, c.DeletionProtection, c.CreatedBy, c.Labels, []byte(c.Spec), wake)...)
	if err != nil {
		return nil, translate("insert cluster", err)
	}
	return &Snapshot{Cluster: stored, Stale: true, Now: stored.CreatedAt}, nil // Nobody can have reported on it.
}

const getCluster = `
	SELECT ` + snapshotColumns + `
	FROM clusters c WHERE c.id = $1 AND c.deleted_at IS NULL AND ($2 = '' OR c.created_by = $2)`

// GetCluster reads a living cluster; NOT_FOUND when there is none, or when owner is not
// "" and somebody else's.
func (db *DB) GetCluster(ctx context.Context, id, owner string) (*Snapshot, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	s, err := one(ctx, db.pool, scanSnapshot, getCluster, id, owner)
	return s, notFound(id, "get cluster", err)
}

// LockCluster reads a living cluster and holds its row to the end of the transaction, so
// that nobody else changes it and no report is stored; NOT_FOUND as for GetCluster.
func (tx *Tx) LockCluster(ctx context.Context, id, owner string) (*models.Cluster, error) {
	c, err := one(ctx, tx.tx, scanCluster, `SELECT `+clusterColumns+`
		FROM clusters c WHERE c.id = $1 AND c.deleted_at IS NULL AND ($2 = '' OR c.created_by = $2)
		FOR NO KEY UPDATE`, id, owner)
	return c, notFound(id, "lock cluster", err)
}

func notFound(id, what string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return models.NotFound(id)
	}
	return translate(what, err)
}

const updateCluster = `
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

// UpdateCluster stores what a user may change of a cluster that the transaction has
// locked, with its event. A change of the spec begins a generation, and pulls the next
// wake-up to at most wake from now.
func (tx *Tx) UpdateCluster(
	ctx context.Context, c *models.Cluster, change models.Change, wake time.Duration, e models.NewEvent,
) (*Snapshot, error) {
	generations := 0
	if change.Spec {
		generations = 1
	}
	s, err := one(ctx, tx.tx, scanSnapshot, updateCluster, append(eventArgs(e),
		c.ID, c.Description, c.Paused, c.DeletionProtection, c.Labels, []byte(c.Spec), generations, wake)...)
	return s, translate("update cluster", err)
}

const deleteCluster = `
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
	SELECT ` + clusterColumns + ` FROM changed c`

// DeleteCluster makes a tombstone of a cluster that the transaction has locked, with its
// event. Its wake-ups end: a controller that is woken after the deletion might build
// again what it has torn down.
func (tx *Tx) DeleteCluster(ctx context.Context, id string, e models.NewEvent) (*models.Cluster, error) {
	// First, so that a pass that is just waking this cluster has ended, and the next
	// statement sees the wake-up that it left.
	_, err := tx.tx.Exec(ctx, `UPDATE reconciliation_schedule SET enabled = false, updated_at = now() WHERE cluster_id = $1`, id)
	if err != nil {
		return nil, translate("unschedule cluster", err)
	}
	c, err := one(ctx, tx.tx, scanCluster, deleteCluster, append(eventArgs(e), id)...)
	return c, translate("delete cluster", err)
}

// PurgeTombstones removes up to limit clusters that were deleted longer ago than age,
// with all that hangs on them, and returns how many.
func (db *DB) PurgeTombstones(ctx context.Context, age time.Duration, limit int) (int, error) {
	return db.exec(ctx, "purge tombstones", `
		DELETE FROM clusters WHERE id IN (
			SELECT id FROM clusters WHERE deleted_at < now() - $1::interval
			ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, age, limit)
}
