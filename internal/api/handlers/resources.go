package handlers

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/types"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// collection answers the calls on the resources of one kind. R is the wire type of one, L of a
// page of them, S of a status with its reports.
type collection[R, L, S any] struct {
	*Handlers

	kind     models.Kind
	use      *service.Resources
	examples examples
}

// CreateInput is the POST of a collection.
type CreateInput struct {
	Mutation
	Idempotency
	Payload
}

// Created is the answer to it.
type Created[R any] struct {
	ETag     string `header:"ETag" doc:"The resource version, in quotes"`
	Location string `header:"Location" doc:"The path of what was created"`
	Body     types.Rendered[R]
}

// Create declares a resource.
func (c *collection[R, L, S]) Create(ctx context.Context, in *CreateInput) (*Created[R], error) {
	by := c.ActorOf(ctx)
	body, err := c.create(in.text, by)
	if err != nil {
		return nil, err
	}
	form := func(r *models.Resource) models.Answer {
		return models.Answer{ETag: r.ETag(), Location: collectionPath(c.kind) + "/" + r.ID, Body: appendResource(nil, r)}
	}
	a, err := perform(ctx, c.use, in.dryRun, func(ctx context.Context, use *service.Resources) (models.Answer, error) {
		if key, given := in.once(); given && !in.dryRun {
			return c.createOnce(ctx, by, body, key, in.text, form)
		}
		created, err := use.Create(ctx, by, body)
		if err != nil {
			return models.Answer{}, err
		}
		return form(created), nil
	})
	if err != nil {
		return nil, err
	}
	return &Created[R]{ETag: a.ETag, Location: a.Location, Body: a.Body}, nil
}

func (c *collection[R, L, S]) createOnce(
	ctx context.Context, by models.Actor, in models.Draft, key string, text []byte, form func(*models.Resource) models.Answer,
) (models.Answer, error) {
	once, err := models.NewKey(by, collectionPath(c.kind), key, text)
	if err != nil {
		return models.Answer{}, err
	}
	return c.use.CreateOnce(ctx, by, in, once, form)
}

// GetInput is the GET of a resource.
type GetInput struct {
	Resource
	Plain
}

// Output is a resource with its entity tag.
type Output[R any] struct {
	ETag string `header:"ETag" doc:"The resource version, in quotes"`
	Body types.Rendered[R]
}

// Get returns a resource.
func (c *collection[R, L, S]) Get(ctx context.Context, in *GetInput) (*Output[R], error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	return answer[R](c.use.Get(ctx, c.ActorOf(ctx), id))
}

func answer[R any](r *models.Resource, err error) (*Output[R], error) {
	if err != nil {
		return nil, err
	}
	return &Output[R]{ETag: r.ETag(), Body: appendResource(nil, r)}, nil
}

// ListInput is the GET of a collection.
type ListInput struct{ raw string }

// Resolve implements huma's Resolver.
func (in *ListInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	in.raw = u.RawQuery
	return nil
}

// ListOutput is a page of resources.
type ListOutput[L any] struct {
	Body types.Rendered[L]
}

// List returns a page of the resources that the caller may see.
func (c *collection[R, L, S]) List(ctx context.Context, in *ListInput) (*ListOutput[L], error) {
	q, err := listQuery(types.ParseList(c.kind, in.raw))
	if err != nil {
		return nil, err
	}
	return c.list(ctx, q)
}

// WithinInput is the GET of the node pools of a cluster.
type WithinInput struct {
	Resource
	ListInput
}

// ListWithin returns a page of the resources of a cluster that the caller may see.
func (c *collection[R, L, S]) ListWithin(ctx context.Context, in *WithinInput) (*ListOutput[L], error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	q, err := listQuery(types.ParseListWithin(in.raw))
	if err != nil {
		return nil, err
	}
	// Of a cluster that is not there, or not the caller's, there is no list rather than an empty one.
	if err := c.Clusters.See(ctx, c.ActorOf(ctx), id); err != nil {
		return nil, err
	}
	q.ClusterID = id
	return c.list(ctx, q)
}

func (c *collection[R, L, S]) list(ctx context.Context, q models.ListQuery) (*ListOutput[L], error) {
	page, err := c.use.List(ctx, c.ActorOf(ctx), q)
	if err != nil {
		return nil, err
	}
	return &ListOutput[L]{Body: appendPage(c.kind, page, q)}, nil
}

