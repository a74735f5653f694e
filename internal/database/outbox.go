package database

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

const deletionPending = v1.ReasonDeletionPending

// insertEvent appends the event of a change to the outbox. It is part of the statement
// that makes the change, whose row is in "changed" and whose arguments begin at $7.
// The number is drawn as that row comes out of its table, so while it is locked.
const insertEvent = `
	INSERT INTO outbox (id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by,
		metadata, request_id, traceparent)
	SELECT $1, 'cluster', c.id, c.id, $2, $3, false, c.generation, c.platform, c.created_by, $4, $5, $6
	FROM changed c`

// insertFirstEvent is insertEvent for a resource that is made in this statement, under the lease that it is offered
// in $17 and $18. It needs no look at what else is to be published: nothing can come before the creation.
const insertFirstEvent = `
	INSERT INTO outbox (id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by,
		metadata, request_id, traceparent, claim, leased_until)
	SELECT $1, 'cluster', c.id, c.id, $2, $3, false, c.generation, c.platform, c.created_by, $4, $5, $6,
		$17::uuid, CASE WHEN $17::uuid IS NULL THEN '-infinity' ELSE clock_timestamp() + $18::interval END
	FROM changed c
	RETURNING seq, created_at`

func leaseArgs(l models.Lease) []any {
	if l.Claim == "" {
		return []any{nil, nil}
	}
	return []any{l.Claim, l.Length}
}

func eventArgs(e models.NewEvent) []any {
	return []any{e.ID, e.Type, e.Reason, e.Metadata, e.RequestID, e.Traceparent}
}

const wakeNow = `
	WITH changed AS (
		SELECT * FROM clusters
		WHERE id = $7 AND deleted_at IS NULL AND ($8 = '' OR created_by = $8)
		FOR NO KEY UPDATE
	)
	INSERT INTO outbox AS o (id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by,
		metadata, request_id, traceparent)
	SELECT $1, 'cluster', c.id, c.id, CASE WHEN c.deletion_timestamp IS NULL THEN $2 ELSE $9 END,
		CASE WHEN c.deletion_timestamp IS NULL THEN $3 ELSE '` + deletionPending + `' END,
		true, c.generation, c.platform, c.created_by, $4, $5, $6
	FROM changed c
	` + onWaitingWake + `
	RETURNING kind, cluster_id, resource_id`

// onWaitingWake makes a new wake-up take over the one that waits, so that no resource has
// two. With a new id: the old one may be on its way to Pub/Sub at this moment, read
// before the reason for this one arose, and must not be mistaken for it.
const onWaitingWake = `
	ON CONFLICT (resource_id) WHERE published_at IS NULL AND set_aside_at IS NULL AND wake
	DO UPDATE SET id = excluded.id, type = excluded.type, reason = excluded.reason, generation = excluded.generation,
		metadata = excluded.metadata, request_id = excluded.request_id, traceparent = excluded.traceparent, created_at = excluded.created_at,
		claim = NULL, leased_until = '-infinity', available_at = '-infinity'`

// WakeNow appends a wake-up that somebody asks for, which of a resource that is being deleted
// repeats the deletion, and returns whose it is; NOT_FOUND as for Get.
func (s *statements) WakeNow(ctx context.Context, id, owner string, e models.NewEvent) (models.Ref, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	args := append(eventArgs(e), id, owner, s.kind.Event(models.Deleted))
	ref, err := write(ctx, s.db, pgx.RowToStructByPos[models.Ref], s.sql(wakeNow), args...)
	return ref, s.notFound(id, "wake", err)
}

// claimEvents takes a lease on events, changes before wake-ups. Of the changes of a
// resource only the oldest can be claimed, so the next one is out of reach until that
// one is published: this is what keeps their order among any number of relays.
//
// What has failed comes after what has not been tried: its available_at is later.
//
// The oldest of a resource is asked for as the first from that resource on, which only the index of the queue can answer:
// by the resource and the oldest number, a plan that was made while nothing was there walked all events by their numbers.
const claimEvents = `
	WITH changes AS (
		SELECT o.seq FROM outbox o
		WHERE o.published_at IS NULL AND o.set_aside_at IS NULL AND NOT o.wake AND o.available_at <= now() AND o.leased_until <= now()
		  AND o.seq = (
			SELECT q.seq FROM outbox q
			WHERE q.resource_id >= o.resource_id AND q.published_at IS NULL AND q.set_aside_at IS NULL AND NOT q.wake
			ORDER BY q.resource_id, q.seq LIMIT 1)
		ORDER BY o.available_at, o.seq LIMIT $3
		FOR UPDATE SKIP LOCKED
	), wakes AS (
		SELECT o.seq FROM outbox o
		WHERE o.published_at IS NULL AND o.set_aside_at IS NULL AND o.wake AND o.available_at <= now() AND o.leased_until <= now()
		ORDER BY o.available_at, o.seq LIMIT $3
		FOR UPDATE SKIP LOCKED
	)
	UPDATE outbox o SET claim = $1, leased_until = now() + $2::interval
	FROM ` + laxCommit + `
	WHERE o.seq = ANY (ARRAY(SELECT seq FROM changes UNION ALL SELECT seq FROM wakes LIMIT $3))
	RETURNING o.seq, o.id, o.kind, o.cluster_id, o.resource_id, o.type, o.reason, o.wake, o.generation, o.platform, o.created_by,
		o.metadata, o.request_id, o.traceparent, o.created_at, o.attempts, o.claim`

