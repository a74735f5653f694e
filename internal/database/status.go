package database

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// storeReport stores a report, or finds that there is nothing to store.
//
//   - facts: the cluster and what this controller said last, as they stand.
//   - heartbeat: an equal report says only that the controller lives, now and then.
//   - target: for any other, the cluster's row is locked, which orders the reports on it,
//     and read again as it is by then.
//   - report: the upsert, which compares with the row that is there by then. It takes no
//     report of an older generation. A trigger marks the cluster dirty.
//   - wake: a report that moved something pulls the next wake-up forward. Each such
//     wake-up doubles the delay; a first Available=True at a generation resets it.
const storeReport = `
	WITH facts AS (
		SELECT c.id, c.generation, c.deleted_at IS NOT NULL AS deleted,
		       CASE WHEN $3::bigint = 0 THEN c.generation ELSE $3 END AS observed,
		       s.observed_generation AS stored, coalesce(s.available_generation, 0) AS available_before,
		       coalesce(s.content = $8 AND s.metadata = $5
		           AND s.observed_generation = CASE WHEN $3 = 0 THEN c.generation ELSE $3 END, false) AS equal
		FROM clusters c LEFT JOIN controller_status s ON s.cluster_id = c.id AND s.controller_name = $2
		WHERE c.id = $1
	), heartbeat AS (
		UPDATE controller_status s SET updated_at = clock_timestamp()
		FROM facts f
		WHERE f.equal AND NOT f.deleted AND s.cluster_id = f.id AND s.controller_name = $2 AND s.updated_at < now() - $10::interval
	), target AS (
		SELECT c.id, c.generation FROM clusters c JOIN facts f USING (id)
		WHERE NOT f.equal AND c.deleted_at IS NULL AND $3 <= c.generation
		FOR NO KEY UPDATE OF c
	), report AS (
		INSERT INTO controller_status AS s (
			cluster_id, controller_name, observed_generation, conditions, metadata, last_error, available, content, signal,
			failed, error_type, available_generation, updated_at, stored_at, moved_at, created_at, available_changed_at)
		SELECT t.id, $2, t.observed, $4, $5, $6, $7, $8, $9, $12, $13,
		       CASE WHEN $7 = 'True' THEN t.observed ELSE 0 END, t.at, t.at, t.at, t.at, t.at
		FROM (SELECT id, CASE WHEN $3 = 0 THEN generation ELSE $3 END AS observed, clock_timestamp() AS at FROM target) t
		ON CONFLICT (cluster_id, controller_name) DO UPDATE SET
			observed_generation = excluded.observed_generation,
			conditions = excluded.conditions, metadata = excluded.metadata, last_error = excluded.last_error,
			available = excluded.available, failed = excluded.failed, error_type = excluded.error_type,
			content = excluded.content, signal = excluded.signal,
			updated_at = excluded.updated_at, stored_at = excluded.stored_at,
			available_generation = greatest(s.available_generation, excluded.available_generation),
			available_changed_at = CASE WHEN s.available = excluded.available
				THEN s.available_changed_at ELSE excluded.available_changed_at END,
			moved_at = CASE WHEN s.signal = excluded.signal AND s.metadata = excluded.metadata
					AND s.observed_generation = excluded.observed_generation
				THEN s.moved_at ELSE excluded.moved_at END
		WHERE s.observed_generation < excluded.observed_generation
		   OR s.observed_generation = excluded.observed_generation
		      AND NOT (s.content = excluded.content AND s.metadata = excluded.metadata)
		RETURNING s.observed_generation, s.moved_at = s.stored_at AS moved, s.available_generation
	), pull AS (
		SELECT f.id, first, now() + $11::interval * power(2, CASE WHEN first THEN 0 ELSE least(s.reactive_wakes, 20) END) AS at
		FROM facts f CROSS JOIN report r JOIN reconciliation_schedule s ON s.cluster_id = f.id,
		     LATERAL (SELECT f.available_before < r.available_generation AS first) a
		WHERE r.moved AND $11::interval > interval '0'
	), wake AS (
		UPDATE reconciliation_schedule s
		SET reactive_wakes = CASE WHEN p.first THEN 0 ELSE s.reactive_wakes END,
		    next_reconcile_at = least(s.next_reconcile_at, p.at),
		    reactive = s.reactive OR s.next_reconcile_at > p.at,
		    updated_at = now()
		FROM pull p
		WHERE s.cluster_id = p.id
	)
	SELECT f.deleted, f.generation, f.observed, f.equal, coalesce(f.stored > f.observed, false),
	       r.observed_generation IS NOT NULL, coalesce(r.observed_generation, f.observed)
	FROM facts f LEFT JOIN report r ON true`

