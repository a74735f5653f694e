package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/types"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

func (c *collection[R, L, S]) registerHistory(api huma.API) {
	member, noun := memberPath(c.kind), c.kind.Noun()
	reads := []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeInvalidPageToken, v1.CodeNotFound}
	huma.Register(api, spec{
		id: "list" + c.name() + "Revisions", method: http.MethodGet, path: member + "/revisions", tag: c.tag(),
		summary: "List the revisions of " + c.a(),
		description: "Each spec that the " + noun + " has had, the newest first: who began the generation, when, and what it changed, " +
			"as a JSON Patch (RFC 6902). Redacted fields show in none.",
		params:  historyParams(),
		success: success{http.StatusOK, "A page of revisions", exampleRevisions()}, errors: reads,
	}.operation(), c.Revisions)
	huma.Register(api, spec{
		id: "rollback" + c.name(), method: http.MethodPost, path: member + "/rollback", tag: c.tag(),
		summary: "Give " + c.a() + " an earlier spec",
		description: "The spec of a generation that is kept becomes that of a new one, its redacted fields among it. " +
			"It is judged like that of a PUT. A body is ignored.",
		params:  []*huma.Param{toParam(), ifMatchParam()},
		success: success{http.StatusOK, "The " + noun + " after the change", c.examples.one},
		errors: []v1.Code{
			v1.CodeInvalidField, v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound, v1.CodeClusterDeleting,
			v1.CodePreconditionFailed,
		},
		only: c.only(api, models.Actor.MayWrite),
	}.operation(), c.Rollback)
	huma.Register(api, spec{
		id: "list" + c.name() + "Events", method: http.MethodGet, path: member + "/events", tag: c.tag(),
		summary: "List what has happened to " + c.a(),
		description: "The timeline, the latest first: changes and their publications, wake-ups that somebody has asked for, " +
			"and reports that moved something.",
		params:  historyParams(),
		success: success{http.StatusOK, "A page of the timeline", exampleTimeline()}, errors: reads,
	}.operation(), c.Timeline)
}

// HistoryInput is the GET of a page of the past of a resource.
type HistoryInput struct {
	Resource

	query types.History
}

// Resolve implements huma's Resolver.
func (in *HistoryInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	var faults []v1.FieldError
	in.query, faults = types.ParseHistory(u.RawQuery)
	return invalidQuery(faults)
}

// RevisionsOutput is a page of the revisions of a resource.
type RevisionsOutput struct{ Body v1.RevisionList }

// Revisions returns the specs that a resource has had.
func (c *collection[R, L, S]) Revisions(ctx context.Context, in *HistoryInput) (*RevisionsOutput, error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	list, err := c.use.Revisions(ctx, c.ActorOf(ctx), id, models.HistoryQuery(in.query))
	if err != nil {
		return nil, err
	}
	return &RevisionsOutput{Body: list}, nil
}

// TimelineOutput is a page of the timeline of a resource.
type TimelineOutput struct{ Body v1.Timeline }

// Timeline returns what has happened to a resource.
func (c *collection[R, L, S]) Timeline(ctx context.Context, in *HistoryInput) (*TimelineOutput, error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	page, err := c.use.Timeline(ctx, c.ActorOf(ctx), id, models.HistoryQuery(in.query))
	if err != nil {
		return nil, err
	}
	return &TimelineOutput{Body: page}, nil
}

// RollbackInput is POST .../rollback.
type RollbackInput struct {
	Resource
	Precondition

	query types.Rollback
}

// Resolve implements huma's Resolver.
func (in *RollbackInput) Resolve(ctx huma.Context) []error {
	errs := in.Precondition.Resolve(ctx)
	u := ctx.URL()
	var faults []v1.FieldError
	in.query, faults = types.ParseRollback(u.RawQuery)
	return append(errs, invalidQuery(faults)...)
}

// Rollback gives a resource the spec of an earlier generation.
func (c *collection[R, L, S]) Rollback(ctx context.Context, in *RollbackInput) (*Output[R], error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	return answer[R](perform(ctx, c.use, in.query.DryRun, func(ctx context.Context, use *service.Resources) (*models.Resource, error) {
		return use.Rollback(ctx, c.ActorOf(ctx), id, int64(in.query.To), in.ifMatch)
	}))
}
