package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/test/fault/history"
)

// awaitDeliveries waits until the subscriber was given every change that the outbox has.
func (w *world) awaitDeliveries(ctx context.Context) error {
	events, err := rows[string](ctx, w, pgx.RowTo[string], `SELECT id::text FROM outbox WHERE NOT wake AND published_at IS NOT NULL`)
	if err != nil {
		return err
	}
	_ = until(ctx, "the subscriber", patience, func() bool { return w.record.delivered(events) }) // The checker says what is missing.
	return ctx.Err()
}

// rows reads past the service.
func rows[T any](ctx context.Context, w *world, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	found, err := w.db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the database: %w", err)
	}
	return pgx.CollectRows(found, scan)
}

// collect puts on record what the database has in the end.
func (w *world) collect(ctx context.Context) (err error) {
	var h history.History
	h.Resources, err = rows[history.Resource](ctx, w, pgx.RowToStructByPos[history.Resource], `
		SELECT 'cluster', id::text, name, '', platform, generation, resource_version, deletion_timestamp, deleted_at, forced_by <> ''
		FROM clusters
		UNION ALL
		SELECT 'nodepool', id::text, name, cluster_id::text, platform, generation, resource_version, deletion_timestamp, deleted_at,
		       forced_by <> ''
		FROM nodepools`)
	if err != nil {
		return err
	}
	h.Revisions, err = rows[history.Revision](ctx, w, pgx.RowToStructByPos[history.Revision], `
		SELECT id::text, generation, coalesce(spec ->> 'mark', '') FROM (
			SELECT id, generation, spec FROM clusters UNION ALL SELECT id, generation, spec FROM nodepools
			UNION ALL SELECT cluster_id, generation, spec FROM cluster_revisions
			UNION ALL SELECT nodepool_id, generation, spec FROM nodepool_revisions) r`)
	if err != nil {
		return err
	}
	h.Outbox, err = rows[history.Queued](ctx, w, pgx.RowToStructByPos[history.Queued], `
		SELECT seq, id::text, type, resource_id::text, generation, reason, published_at IS NOT NULL FROM outbox ORDER BY seq`)
	if err != nil {
		return err
	}
	h.Reports, err = rows[history.Stored](ctx, w, pgx.RowToStructByPos[history.Stored], `
		SELECT cluster_id::text, controller_name, observed_generation FROM controller_status
		UNION ALL SELECT nodepool_id::text, controller_name, observed_generation FROM nodepool_controller_status`)
	if err != nil {
		return err
	}
	w.record.mu.Lock()
	defer w.record.mu.Unlock()
	w.record.h.Resources, w.record.h.Revisions, w.record.h.Outbox, w.record.h.Reports = h.Resources, h.Revisions, h.Outbox, h.Reports
	return nil
}
