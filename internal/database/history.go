package database

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// readRevisions begins with the present generation, which is in the resource itself. $2 is the
// generation before which to begin; 0 for the newest.
const readRevisions = `
	SELECT generation, created_by, request_id, created_at, spec FROM (
		SELECT generation, generation_by AS created_by, generation_request_id AS request_id, generation_started_at AS created_at, spec
		FROM clusters WHERE id = $1
		UNION ALL
		(SELECT generation, created_by, request_id, created_at, spec FROM cluster_revisions
		 WHERE cluster_id = $1 AND generation < $2 ORDER BY generation DESC LIMIT $3)
	) r
	WHERE generation < $2 ORDER BY generation DESC LIMIT $3`

// anyGeneration is later than all.
const anyGeneration = int64(1) << 62

// Revisions returns up to limit generations of a resource with their specs, the newest first, from
// before one of them; 0 begins with the present one.
func (s *statements) Revisions(ctx context.Context, id string, before int64, limit int) ([]models.Revision, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	if before == 0 {
		before = anyGeneration
	}
	list, err := collect(ctx, s.db.q, scanRevision, s.sql(readRevisions), id, before, limit)
	return list, translate("read revisions", err)
}

// Revision returns a generation of a resource; NOT_FOUND when it is not kept.
func (s *statements) Revision(ctx context.Context, id string, generation int64) (models.Revision, error) {
	list, err := s.Revisions(ctx, id, generation+1, 1)
	if err == nil && (len(list) == 0 || list[0].Generation != generation) {
		err = models.NoSuchRevision(generation)
	}
	if err != nil {
		return models.Revision{}, err
	}
	return list[0], nil
}

func scanRevision(row pgx.CollectableRow) (r models.Revision, err error) {
	return r, row.Scan(&r.Generation, &r.CreatedBy, &r.RequestID, &r.CreatedAt, (*[]byte)(&r.Spec))
}

// readTimeline takes what is not published yet from the outbox, and all else from where it was
// written down. $2 and $3 are the moment before which to begin.
const readTimeline = `
	WITH waiting AS (
		SELECT * FROM outbox WHERE resource_id = $1 AND published_at IS NULL AND set_aside_at IS NULL AND NOT wake
		UNION ALL
		SELECT * FROM outbox WHERE resource_id = $1 AND published_at IS NULL AND set_aside_at IS NULL AND wake AND ` + unasked + ` IS FALSE
		UNION ALL
		SELECT * FROM outbox WHERE resource_id = $1 AND set_aside_at IS NOT NULL
	)
	(SELECT at, id, what, generation, request_id, details FROM timeline
	 WHERE resource_id = $1 AND (at, id) < ($2, $3) ORDER BY at DESC, id DESC LIMIT $4)
	UNION ALL
	SELECT d.created_at, d.id, '` + v1.TimelineChange + `', d.generation, d.request_id, ` + eventDetails + `
	FROM waiting d WHERE (d.created_at, d.id) < ($2, $3)
	ORDER BY at DESC, id DESC LIMIT $4`

// lastID is the greatest UUID.
const lastID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

// Timeline returns up to limit things that have happened to a resource, the latest first, from
// before a moment; nil for now.
func (db *DB) Timeline(ctx context.Context, id string, before *models.Moment, limit int) ([]v1.TimelineEntry, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	var (
		at any = "infinity"
		of     = lastID
	)
	if before != nil {
		at, of = before.At, before.ID
	}
	list, err := collect(ctx, db.q, scanEntry, readTimeline, id, at, of, limit)
	return list, translate("read the timeline", err)
}

func scanEntry(row pgx.CollectableRow) (e v1.TimelineEntry, err error) {
	var (
		at         time.Time
		id, what   string
		generation int64
		request    string
	)
	err = row.Scan(&at, &id, &what, &generation, &request, &e) // The details; the rest is beside them.
	e.ID, e.Time, e.What, e.Generation, e.RequestID = id, at, what, generation, request
	return e, err
}

const purgeRevisions = `
	DELETE FROM cluster_revisions WHERE (cluster_id, generation) IN (
		SELECT cluster_id, generation FROM cluster_revisions WHERE replaced_at < now() - $1::interval
		ORDER BY replaced_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// PurgeRevisions removes up to limit specs that were replaced longer ago than age.
func (r *Resources) PurgeRevisions(ctx context.Context, age time.Duration, limit int) (int, error) {
	return r.exec(ctx, "purge revisions", r.sql(purgeRevisions), age, limit)
}

// PurgeTimeline removes up to limit entries that are older than age.
func (db *DB) PurgeTimeline(ctx context.Context, age time.Duration, limit int) (int, error) {
	return db.exec(ctx, "purge the timeline", `
		DELETE FROM timeline WHERE (resource_id, at, id) IN (
			SELECT resource_id, at, id FROM timeline WHERE at < now() - $1::interval LIMIT $2 FOR UPDATE SKIP LOCKED)`, age, limit)
}