// ClaimEvents leases up to limit unpublished events to a relay; claim, a UUID, is its
// name for the lease. Whatever is neither marked nor released by the end of the lease
// can be claimed again.
func (db *DB) ClaimEvents(ctx context.Context, claim string, lease time.Duration, limit int) ([]models.QueuedEvent, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	events, err := collect(ctx, db.q, scanEvent, claimEvents, claim, lease, limit)
	return events, translate("claim events", err)
}

func scanEvent(row pgx.CollectableRow) (models.QueuedEvent, error) {
	var (
		q        models.QueuedEvent
		resource string
		e        = &q.Event
	)
	err := row.Scan(&q.Seq, &e.ID, &q.Kind, &e.ClusterID, &resource, &e.Type, &e.Reason, &q.Wake, &e.Generation, &q.Platform,
		&q.CreatedBy, &e.Metadata, &q.RequestID, &q.Traceparent, &e.Timestamp, &q.Attempts, &q.Claim)
	e.Source = v1.Source
	if q.Kind != models.KindCluster {
		e.NodePoolID = resource
	}
	return q, err
}

// eventDetails is what the timeline keeps of an event d.
const eventDetails = `jsonb_build_object('event_id', d.id, 'event_type', d.type, 'reason', d.reason) || d.metadata`

// markPublished writes changes and their publication, and wake-ups that somebody has asked for,
// down in the timeline. It lets the changes of a resource go on that a failure of the event before
// them had put off. Events that never failed, nearly all, put nothing off and are not asked.
//
// Rows are locked in the order of their resources, as wake-ups are when they take each other over.
const markPublished = `
	WITH held AS (
		SELECT o.seq FROM outbox o WHERE o.seq = ANY ($1) AND o.id = ANY ($2) AND o.published_at IS NULL
		ORDER BY o.resource_id, o.seq FOR UPDATE
	), done AS (
		UPDATE outbox o SET published_at = clock_timestamp(), claim = NULL
		FROM ` + laxCommit + `
		WHERE o.seq = ANY (ARRAY(SELECT seq FROM held))
		RETURNING o.*
	), written AS (
		INSERT INTO timeline (resource_id, at, id, what, generation, request_id, details)
		SELECT d.resource_id, t.at, t.id, t.what, d.generation, d.request_id, ` + eventDetails + `
		FROM done d, LATERAL (VALUES ('change', d.created_at, d.id), ('publication', d.published_at, gen_random_uuid())) t (what, at, id)
		WHERE NOT (d.wake AND ` + unasked + `)
		ON CONFLICT DO NOTHING
	), freed AS (
		UPDATE outbox o SET available_at = '-infinity'
		WHERE o.published_at IS NULL AND o.set_aside_at IS NULL AND NOT o.wake
		  AND o.available_at IS DISTINCT FROM '-infinity' AND o.seq <> ALL ($1)
		  AND o.resource_id = ANY (ARRAY(SELECT resource_id FROM done WHERE NOT wake AND available_at <> '-infinity'))
	)
	SELECT EXISTS (
		SELECT FROM outbox o
		WHERE o.published_at IS NULL AND o.set_aside_at IS NULL AND NOT o.wake AND o.seq <> ALL ($1)
		  AND o.resource_id = ANY (ARRAY(SELECT resource_id FROM done WHERE NOT wake)))`

// MarkPublished marks events as published, and lets the changes that wait for each be
// claimed at once, even if a failure had put them off. It reports whether there are such.
// An event whose row has meanwhile been given to a newer wake-up is not marked: that one is still to be published.
func (db *DB) MarkPublished(ctx context.Context, events []models.QueuedEvent) (more bool, err error) {
	seqs, ids := make([]int64, len(events)), make([]string, len(events))
	for i, e := range events {
		seqs[i], ids[i] = e.Seq, e.Event.ID
	}
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	more, err = one(ctx, db.q, pgx.RowTo[bool], markPublished, seqs, ids)
	return more, translate("mark events published", err)
}

