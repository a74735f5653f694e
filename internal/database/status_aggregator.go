package database

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// NewStatus is a calculated status, to be stored if nothing has changed meanwhile.
type NewStatus struct {
	ID string
	// ResourceVersion is the one of the snapshot that the status was calculated from.
	ResourceVersion int64
	// Status is the JSON text of a v1.Status.
	Status []byte
	// RecheckAt is when time alone will change the status; zero for never.
	RecheckAt time.Time
	// Moved says that the status has changed, and that no fact about the resource has, which would
	// have moved its version already: this is a new resource version.
	Moved bool
	// RegistryVersion is that of the registry of controllers it was calculated under.
	RegistryVersion int64
	// Released says that the resource is being deleted, and waits for controllers that are retired.
	Released bool
	// Attention says that the status puts the resource in the attention lane: its next wake-up is
	// then at most Pull away.
	Attention bool
	Pull      time.Duration
}

// laxCommit is a row that has the commit of its statement not wait for the disk. It is
// for what follows from facts that are on disk: after a crash of PostgreSQL within the
// next moments it is as if the statement had not run yet, and it will be run again.
const laxCommit = `(SELECT set_config('synchronous_commit', 'off', true)) lax`

// storeStatuses stores each status on the condition that its resource is as it was read (a
// deletion is a new version as well), that no status of a newer registry is stored, and that the
// time at which it changes by itself has not passed meanwhile.
// Rows that somebody is changing at the moment are skipped: they will be dirty again.
//
// Every table is asked for ids and none is joined: a join that was planned when the tables were
// empty would read all of them.
const storeStatuses = `
	WITH current AS (
		SELECT c.id FROM clusters c
		WHERE c.id = ANY ($1::uuid[]) AND c.resource_version = ($2::bigint[])[array_position($1, c.id)]
		  AND c.registry_version <= ($8::bigint[])[array_position($1, c.id)]
		  AND coalesce(($4::timestamptz[])[array_position($1, c.id)] > now(), true)
		FOR NO KEY UPDATE OF c SKIP LOCKED
	), stored AS (
		UPDATE clusters c
		SET status = ($3::jsonb[])[array_position($1, c.id)], status_dirty = false, recheck_at = ($4::timestamptz[])[array_position($1, c.id)],
		    registry_version = ($8::bigint[])[array_position($1, c.id)],
		    resource_version = c.resource_version + ($5::boolean[])[array_position($1, c.id)]::int
		WHERE c.id = ANY (ARRAY(SELECT id FROM current))
		RETURNING c.id, c.resource_version
	), calm AS (
		DELETE FROM stale_statuses q WHERE q.cluster_id = ANY (ARRAY(SELECT id FROM stored))
	), pulled AS (
		UPDATE reconciliation_schedule s
		SET next_reconcile_at = now() + ($7::interval[])[array_position($1, s.cluster_id)], reactive = false, updated_at = now()
		WHERE s.cluster_id = ANY (ARRAY(SELECT id FROM stored)) AND ($6::boolean[])[array_position($1, s.cluster_id)]
		  AND s.next_reconcile_at > now() + ($7::interval[])[array_position($1, s.cluster_id)]
	)
	SELECT id, resource_version FROM stored, ` + laxCommit

// StoreStatuses stores calculated statuses in one statement and returns the resource
// versions of those that were stored, by id. One that is not among them has
// changed since its snapshot, and is still marked dirty.
func (s *statements) StoreStatuses(ctx context.Context, list []NewStatus) (map[string]int64, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	rows, err := s.db.q.Query(ctx, s.sql(s.db.storeStatus), statusArrays(list)...)
	if err != nil {
		return nil, translate("store statuses", err)
	}
	versions := make(map[string]int64, len(list))
	var (
		id      string
		version int64
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &version}, func() error {
		versions[id] = version
		return nil
	})
	return versions, translate("store statuses", err)
}

// statusArrays turns rows into the columns that unnest takes.
func statusArrays(list []NewStatus) []any {
	n := len(list)
	var (
		ids       = make([]string, n)
		versions  = make([]int64, n)
		statuses  = make([][]byte, n)
		rechecks  = make([]*time.Time, n)
		moved     = make([]bool, n)
		registry  = make([]int64, n)
		attention = make([]bool, n)
		pulls     = make([]time.Duration, n)
	)
	for i, s := range list {
		ids[i], versions[i], statuses[i] = s.ID, s.ResourceVersion, s.Status
		moved[i], registry[i], attention[i], pulls[i] = s.Moved, s.RegistryVersion, s.Attention, s.Pull
		if !s.RecheckAt.IsZero() {
			rechecks[i] = &s.RecheckAt
		}
	}
	return []any{ids, versions, statuses, rechecks, moved, attention, pulls, registry}
}

const staleStatuses = `
	WITH found AS MATERIALIZED ( -- by id: an index of the living ones would be walked
		SELECT * FROM clusters WHERE id = ANY (ARRAY(
			(SELECT cluster_id FROM stale_statuses LIMIT $1)
			UNION
			(SELECT id FROM clusters WHERE recheck_at <= now() AND deleted_at IS NULL ORDER BY recheck_at LIMIT $1)
			UNION
			(SELECT id FROM clusters WHERE registry_version > 0 AND registry_version < ` + registryVersion + ` AND deleted_at IS NULL
			 ORDER BY registry_version LIMIT $1)
			LIMIT $1))
	)
	SELECT ` + snapshotColumns + ` FROM found c WHERE c.deleted_at IS NULL`

// StaleStatuses returns up to limit resources whose status must be calculated: those
// with new facts, and those whose deadline has passed.
func (s *statements) StaleStatuses(ctx context.Context, limit int) ([]*Snapshot, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	list, err := collect(ctx, s.db.q, s.scanSnapshot, s.sql(staleStatuses), limit)
	return list, translate("find stale statuses", err)
}
