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

// Report stores what a controller says of a cluster. A report that cannot be of use any
// more (of an older generation, or on a deleted cluster) is answered as not applied,
// which is no error: the controller would send it again.
func (s *Clusters) Report(ctx context.Context, by models.Actor, id string, r v1.StatusReport) (v1.ReportResult, error) {
	if err := by.MayReport(r.ControllerName); err != nil {
		return v1.ReportResult{}, err
	}
	if err := models.CheckReport(r); err != nil {
		return v1.ReportResult{}, err
	}
	return s.db.StoreReport(ctx, id, models.NormalizeReport(r), s.settings.Cadence.Debounce)
}

// DropReport forgets what a controller has reported on a cluster: it is no longer waited for
// there, until it reports again.
func (s *Clusters) DropReport(ctx context.Context, by models.Actor, id, controller string) error {
	if err := by.MayDropReport(controller); err != nil {
		return err
	}
	return s.db.DropReport(ctx, id, controller)
}

// Status returns a cluster that the actor may see, with the reports that its status is made of.
func (s *Clusters) Status(ctx context.Context, by models.Actor, id string) (*models.Cluster, []v1.ControllerStatus, error) {
	cluster, err := s.Get(ctx, by, id)
	if err != nil {
		return nil, nil, err
	}
	reports, err := s.db.ControllerStatuses(ctx, id)
	return cluster, reports, err
}

// Refresh calculates up to limit statuses that nobody has read since their facts
// changed, and returns how many. The scheduler calls it before it decides who needs attention.
func (s *Clusters) Refresh(ctx context.Context, limit int) (int, error) {
	stale, err := s.db.StaleStatuses(ctx, limit)
	if err != nil {
		return 0, err
	}
	return len(stale), s.settle(ctx, stale...)
}

// settle gives stale snapshots the status that follows from their facts, and stores it
// where nothing has changed since they were taken. What is answered is right either way.
func (s *Clusters) settle(ctx context.Context, snaps ...*database.Snapshot) error {
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
		if version, stored := versions[snap.Cluster.ID]; stored {
			snap.Cluster.ResourceVersion = version
		}
	}
	return nil
}

// answer settles snapshots for a reader. What could not be stored is right all the same:
// it stays dirty, and the next pass says what is wrong with the database.
func (s *Clusters) answer(ctx context.Context, snaps ...*database.Snapshot) {
	_ = s.settle(ctx, snaps...)
}

// calculate gives a snapshot its status, and returns it as it is to be stored.
func (s *Clusters) calculate(snap *database.Snapshot) database.NewStatus {
	c := snap.Cluster
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
		ClusterID: c.ID, ResourceVersion: c.ResourceVersion, Status: text, RecheckAt: out.RecheckAt, ByTime: snap.ByTime,
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
func (s *Clusters) shown(snap *database.Snapshot, by models.Actor) *models.Cluster {
	if snap.Stale {
		s.calculate(snap)
	}
	return s.redacted(snap.Cluster, by)
}
