package main

// The bare statements: the least SQL that does what an operation does, on the same tables
// with the same indexes and triggers. Both baselines run these, and nothing of the
// service is in them: no outcome, no precondition, no schedule, no stale statuses.
const (
	bareColumns = `id, name, description, created_by, generation, resource_version, labels, spec, status, created_at, updated_at`

	// $1: the id.
	bareGet = `SELECT ` + bareColumns + ` FROM clusters WHERE id = $1 AND deleted_at IS NULL`

	// A page and its bounded count, in one round trip.
	bareCount = `SELECT count(*) FROM (SELECT FROM clusters WHERE deleted_at IS NULL LIMIT 1001) m`
	barePage  = `SELECT ` + bareColumns + ` FROM clusters WHERE deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 50`

	// $1: id, $2: controller, $3: conditions, $4: metadata. The trigger marks the cluster.
	bareReport = `INSERT INTO controller_status (cluster_id, controller_name, conditions, metadata)
		VALUES ($1, $2, $3::jsonb, $4::jsonb)
		ON CONFLICT (cluster_id, controller_name) DO UPDATE
		SET conditions = excluded.conditions, metadata = excluded.metadata, stored_at = excluded.stored_at`

	// $1: name, $2: owner, $3: labels, $4: spec. The trigger adds the place in the schedule.
	bareCreate = `WITH c AS (
			INSERT INTO clusters (name, created_by, labels, spec) VALUES ($1, $2, $3::jsonb, $4::jsonb) RETURNING *
		), e AS (
			INSERT INTO outbox (id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by, metadata)
			SELECT gen_random_uuid(), 'cluster', id, id, 'cluster.created', 'created', false, generation, platform, created_by, '{}' FROM c
		)
		SELECT ` + bareColumns + ` FROM c`
)
