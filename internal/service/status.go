package service

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Report stores what a controller says of a resource. A report that cannot be of use any
// more (of an older generation, or on a deleted cluster) is answered as not applied,
// which is no error: the controller would send it again.
func (s *Resources) Report(ctx context.Context, by models.Actor, id string, r v1.StatusReport) (v1.ReportResult, error) {
	if err := by.MayReport(r.ControllerName); err != nil {
		return v1.ReportResult{}, err
	}
	if err := models.CheckReport(r); err != nil {
		return v1.ReportResult{}, err
	}
	return s.db.StoreReport(ctx, id, models.NormalizeReport(r), s.settings.Cadence.Debounce)
}

// DropReport forgets what a controller has reported on a resource: it is no longer waited for
// there, until it reports again.
func (s *Resources) DropReport(ctx context.Context, by models.Actor, id, controller string) error {
	if err := by.MayDropReport(controller); err != nil {
		return err
	}
	return s.db.DropReport(ctx, id, controller)
}

// Status returns a resource that the actor may see, with the reports that its status is made of.
func (s *Resources) Status(ctx context.Context, by models.Actor, id string) (*models.Resource, []v1.ControllerStatus, error) {
	r, err := s.Get(ctx, by, id)
	if err != nil {
		return nil, nil, err
	}
	reports, err := s.db.Reports(ctx, r.Ref())
	return r, reports, err
}

// Refresh calculates up to limit statuses that nobody has read since their facts
// changed, and returns how many. The scheduler calls it before it decides who needs attention.
func (s *Resources) Refresh(ctx context.Context, limit int) (int, error) {
	stale, err := s.db.StaleStatuses(ctx, limit)
	if err != nil {
		return 0, err
	}
	return len(stale), s.settle(ctx, stale...)
}

// settle gives stale snapshots the status that follows from their facts, and stores it
// where nothing has changed since they were taken. What is answered is right either way.
func (s *Resources) settle(ctx context.Context, snaps ...*database.Snapshot) error {
	var calculated []database.NewStatus
	began := time.Now()
	for _, snap := range snaps {
		if snap.Stale {
			calculated = append(calculated, s.calculate(snap))
		}
	}
	if len(calculated) == 0 {
		return nil
	}
	s.observer.AggregationDone(time.Since(began), len(calculated))
	versions, err := s.db.StoreStatuses(ctx, calculated)
	if err != nil {
		return err
	}
	for _, snap := range snaps {
		if version, stored := versions[snap.Resource.ID]; stored {
			snap.Resource.ResourceVersion = version
		}
	}
	return nil
}

// answer settles snapshots for a reader. What could not be stored is right all the same:
// it stays dirty, and the next pass says what is wrong with the database.
func (s *Resources) answer(ctx context.Context, snaps ...*database.Snapshot) {
	_ = s.settle(ctx, snaps...)
}

// calculate gives a snapshot its status, and returns it as it is to be stored.
func (s *Resources) calculate(snap *database.Snapshot) database.NewStatus {
	c := snap.Resource
	var dropped time.Time
	if snap.DroppedAt != nil {
		dropped = *snap.DroppedAt
	}
	out := models.Aggregate(models.Facts{
		Object: c.Object(), Reports: snap.Reports, Expected: models.ExpectedFrom(snap.Reports, dropped),
		Previous: previous(c.Status), Now: snap.Now, ProgressDeadline: s.settings.ProgressDeadline,
	})
	text, err := json.Marshal(out.Status)
	if err != nil { // Strings, numbers and times of the database.
		panic(fmt.Sprintf("service: encode the status of %s: %v", c.ID, err))
	}
	c.Status = text
	lane := s.settings.Cadence.Lane(models.Attention{
		GenerationStartedAt: c.GenerationStartedAt, Phase: out.Status.Phase,
		Generation: c.Generation, ObservedGeneration: out.Status.ObservedGeneration, Deleting: c.DeletionTimestamp != nil,
	}, snap.Now)
	return database.NewStatus{
		ID: c.ID, ResourceVersion: c.ResourceVersion, Status: text, RecheckAt: out.RecheckAt, ByTime: snap.ByTime,
		Attention: lane.Reason == v1.ReasonAttention, Pull: s.pull(),
	}
}

// previous returns the conditions of a stored status; none for one that was never calculated.
func previous(status []byte) []v1.Condition {
	var before v1.Status
	if len(status) == 0 || json.Unmarshal(status, &before) != nil {
		return nil
	}
	return before.Conditions
}

// shown is the answer to a change: the cluster with the status that follows from it. It
// is not stored here; the row is dirty, and the next read or pass will.
func (s *Resources) shown(snap *database.Snapshot, by models.Actor) *models.Resource {
	if snap.Stale {
		s.calculate(snap)
	}
	return s.redacted(snap.Resource, by)
}
