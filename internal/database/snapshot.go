package database

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Snapshot is a resource as one statement saw it. When its cached status no longer
// holds, it comes with everything that a new one is calculated from.
type Snapshot struct {
	Resource *models.Resource
	// Stale says that the status must be calculated: facts came in, or its deadline passed.
	Stale bool
	// OfItself says that no fact about the resource made it stale: a deadline has passed, or the
	// registry of controllers has changed.
	OfItself bool
	// Now is the database's time; Reports are complete if Stale.
	Now     time.Time
	Reports []models.Report
	// DroppedAt is when a report was last dropped; nil for never.
	DroppedAt *time.Time
	// RegistryVersion is that of the registry of controllers at the time.
	RegistryVersion int64
	// Pools says that a cluster which is being deleted has node pools that are not gone yet.
	Pools bool
	// Event is that of the creation which this is the outcome of, if it was born under a lease.
	Event *models.QueuedEvent
}

// resourceColumns are the columns of a models.Resource, in the order that fields has.
const resourceColumns = `
	c.id, c.name, c.target_project_id, c.description, c.paused, c.deletion_protection, c.created_by,
	c.generation, c.resource_version, c.labels, c.spec, c.created_at, c.updated_at, c.deletion_timestamp,
	c.platform, c.generation_started_at, c.status, c.holders`

// factColumns are those of a Snapshot but for the reports.
const factColumns = resourceColumns + `,
	NOT c.status_dirty, now(), c.report_dropped_at, ` + registryVersion + `,
	c.deletion_timestamp IS NOT NULL AND c.deleted_at IS NULL ` + withPools

// snapshotColumns are those of a Snapshot.
const snapshotColumns = factColumns + `,
	CASE WHEN ` + isStale + ` THEN coalesce((` + reportFacts + `), '[]') END`

// isStale says that the stored status of c no longer holds, or may not: that of a deletion depends
// on others besides.
const isStale = `(c.status_dirty OR coalesce(c.recheck_at <= now(), false) OR c.registry_version < ` + registryVersion + `
	OR c.deletion_timestamp IS NOT NULL)`

// registryVersion is the version of the registry of controllers.
const registryVersion = `(SELECT version FROM registry WHERE one)`

// withPools adds to a condition that c has living node pools, which a node pool has not. It is put
// so that no index of the living ones seems to serve it.
const withPools = `AND EXISTS (SELECT FROM nodepools p WHERE p.cluster_id = c.id AND coalesce(p.deleted_at, 'infinity') = 'infinity')`

// reportFacts is what a status is calculated from, of all reports on a resource, in one
// value: not the reports themselves, which may be long.
const reportFacts = `
	SELECT json_agg(json_build_object(` + factsOfReport + `))
	FROM controller_status s WHERE s.cluster_id = c.id`

const factsOfReport = `
	'controller_name', s.controller_name, 'observed_generation', s.observed_generation,
	'available', s.available, 'failed', s.failed, 'error_type', s.error_type, 'first_at', s.created_at,
	'counted_at', coalesce(s.counted_at, s.stored_at), 'available_changed_at', s.available_changed_at`

// storedFacts is one element of reportFacts, or of reportsInWords.
type storedFacts struct {
	ControllerName     string             `json:"controller_name"`
	ObservedGeneration int64              `json:"observed_generation"`
	Available          v1.ConditionStatus `json:"available"`
	Failed             bool               `json:"failed"`
	ErrorType          *string            `json:"error_type"`
	FirstAt            time.Time          `json:"first_at"`
	CountedAt          time.Time          `json:"counted_at"`
	AvailableChangedAt time.Time          `json:"available_changed_at"`

	// What reportsInWords has besides.
	Conditions []v1.ReportedCondition `json:"conditions"`
	LastError  *v1.ReportError        `json:"last_error"`
}

// report returns the facts as a report that says only them, and the words if there are any.
func (s *storedFacts) report() models.Report {
	r := models.Report{
		ControllerName: s.ControllerName, ObservedGeneration: s.ObservedGeneration,
		FirstAt: s.FirstAt.UTC(), CountedAt: s.CountedAt.UTC(), AvailableChangedAt: s.AvailableChangedAt.UTC(),
		Conditions: s.Conditions, LastError: s.LastError,
	}
	if s.Conditions != nil {
		return r
	}
	if s.Available != "" {
		r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: v1.ConditionAvailable, Status: s.Available})
	}
	if s.Failed {
		r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: v1.ConditionFailed, Status: v1.ConditionTrue})
	}
	if s.ErrorType != nil {
		r.LastError = &v1.ReportError{ErrorType: *s.ErrorType}
	}
	return r
}

// fields returns where the columns of a resource go.
func (s *statements) fields(c *models.Resource) []any {
	own := &c.TargetProjectID
	if s.kind == models.KindNodePool {
		own = &c.ClusterID
	}
	return []any{
		&c.ID, &c.Name, own, &c.Description, &c.Paused, &c.DeletionProtection, &c.CreatedBy,
		&c.Generation, &c.ResourceVersion, (*labels)(&c.Labels), (*[]byte)(&c.Spec), &c.CreatedAt, &c.UpdatedAt, &c.DeletionTimestamp,
		&c.Platform, &c.GenerationStartedAt, (*[]byte)(&c.Status), &c.Holders,
	}
}

func (s *statements) scanResource(row pgx.CollectableRow) (*models.Resource, error) {
	c := &models.Resource{Kind: s.kind}
	return c, row.Scan(s.fields(c)...)
}

func (s *statements) scanSnapshot(row pgx.CollectableRow) (*Snapshot, error) { return s.scanWith(row) }

// scanWith scans a snapshot, and what more columns there are into more.
func (s *statements) scanWith(row pgx.CollectableRow, more ...any) (*Snapshot, error) {
	snap := &Snapshot{Resource: &models.Resource{Kind: s.kind}}
	var reports []byte
	fields := append(s.fields(snap.Resource), &snap.OfItself, &snap.Now, &snap.DroppedAt,
		&snap.RegistryVersion, &snap.Pools, &reports)
	if err := row.Scan(append(fields, more...)...); err != nil {
		return nil, err
	}
	var err error
	snap.Stale = reports != nil
	snap.Reports, err = decodeReports(reports)
	return snap, err
}

func decodeReports(text []byte) ([]models.Report, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var stored []storedFacts
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, fmt.Errorf("decode stored reports: %w", err)
	}
	reports := make([]models.Report, len(stored))
	for i := range stored {
		reports[i] = stored[i].report()
	}
	return reports, nil
}
