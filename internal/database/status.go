package database

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// storeReport is one call of a function of the schema (migrations/00009_lifecycle.sql), which
// reads, compares, locks, stores and wakes, and does no more of it than the report asks for.
const storeReport = `
	SELECT outcome, coalesce(observed, 0), $1::uuid AS in_cluster
	FROM store_report($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`

// heartbeatEvery is how often an equal report is written down.
const heartbeatEvery = 30 * time.Second

// StoreReport stores a normalized report and says whether it was applied. debounce is how
// soon a report that moves something wakes everybody; 0 for never. NOT_FOUND for a
// resource that never was, INVALID_FIELD for a generation that does not exist yet.
func (s *statements) StoreReport(
	ctx context.Context, id string, r v1.StatusReport, debounce time.Duration, requestID string,
) (v1.ReportResult, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	args, err := reportArgs(id, r, debounce, requestID)
	if err != nil {
		return v1.ReportResult{}, err
	}
	o, err := write(ctx, s.db, pgx.RowToStructByPos[reportOutcome], s.sql(storeReport), args...)
	if err != nil {
		return v1.ReportResult{}, translate("store report", err)
	}
	return o.result(s.kind, id, r.ControllerName)
}

func reportArgs(id string, r v1.StatusReport, debounce time.Duration, requestID string) ([]any, error) {
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
	details, err := json.Marshal(reportDetails(r))
	if err != nil {
		return nil, wrap("encode the details", err)
	}
	content, signal := models.Content(r), models.Signal(r)
	return []any{
		id, r.ControllerName, r.ObservedGeneration, conditions, []byte(r.Metadata.String()), lastError,
		string(models.AvailableStatus(r)), models.SaysFailed(r), errorType, content[:], signal[:], heartbeatEvery, debounce,
		requestID, details,
	}, nil
}

// reportDetails is what the timeline keeps of a report.
func reportDetails(r v1.StatusReport) any {
	d := struct {
		ControllerName string                 `json:"controller_name"`
		Conditions     []v1.ReportedCondition `json:"conditions"`
		ErrorType      string                 `json:"error_type,omitempty"`
		ErrorCode      string                 `json:"error_code,omitempty"`
	}{ControllerName: r.ControllerName}
	var lastError *v1.ReportError
	if d.Conditions, lastError = models.Gist(r); lastError != nil {
		d.ErrorType, d.ErrorCode = lastError.ErrorType, lastError.ErrorCode
	}
	return d
}

// reportOutcome is what store_report returns.
type reportOutcome struct {
	Outcome  string
	Observed int64
	// Cluster is nil for a node pool that never was.
	Cluster *string
}

func (o reportOutcome) result(kind models.Kind, id, controller string) (v1.ReportResult, error) {
	res := v1.ReportResult{Message: "status stored", ControllerName: controller, ObservedGeneration: o.Observed, Applied: true}
	if o.Cluster != nil {
		ref := models.Ref{Kind: kind, ClusterID: *o.Cluster, ID: id}
		res.ClusterID, res.NodePoolID = ref.ClusterID, ref.NodePoolID()
	}
	switch o.Outcome {
	case "stored", "equal":
	case "stale":
		res.Applied, res.Reason, res.Message = false, v1.NotAppliedStale, "a report of a newer generation is stored"
	case "deleted":
		res.Applied, res.Reason, res.Message = false, notApplied(kind), "the "+kind.Noun()+" is deleted; nothing was stored"
	case "retired":
		res.Applied, res.Reason, res.Message = false, v1.NotAppliedRetired, "the controller is retired; nothing was stored"
	case "ahead":
		return v1.ReportResult{}, models.Invalid(v1.CodeInvalidField, models.NoSuchGeneration(o.Observed))
	case "missing":
		return v1.ReportResult{}, models.NotFound(kind, id)
	default:
		return v1.ReportResult{}, fmt.Errorf("store report: unknown outcome %q", o.Outcome)
	}
	return res, nil
}

func notApplied(kind models.Kind) string {
	if kind == models.KindNodePool {
		return v1.NotAppliedNodePoolDeleted
	}
	return v1.NotAppliedDeleted
}

const dropReport = `
	WITH cluster AS (
		SELECT id FROM clusters WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE
	), dropped AS (
		DELETE FROM controller_status WHERE cluster_id = (SELECT id FROM cluster) AND controller_name = $2 RETURNING true
	)
	SELECT EXISTS (SELECT FROM cluster), EXISTS (SELECT FROM dropped)`

// DropReport forgets what a controller has reported on a living resource, so that it is no
// longer expected there; NOT_FOUND when there is no such resource, or no report.
func (s *statements) DropReport(ctx context.Context, id, controller string) error {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	type outcome struct{ Found, Dropped bool }
	o, err := write(ctx, s.db, pgx.RowToStructByPos[outcome], s.sql(dropReport), id, controller)
	switch {
	case err != nil:
		return translate("drop report", err)
	case !o.Found:
		return models.NotFound(s.kind, id)
	case !o.Dropped:
		return models.NoReport(controller)
	}
	return nil
}

const readReports = `
	SELECT controller_name, observed_generation, conditions, metadata, last_error, updated_at
	FROM controller_status WHERE cluster_id = $1 ORDER BY controller_name`

// Reports returns the stored reports on a resource, in the order of the controllers' names.
func (s *statements) Reports(ctx context.Context, of models.Ref) ([]v1.ControllerStatus, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	list, err := collect(ctx, s.db.q, scanReport, s.sql(readReports), of.ID)
	for i := range list {
		list[i].ClusterID, list[i].NodePoolID = of.ClusterID, of.NodePoolID()
	}
	return list, translate("read reports", err)
}

func scanReport(row pgx.CollectableRow) (s v1.ControllerStatus, err error) {
	err = row.Scan(&s.ControllerName, &s.ObservedGeneration, &s.Conditions,
		(*[]byte)(&s.Metadata), &s.LastError, &s.LastUpdated)
	return s, err
}
