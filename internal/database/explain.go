package database

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/models"
)

// reportsInWords are reportFacts with what the controllers say for people.
const reportsInWords = `
	SELECT json_agg(json_build_object(` + factsOfReport + `, 'conditions', s.conditions, 'last_error', s.last_error))
	FROM controller_status s WHERE s.cluster_id = c.id`

// explainResource has all from one moment. Every resource has its place in the schedule.
const explainResource = `
	SELECT ` + factColumns + `, coalesce((` + reportsInWords + `), '[]'), q.next_reconcile_at, q.enabled, q.reactive
	FROM clusters c JOIN reconciliation_schedule q ON q.cluster_id = c.id
	WHERE c.id = $1 AND c.deleted_at IS NULL AND ($2 = '' OR c.created_by = $2)`

// Explain reads a living resource with its reports, their messages among them, whether or not its
// status is stale, and its place in the schedule; NOT_FOUND as for Get.
func (s *statements) Explain(ctx context.Context, id, owner string) (*Snapshot, models.Place, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	var place models.Place
	scan := func(row pgx.CollectableRow) (*Snapshot, error) {
		return s.scanWith(row, &place.Due, &place.Enabled, &place.Reactive)
	}
	snap, err := one(ctx, s.db.q, scan, s.sql(explainResource), id, owner)
	return snap, place, s.notFound(id, "explain", err)
}