// releaseEvents puts off what waits behind a failed event until the last of the batch is tried
// again: sooner than that it cannot be claimed, unless its own is published, which lets it go on.
const releaseEvents = `
	WITH held AS (
		SELECT o.seq FROM outbox o WHERE o.seq = ANY ($2::bigint[]) AND o.claim = $1 AND o.published_at IS NULL
		ORDER BY o.resource_id, o.seq FOR UPDATE
	), released AS (
		UPDATE outbox o
		SET claim = NULL, leased_until = '-infinity', last_error = ($3::text[])[array_position($2, o.seq)],
		    available_at = now() + ($4::interval[])[array_position($2, o.seq)],
		    attempts = o.attempts + ($5::boolean[])[array_position($2, o.seq)]::int,
		    set_aside_at = CASE WHEN o.attempts + ($5::boolean[])[array_position($2, o.seq)]::int >= $6 THEN clock_timestamp() END
		FROM ` + laxCommit + `
		WHERE o.seq = ANY (ARRAY(SELECT seq FROM held))
		RETURNING o.resource_id, o.wake, o.available_at, o.set_aside_at
	), successors AS (
		UPDATE outbox o
		SET available_at = CASE WHEN o.resource_id = ANY (ARRAY(SELECT resource_id FROM released WHERE set_aside_at IS NOT NULL)) THEN '-infinity'
			ELSE (SELECT max(available_at) FROM released) END
		WHERE o.resource_id = ANY (ARRAY(SELECT resource_id FROM released WHERE NOT wake)) AND o.claim IS DISTINCT FROM $1
		  AND o.published_at IS NULL AND o.set_aside_at IS NULL AND NOT o.wake
	)
	SELECT count(set_aside_at)::int FROM released`

// ReleaseEvents gives back events of a claim that could not be published, each to be
// tried again after its RetryIn. Refused ones count a try, and are set aside after
// models.MaxAttempts of them; how many were is returned. The changes that wait for a
// failed one are put off with it, so that a claim in an outage does not read them all.
// It was the oldest of its resource, or it could not have been claimed: the others come after it.
func (db *DB) ReleaseEvents(ctx context.Context, claim string, failures []models.FailedEvent) (setAside int, err error) {
	n := len(failures)
	seqs, errs, pauses, refused := make([]int64, n), make([]string, n), make([]time.Duration, n), make([]bool, n)
	for i, f := range failures {
		seqs[i], errs[i], pauses[i], refused[i] = f.Seq, f.Error, f.RetryIn, f.Refused
	}
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	setAside, err = one(ctx, db.q, pgx.RowTo[int], releaseEvents, claim, seqs, errs, pauses, refused, models.MaxAttempts)
	return setAside, translate("release events", err)
}

// PurgePublished removes up to limit events that were published longer ago than age.
func (db *DB) PurgePublished(ctx context.Context, age time.Duration, limit int) (int, error) {
	return db.exec(ctx, "purge published events", `
		DELETE FROM outbox WHERE seq IN (
			SELECT seq FROM outbox WHERE published_at < now() - $1::interval
			ORDER BY published_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, age, limit)
}

// countBacklog asks for changes and wake-ups apart: what is unpublished has an index for each.
const countBacklog = `
	WITH waiting AS (
		SELECT created_at FROM outbox WHERE published_at IS NULL AND set_aside_at IS NULL AND NOT wake
		UNION ALL SELECT created_at FROM outbox WHERE published_at IS NULL AND set_aside_at IS NULL AND wake
	)
	SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0),
	       (SELECT count(*) FROM outbox WHERE set_aside_at IS NOT NULL),
	       (SELECT count(*) FROM stale_statuses) + (SELECT count(*) FROM stale_nodepool_statuses),
	       (SELECT coalesce(jsonb_object_agg(phase, n), '{}') FROM (
			SELECT phase, count(*) AS n FROM clusters WHERE deleted_at IS NULL GROUP BY phase) p),
	       (SELECT coalesce(jsonb_object_agg(phase, n), '{}') FROM (
			SELECT phase, count(*) AS n FROM nodepools WHERE deleted_at IS NULL GROUP BY phase) p)
	FROM waiting`

// Backlog counts what waits, for metrics.
func (db *DB) Backlog(ctx context.Context) (models.Backlog, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	var (
		b   models.Backlog
		age float64
	)
	err := db.pool.QueryRow(ctx, countBacklog).Scan(&b.Unpublished, &age, &b.SetAside, &b.DirtyRows, &b.ClustersByPhase, &b.NodePoolsByPhase)
	b.OldestAge = time.Duration(age * float64(time.Second))
	return b, translate("count the backlog", err)
}