// heartbeatEvery is how often an equal report is written down.
const heartbeatEvery = 30 * time.Second

// reportOutcome is a row of storeReport.
type reportOutcome struct {
	deleted    bool
	generation int64
	asked      int64 // the generation that the report is of
	equal      bool
	stale      bool
	stored     bool
	observed   int64
}

func scanOutcome(row pgx.CollectableRow) (o reportOutcome, err error) {
	err = row.Scan(&o.deleted, &o.generation, &o.asked, &o.equal, &o.stale, &o.stored, &o.observed)
	return o, err
}

// StoreReport stores a normalized report in one statement and says whether it was
// applied. debounce is how soon a report that moves something wakes everybody; 0 for
// never. NOT_FOUND for a cluster that never was, INVALID_FIELD for a generation that
// does not exist yet.
func (db *DB) StoreReport(ctx context.Context, id string, r v1.StatusReport, debounce time.Duration) (v1.ReportResult, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	args, err := reportArgs(id, r, debounce)
	if err != nil {
		return v1.ReportResult{}, err
	}
	for {
		o, err := one(ctx, db.pool, scanOutcome, storeReport, args...)
		if err != nil {
			return v1.ReportResult{}, notFound(id, "store report", err)
		}
		if o.settled() {
			return o.result(id, r.ControllerName)
		}
		// Another report of this controller came between the reading of the facts and the
		// upsert. Compare with that one.
	}
}

func reportArgs(id string, r v1.StatusReport, debounce time.Duration) ([]any, error) {
	conditions, err := json.Marshal(r.Conditions)
	if err != nil {
		return nil, wrap("encode conditions", err)
	}
	var (
		lastError []byte
		errorType *string
	)
	if r.LastError != nil {
		errorType = &r.LastError.ErrorType
		if lastError, err = json.Marshal(r.LastError); err != nil {
			return nil, wrap("encode last_error", err)
		}
	}
	content, signal := models.Content(r), models.Signal(r)
	return []any{
		id, r.ControllerName, r.ObservedGeneration, conditions, []byte(r.Metadata.String()), lastError,
		string(models.AvailableStatus(r)), content[:], signal[:], heartbeatEvery, debounce, models.SaysFailed(r), errorType,
	}, nil
}

// settled reports whether the statement saw one state of affairs throughout.
func (o reportOutcome) settled() bool {
	return o.stored || o.deleted || o.equal || o.stale || o.asked > o.generation
}

func (o reportOutcome) result(id, controller string) (v1.ReportResult, error) {
	res := v1.ReportResult{
		Message: "status stored", ClusterID: id, ControllerName: controller, ObservedGeneration: o.observed, Applied: true,
	}
	switch {
	case o.deleted:
		res.Applied, res.Reason, res.Message = false, v1.NotAppliedDeleted, "the cluster is deleted; nothing was stored"
	case o.stored || o.equal:
	case o.asked > o.generation:
		return v1.ReportResult{}, models.Invalid(v1.CodeInvalidField, models.NoSuchGeneration(o.asked))
	default:
		res.Applied, res.Reason, res.Message = false, v1.NotAppliedStale, "a report of a newer generation is stored"
	}
	return res, nil
}

// ControllerStatuses returns the stored reports on a cluster, in the order of the controllers' names.
func (db *DB) ControllerStatuses(ctx context.Context, id string) ([]v1.ControllerStatus, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	list, err := collect(ctx, db.pool, scanControllerStatus, `
		SELECT cluster_id, controller_name, observed_generation, conditions, metadata, last_error, updated_at
		FROM controller_status WHERE cluster_id = $1 ORDER BY controller_name`, id)
	return list, translate("read reports", err)
}

func scanControllerStatus(row pgx.CollectableRow) (s v1.ControllerStatus, err error) {
	err = row.Scan(&s.ClusterID, &s.ControllerName, &s.ObservedGeneration, &s.Conditions,
		(*[]byte)(&s.Metadata), &s.LastError, &s.LastUpdated)
	return s, err
}
