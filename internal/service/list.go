package service

import (
	"context"
	"encoding/json"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// refreshedForFilter is how many stale statuses a list by phase brings up to date first.
const refreshedForFilter = 1000

// List returns a page of the resources that the actor may see. Its stale statuses are
// calculated together, and stored in one statement. A list by phase first refreshes what
// it covers, and leaves out a row that has left the phase while it was read.
func (s *Resources) List(ctx context.Context, by models.Actor, q models.ListQuery) (*models.Page, error) {
	q, err := q.Scoped(by)
	if err != nil {
		return nil, err
	}
	key, err := s.pageTokenKey(ctx)
	if err != nil {
		return nil, err
	}
	if q.PageToken != "" {
		after, err := key.Position(s.kind, by.Owner(), q, q.PageToken)
		if err != nil {
			return nil, err
		}
		q.After = &after
	}
	list, err := s.db.List(ctx, q, refreshedForFilter)
	if err != nil {
		return nil, err
	}
	if len(list.Stale) > 0 {
		if err := s.answer(ctx, list.Stale...); err != nil {
			return nil, err
		}
		if list, err = s.db.List(ctx, q, refreshedForFilter); err != nil {
			return nil, err
		}
	}
	if err := s.answer(ctx, list.Page...); err != nil {
		return nil, err
	}
	return s.page(by, q, list, key), nil
}

// pageTokenKey returns the key that all replicas sign by. It is read once.
func (s *Resources) pageTokenKey(ctx context.Context) (models.TokenKey, error) {
	if key := s.tokenKey.Load(); key != nil {
		return *key, nil
	}
	key, err := s.db.PageTokenKey(ctx)
	if err == nil {
		s.tokenKey.Store(&key)
	}
	return key, err
}

// page returns what was read as the actor may see it. The next page begins behind the last row
// that was read, be it shown or not.
func (s *Resources) page(by models.Actor, q models.ListQuery, list *database.List, key models.TokenKey) *models.Page {
	page := &models.Page{Total: list.Total, Resources: make([]*models.Resource, 0, len(list.Page))}
	if !q.ExactTotal && list.Total > models.CountedUpTo {
		page.Total, page.TotalIsLowerBound = models.CountedUpTo, true
	}
	if list.More {
		last := list.Page[len(list.Page)-1].Resource
		page.NextPageToken = key.Sign(s.kind, by.Owner(), q, q.OrderBy.PositionOf(last))
	}
	for _, snap := range list.Page {
		if inPhase(snap, q.Phase) {
			page.Resources = append(page.Resources, s.redacted(snap.Resource, by))
		}
	}
	return page
}

// inPhase judges a snapshot by its fresh status; one that was not stale was found by its phase.
func inPhase(snap *database.Snapshot, phase v1.Phase) bool {
	if phase == "" || !snap.Stale {
		return true
	}
	var fresh struct {
		Phase v1.Phase `json:"phase"`
	}
	return json.Unmarshal(snap.Resource.Status, &fresh) == nil && fresh.Phase == phase
}
