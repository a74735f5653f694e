package database

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/models"
)

// insertResource tells the trigger that puts the resource on the schedule when it is due.
const insertResource = `
	WITH changed AS (
		INSERT INTO clusters AS c (id, name, target_project_id, description, paused, deletion_protection, created_by, labels, spec,
			registry_version, generation_by, generation_request_id)
		SELECT $7, $8, $9, $10, $11, $12, ` + newOwner + `, coalesce($14::jsonb, '{}'), ` + newSpec + `,
			` + registryVersion + `, coalesce($4::jsonb ->> 'user_email', ''), $5
		FROM (SELECT set_config('cls.first_wake', $16::interval::text, true)) schedule` + inItsCluster + `
		RETURNING *
	), event AS (` + insertFirstEvent + `)
	SELECT ` + resourceColumns + `, c.registry_version, e.seq, e.created_at FROM changed c, event e`

// Insert stores a new resource with its place in the schedule, due after wake, and its event, in
// one statement. Under a lease the event is in the snapshot, to be handed over once it is committed.
//
// CLUSTER_NAME_EXISTS when its creator has a living cluster of the name.
//
// A node pool belongs to the owner of its cluster, who must be c.CreatedBy if that is not "": NOT_FOUND
// when it is not, NODEPOOL_NAME_EXISTS when the cluster has such a node pool, and CLUSTER_DELETING
// when that cluster does not live on. A spec that names no release gets the cluster's.
func (s *statements) Insert(ctx context.Context, c *models.Resource, wake time.Duration, e models.NewEvent) (*Snapshot, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	own := c.TargetProjectID
	if s.kind == models.KindNodePool {
		own = c.ClusterID
	}
	scan := func(row pgx.CollectableRow) (*Snapshot, error) { return s.scanNew(row, e) }
	args := append(eventArgs(e),
		c.ID, c.Name, own, c.Description, c.Paused, c.DeletionProtection, c.CreatedBy, c.Labels, []byte(c.Spec), wake)
	snap, err := write(ctx, s.db, scan, s.sql(insertResource), append(args, leaseArgs(e.Lease)...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, cmp.Or(s.db.Resources(models.KindCluster).See(ctx, c.ClusterID, c.CreatedBy), models.Deleting(models.KindCluster))
	}
	if err != nil {
		return nil, translate("insert "+string(s.kind), err)
	}
	return snap, nil
}

// scanNew scans a resource on which nobody can have reported, with its first event.
func (s *statements) scanNew(row pgx.CollectableRow, e models.NewEvent) (*Snapshot, error) {
	snap := &Snapshot{Resource: &models.Resource{Kind: s.kind}, Stale: true}
	var (
		seq int64
		at  time.Time
	)
	err := row.Scan(append(s.fields(snap.Resource), &snap.RegistryVersion, &seq, &at)...)
	snap.Now = snap.Resource.CreatedAt
	if e.Lease.Claim != "" {
		snap.Event = e.Queued(seq, at, snap.Resource)
	}
	return snap, err
}

const getResource = `
	SELECT ` + snapshotColumns + `
	FROM clusters c WHERE c.id = $1 AND c.deleted_at IS NULL AND ($2 = '' OR c.created_by = $2)`

// Get reads a living resource; NOT_FOUND when there is none, or when owner is not
// "" and somebody else's.
func (s *statements) Get(ctx context.Context, id, owner string) (*Snapshot, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	snap, err := one(ctx, s.db.q, s.scanSnapshot, s.sql(getResource), id, owner)
	return snap, s.notFound(id, "get", err)
}

const seeResource = `SELECT id FROM clusters WHERE id = $1 AND deleted_at IS NULL AND ($2 = '' OR created_by = $2)`

// See reports by NOT_FOUND that Get would find nothing; nil when it would.
func (s *statements) See(ctx context.Context, id, owner string) error {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	_, err := one(ctx, s.db.q, pgx.RowTo[string], s.sql(seeResource), id, owner)
	return s.notFound(id, "see", err)
}

// clusterRelease takes a version that is no text, or too long for one, for none.
const clusterRelease = `CASE WHEN jsonb_typeof(spec #> '{release,version}') = 'string' AND length(spec #>> '{release,version}') < 256
	THEN spec #>> '{release,version}' ELSE '' END`

// Release returns the release that a living cluster hands down to its node pools, "" for none; NOT_FOUND
// as for Get.
func (db *DB) Release(ctx context.Context, cluster, owner string) (string, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	release, err := one(ctx, db.q, pgx.RowTo[string], `
		SELECT `+clusterRelease+` FROM clusters WHERE id = $1 AND deleted_at IS NULL AND ($2 = '' OR created_by = $2)`, cluster, owner)
	return release, db.Resources(models.KindCluster).notFound(cluster, "read release", err)
}

const lockResource = `
	SELECT ` + resourceColumns + `
	FROM clusters c WHERE c.id = $1 AND c.deleted_at IS NULL AND ($2 = '' OR c.created_by = $2)
	FOR NO KEY UPDATE`

// Lock reads a living resource and holds its row to the end of the transaction, so
// that nobody else changes it and no report is stored; NOT_FOUND as for Get.
func (tx *Tx) Lock(ctx context.Context, id, owner string) (*models.Resource, error) {
	c, err := one(ctx, tx.db.q, tx.scanResource, tx.sql(lockResource), id, owner)
	return c, tx.notFound(id, "lock", err)
}

func (s *statements) notFound(id, what string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return models.NotFound(s.kind, id)
	}
	return translate(what+" "+string(s.kind), err)
}

// keepRevision keeps the spec of the generation that a statement ends. It sees what was before.
const keepRevision = `
	INSERT INTO cluster_revisions (cluster_id, generation, spec, created_by, request_id, created_at)
	SELECT id, generation, spec, generation_by, generation_request_id, generation_started_at FROM clusters WHERE id = $7`

const updateResource = `
	WITH kept AS (` + keepRevision + ` AND $13::int = 1
	), changed AS (
		UPDATE clusters c
		SET description = $8, paused = $9, deletion_protection = $10, labels = coalesce($11::jsonb, '{}'), spec = $12,
		    generation_by = CASE $13::int WHEN 1 THEN coalesce($4::jsonb ->> 'user_email', '') ELSE c.generation_by END,
		    generation_request_id = CASE $13::int WHEN 1 THEN $5 ELSE c.generation_request_id END,
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
	snap, err := one(ctx, tx.db.q, tx.scanSnapshot, tx.sql(updateResource), append(eventArgs(e),
		c.ID, c.Description, c.Paused, c.DeletionProtection, c.Labels, []byte(c.Spec), generations, wake)...)
	return snap, translate("update "+string(tx.kind), err)
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
