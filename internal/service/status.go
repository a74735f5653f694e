package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	r = models.NormalizeReport(r)
	result, err := s.db.StoreReport(ctx, id, r, s.settings.Cadence.Debounce, by.RequestID)
	if err == nil && result.Applied && models.SaysFinalized(r) {
		s.letGo(ctx, id)
	}
	return result, err
}

// DropReport forgets what a controller has reported on a resource: it is no longer waited for
// there, until it reports again.
func (s *Resources) DropReport(ctx context.Context, by models.Actor, id, controller string) error {
	if err := by.MayDropReport(controller); err != nil {
		return err
	}
	return s.db.DropReport(ctx, id, models.SanitizeText(controller))
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

// Explain says in sentences why a resource that the actor may see is not Ready, or that it is. A status
// that is stale is stored before, as by any read: that may pull the next wake-up forward.
func (s *Resources) Explain(ctx context.Context, by models.Actor, id string) (v1.Explanation, error) {
	if _, err := s.Get(ctx, by, id); err != nil {
		return v1.Explanation{}, err
	}
	snap, place, err := s.db.Explain(ctx, id, by.Owner())
	if err != nil {
		return v1.Explanation{}, err
	}
	registry, err := s.registry.at(ctx, snap.RegistryVersion)
	if err != nil {
		return v1.Explanation{}, err
	}
	facts := s.facts(snap, registry, previous(snap.Resource.Status))
	return models.Explain(snap.Resource.Ref(), facts, *registry, place, s.settings.Cadence), nil
}

// Refresh calculates up to limit statuses that nobody has read since their facts changed, ends up
// to limit deletions that wait for nobody any more, and returns how many statuses it were. The
// scheduler calls it before it decides who needs attention.
func (s *Resources) Refresh(ctx context.Context, limit int) (int, error) {
	stale, err := s.db.StaleStatuses(ctx, limit)
	if err != nil {
		return 0, err
	}
	calculated, err := s.calculateAll(ctx, stale)
	if err == nil {
		err = s.store(ctx, calculated, stale)
	}
	_, buried := s.db.Bury(ctx, limit)
	return len(stale), errors.Join(err, buried)
}

// calculateAll gives stale snapshots the status that follows from their facts.
func (s *Resources) calculateAll(ctx context.Context, snaps []*database.Snapshot) ([]database.NewStatus, error) {
	var version int64
	stale := 0
	for _, snap := range snaps {
		if snap.Stale {
			version, stale = max(version, snap.RegistryVersion), stale+1
		}
	}
	if stale == 0 {
		return nil, nil
	}
	registry, err := s.registry.at(ctx, version)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	calculated := make([]database.NewStatus, 0, stale)
	for _, snap := range snaps {
		if snap.Stale {
			calculated = append(calculated, s.calculate(snap, registry))
		}
	}
	s.observer.AggregationDone(time.Since(began), stale)
	return calculated, nil
}

// store stores calculated statuses where nothing has changed since their snapshots were taken. Before
// that it has deletions wait no longer for controllers that are retired: nobody comes back to a
// resource whose status is stored.
func (s *Resources) store(ctx context.Context, calculated []database.NewStatus, snaps []*database.Snapshot) error {
	if len(calculated) == 0 {
		return nil
	}
	var released []string
	for _, c := range calculated {
		if c.Released {
			released = append(released, c.ID)
		}
	}
	if err := s.db.LetGo(ctx, released); err != nil {
		return err
	}
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

// answer gives stale snapshots their status for a reader, and stores it. What could not be stored is
// right all the same: it stays dirty, and the next pass says what is wrong with the database.
func (s *Resources) answer(ctx context.Context, snaps ...*database.Snapshot) error {
	calculated, err := s.calculateAll(ctx, snaps)
	if err != nil {
		return err
	}
	_ = s.store(ctx, calculated, snaps)
	return nil
}

// calculate gives a snapshot its status, and returns it as it is to be stored.
func (s *Resources) calculate(snap *database.Snapshot, registry *models.Registry) database.NewStatus {
	c, before := snap.Resource, previous(snap.Resource.Status)
	facts := s.facts(snap, registry, before)
	out := models.Aggregate(facts)
	text, released := encode(out.Status), len(facts.Object.Holders) < len(c.Holders)
	c.Status, c.Holders = text, facts.Object.Holders
	lane := s.settings.Cadence.Lane(facts.Object.Attention(out.Status), snap.Now)
	return database.NewStatus{
		ID: c.ID, ResourceVersion: c.ResourceVersion, Status: text, RecheckAt: out.RecheckAt,
		Moved: snap.OfItself && !bytes.Equal(text, encode(before)), RegistryVersion: registry.Version,
		Released:  released,
		Attention: lane.Reason == v1.ReasonAttention, Pull: s.pull(),
	}
}

// facts returns what the status of a snapshot depends on; before is its previous one.
func (s *Resources) facts(snap *database.Snapshot, registry *models.Registry, before v1.Status) models.Facts {
	var dropped time.Time
	if snap.DroppedAt != nil {
		dropped = *snap.DroppedAt
	}
	object := snap.Resource.Object()
	object.Holders, object.Pools = registry.Holding(snap.Resource.Holders, object.DeletionTimestamp), snap.Pools
	return models.Facts{
		Object: object, Reports: snap.Reports, Expected: registry.Expected(object, snap.Reports, dropped),
		Previous: before.Conditions, Now: snap.Now, ProgressDeadline: s.settings.ProgressDeadline,
	}
}

func encode(status v1.Status) []byte {
	text, err := json.Marshal(status)
	if err != nil { // Strings, numbers and times of the database.
		panic("service: encode a status: " + err.Error())
	}
	return text
}

// previous returns a stored status; the zero one if none was ever calculated.
func previous(text []byte) (before v1.Status) {
	if len(text) > 0 && json.Unmarshal(text, &before) != nil {
		return v1.Status{}
	}
	return before
}

// shown is the answer to a change: the resource with the status that follows from it. It
// is not stored here; the row is dirty, and the next read or pass will. The change is done, so
// nothing fails any more.
func (s *Resources) shown(ctx context.Context, snap *database.Snapshot, by models.Actor) *models.Resource {
	if snap.Stale {
		s.calculate(snap, s.registry.nearest(ctx, snap.RegistryVersion))
	}
	return s.redacted(snap.Resource, by)
}