// listQuery returns the query with all that is wrong with it, in form or by the rules.
// Whom the caller may ask about is for the service.
func listQuery(in types.List, formFaults []v1.FieldError) (models.ListQuery, error) {
	q := models.ListQuery{
		Limit: in.Limit, Offset: in.Offset, OrderBy: models.Order(in.OrderBy), PageToken: in.PageToken,
		Phase: v1.Phase(in.Status), Platform: in.Platform,
		Name: in.Name, ClusterID: in.ClusterID, CreatedBy: in.CreatedBy, ExactTotal: in.ExactTotal,
	}
	if q.Limit == 0 {
		q.Limit = models.DefaultLimit
	}
	faults := asFaults(formFaults)
	_, err := q.Scoped(models.Actor{Admin: true})
	faults = withFaultsOf(faults, err)
	if in.LabelSelector != "" {
		q.Labels, err = models.ParseSelector(in.LabelSelector)
		faults = withFaultsOf(faults, err)
	}
	if q.CreatedBy != "" {
		if q.CreatedBy, err = models.ParseEmail(q.CreatedBy); err != nil {
			faults = append(faults, models.Fault{Field: "created_by", Reason: "must be an e-mail address", Value: in.CreatedBy})
		}
	}
	return q, models.Invalid(v1.CodeInvalidQuery, faults...)
}

// UpdateInput is the PUT of a resource.
type UpdateInput struct {
	Resource
	Mutation
	Precondition
	Payload
}

// Precondition is the If-Match header.
type Precondition struct{ ifMatch string }

// Resolve implements huma's Resolver.
func (p *Precondition) Resolve(ctx huma.Context) []error {
	var err error
	if p.ifMatch, err = ifMatch(ctx); err != nil {
		return []error{err}
	}
	return nil
}

// Update replaces the spec of a resource.
func (c *collection[R, L, S]) Update(ctx context.Context, in *UpdateInput) (*Output[R], error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	body, err := c.update(in.text)
	if err != nil {
		return nil, err
	}
	return answer[R](perform(ctx, c.use, in.dryRun, func(ctx context.Context, use *service.Resources) (*models.Resource, error) {
		return use.Update(ctx, c.ActorOf(ctx), id, body, in.ifMatch)
	}))
}

// PatchInput is the PATCH of a resource.
type PatchInput struct {
	Resource
	Mutation
	Precondition
	MergePatch
}

// Patch merges changes into a resource.
func (c *collection[R, L, S]) Patch(ctx context.Context, in *PatchInput) (*Output[R], error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	body, err := c.patch(in.text)
	if err != nil {
		return nil, err
	}
	return answer[R](perform(ctx, c.use, in.dryRun, func(ctx context.Context, use *service.Resources) (*models.Resource, error) {
		return use.Patch(ctx, c.ActorOf(ctx), id, body, in.ifMatch)
	}))
}

// DeleteInput is the DELETE of a resource.
type DeleteInput struct {
	Resource
	Deletion
	Precondition
}

// Deletion is the query of a DELETE.
type Deletion struct{ query types.Delete }

// Resolve implements huma's Resolver.
func (d *Deletion) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	var faults []v1.FieldError
	d.query, faults = types.ParseDelete(u.RawQuery)
	return invalidQuery(faults)
}

// DeleteOutput says what was deleted.
type DeleteOutput struct{ Body v1.Deletion }

// Delete deletes a resource.
func (c *collection[R, L, S]) Delete(ctx context.Context, in *DeleteInput) (*DeleteOutput, error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	deleted, err := perform(ctx, c.use, in.query.DryRun, func(ctx context.Context, use *service.Resources) (v1.Deletion, error) {
		return use.Delete(ctx, c.ActorOf(ctx), id, models.DeleteRequest{
			IfMatch: in.ifMatch, Force: in.query.Force, Reason: in.query.Reason,
		})
	})
	if err != nil {
		return nil, err
	}
	return &DeleteOutput{Body: deleted}, nil
}

// ReconcileInput is the POST that wakes the controllers of a resource. A body is not read.
type ReconcileInput struct {
	Resource
	Mutation
}

// ReconcileOutput names the event that wakes the controllers.
type ReconcileOutput struct{ Body v1.Reconciliation }

// Reconcile wakes the controllers of a resource.
func (c *collection[R, L, S]) Reconcile(ctx context.Context, in *ReconcileInput) (*ReconcileOutput, error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	woken, err := perform(ctx, c.use, in.dryRun, func(ctx context.Context, use *service.Resources) (v1.Reconciliation, error) {
		return use.Reconcile(ctx, c.ActorOf(ctx), id)
	})
	if err != nil {
		return nil, err
	}
	return &ReconcileOutput{Body: woken}, nil
}
