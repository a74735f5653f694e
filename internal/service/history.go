package service

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/wI2L/jsondiff"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Revisions returns a page of the specs that a resource has had, the newest first, each as what it
// changed. Redacted fields show in no change.
func (s *Resources) Revisions(ctx context.Context, by models.Actor, id string, q models.HistoryQuery) (v1.RevisionList, error) {
	q, key, err := s.past(ctx, by, id, q)
	if err != nil {
		return v1.RevisionList{}, err
	}
	before, err := key.Generation(s.kind, id, by.Owner(), q.PageToken)
	if err != nil {
		return v1.RevisionList{}, err
	}
	kept, err := s.db.Revisions(ctx, id, before, q.Limit+1)
	if err != nil {
		return v1.RevisionList{}, err
	}
	page := v1.RevisionList{Revisions: make([]v1.Revision, 0, len(kept)), Limit: q.Limit}
	for i, r := range kept[:min(q.Limit, len(kept))] {
		entry := v1.Revision{Generation: r.Generation, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, RequestID: r.RequestID}
		switch {
		case i+1 < len(kept):
			entry.Diff, err = s.diff(kept[i+1].Spec, r.Spec, by)
		case r.Generation == 1:
			entry.Diff, err = s.diff(nil, r.Spec, by)
		}
		if err != nil {
			return v1.RevisionList{}, err
		}
		page.Revisions = append(page.Revisions, entry)
	}
	if len(kept) > q.Limit {
		page.NextPageToken = key.SignGeneration(s.kind, id, by.Owner(), kept[q.Limit-1].Generation)
	}
	return page, nil
}

// past checks a query for what has been, of a resource that the actor may see.
func (s *Resources) past(
	ctx context.Context, by models.Actor, id string, q models.HistoryQuery,
) (models.HistoryQuery, models.TokenKey, error) {
	q, err := q.Check()
	if err != nil {
		return q, nil, err
	}
	if err := s.See(ctx, by, id); err != nil {
		return q, nil, err
	}
	key, err := s.pageTokenKey(ctx)
	return q, key, err
}

// diff returns the JSON Patch between two specs as the actor sees them.
func (s *Resources) diff(before, after v1.Object, by models.Actor) (json.RawMessage, error) {
	if !by.SeesSecrets() {
		before, after = s.rules.Secrets.Redact(before), s.rules.Secrets.Redact(after)
	}
	patch, err := jsondiff.CompareJSON([]byte(before.String()), []byte(after.String()))
	if err != nil {
		return nil, fmt.Errorf("compare two specs: %w", err)
	}
	if len(patch) == 0 {
		return json.RawMessage("[]"), nil
	}
	return json.Marshal(patch)
}

// Rollback gives a resource the spec of an earlier generation, secrets and all, as a new
// generation; NOT_FOUND when that one is not kept. ifMatch is the If-Match header; "" for none.
func (s *Resources) Rollback(ctx context.Context, by models.Actor, id string, to int64, ifMatch string) (*models.Resource, error) {
	if err := by.MayWrite(); err != nil {
		return nil, err
	}
	if err := s.See(ctx, by, id); err != nil {
		return nil, err
	}
	was, err := s.db.Revision(ctx, id, to)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, by, id, func(stored *models.Resource) (*models.Resource, models.Change, error) {
		if err := models.CheckPreconditions(stored, ifMatch, nil); err != nil {
			return nil, models.Change{}, err
		}
		return s.rules.Restore(stored, was.Spec)
	})
}

// Timeline returns a page of what has happened to a resource, the latest first: its changes, their
// publications, and what reports moved.
func (s *Resources) Timeline(ctx context.Context, by models.Actor, id string, q models.HistoryQuery) (v1.Timeline, error) {
	q, key, err := s.past(ctx, by, id, q)
	if err != nil {
		return v1.Timeline{}, err
	}
	before, err := key.Moment(s.kind, id, by.Owner(), q.PageToken)
	if err != nil {
		return v1.Timeline{}, err
	}
	entries, err := s.db.Timeline(ctx, id, before, q.Limit+1)
	if err != nil {
		return v1.Timeline{}, err
	}
	page := v1.Timeline{Events: entries[:min(q.Limit, len(entries))], Limit: q.Limit}
	if len(entries) > q.Limit {
		last := page.Events[q.Limit-1]
		page.NextPageToken = key.SignMoment(s.kind, id, by.Owner(), models.Moment{At: last.Time, ID: last.ID})
	}
	return page, nil
}
