package handlers

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/types"
	"github.com/cls-backend/cls-backend/internal/models"
)

// CreateInput is POST /clusters.
type CreateInput struct {
	Plain
	Payload
}

// Created is the answer to it.
type Created struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     types.Rendered[v1.Cluster]
}

// Create declares a cluster.
func (h *Handlers) Create(ctx context.Context, in *CreateInput) (*Created, error) {
	by := h.ActorOf(ctx)
	body, err := h.create(in.text, by)
	if err != nil {
		return nil, err
	}
	c, err := h.Clusters.Create(ctx, by, body)
	if err != nil {
		return nil, err
	}
	return &Created{ETag: c.ETag(), Location: "/api/v1/clusters/" + c.ID, Body: appendCluster(nil, c)}, nil
}

// GetInput is GET /clusters/{id}.
type GetInput struct {
	Resource
	Plain
}

// ClusterOutput is a cluster with its entity tag.
type ClusterOutput struct {
	ETag string `header:"ETag"`
	Body types.Rendered[v1.Cluster]
}

// Get returns a cluster.
func (h *Handlers) Get(ctx context.Context, in *GetInput) (*ClusterOutput, error) {
	id, err := in.clusterID()
	if err != nil {
		return nil, err
	}
	return answer(h.Clusters.Get(ctx, h.ActorOf(ctx), id))
}

func answer(c *models.Cluster, err error) (*ClusterOutput, error) {
	if err != nil {
		return nil, err
	}
	return &ClusterOutput{ETag: c.ETag(), Body: appendCluster(nil, c)}, nil
}

// ListInput is GET /clusters.
type ListInput struct {
	query  types.ListClusters
	faults []v1.FieldError
}

// Resolve implements huma's Resolver.
func (in *ListInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	in.query, in.faults = types.ParseListClusters(u.RawQuery)
	return nil
}

// ListOutput is a page of clusters.
type ListOutput struct {
	Body types.Rendered[v1.ClusterList]
}

// List returns a page of the clusters that the caller may see.
func (h *Handlers) List(ctx context.Context, in *ListInput) (*ListOutput, error) {
	q, err := in.listQuery()
	if err != nil {
		return nil, err
	}
	page, err := h.Clusters.List(ctx, h.ActorOf(ctx), q)
	if err != nil {
		return nil, err
	}
	return &ListOutput{Body: appendPage(page, q)}, nil
}

// listQuery returns the query with all that is wrong with it, in form or by the rules.
// Whom the caller may ask about is for the service.
func (in *ListInput) listQuery() (models.ListQuery, error) {
	q := models.ListQuery{
		Limit: in.query.Limit, Offset: in.query.Offset, Phase: v1.Phase(in.query.Status), Platform: in.query.Platform,
		Name: in.query.Name, CreatedBy: in.query.CreatedBy, ExactTotal: in.query.ExactTotal,
	}
	if q.Limit == 0 {
		q.Limit = models.DefaultLimit
	}
	faults := asFaults(in.faults)
	_, err := q.Scoped(models.Actor{Admin: true})
	faults = withFaultsOf(faults, err)
	if in.query.LabelSelector != "" {
		q.Labels, err = models.ParseSelector(in.query.LabelSelector)
		faults = withFaultsOf(faults, err)
	}
	if q.CreatedBy != "" {
		if q.CreatedBy, err = models.ParseEmail(q.CreatedBy); err != nil {
			faults = append(faults, models.Fault{Field: "created_by", Reason: "must be an e-mail address", Value: in.query.CreatedBy})
		}
	}
	return q, models.Invalid(v1.CodeInvalidQuery, faults...)
}

// UpdateInput is PUT /clusters/{id}.
type UpdateInput struct {
	Resource
	Plain
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

// Update replaces the spec of a cluster.
func (h *Handlers) Update(ctx context.Context, in *UpdateInput) (*ClusterOutput, error) {
	id, err := in.clusterID()
	if err != nil {
		return nil, err
	}
	body, err := h.update(in.text)
	if err != nil {
		return nil, err
	}
	return answer(h.Clusters.Update(ctx, h.ActorOf(ctx), id, body, in.ifMatch))
}

// PatchInput is PATCH /clusters/{id}.
type PatchInput struct {
	Resource
	Plain
	Precondition
	MergePatch
}

// Patch merges changes into a cluster.
func (h *Handlers) Patch(ctx context.Context, in *PatchInput) (*ClusterOutput, error) {
	id, err := in.clusterID()
	if err != nil {
		return nil, err
	}
	body, err := h.patch(in.text)
	if err != nil {
		return nil, err
	}
	return answer(h.Clusters.Patch(ctx, h.ActorOf(ctx), id, body, in.ifMatch))
}

// DeleteInput is DELETE /clusters/{id}. Force and reason are checked; a deletion that
// waits for nobody has no use for them.
type DeleteInput struct {
	Resource
	Deletion
	Precondition
}

// Deletion is the query of a DELETE.
type Deletion struct{}

// Resolve implements huma's Resolver.
func (*Deletion) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	_, faults := types.ParseDeleteCluster(u.RawQuery)
	return invalid(v1.CodeInvalidQuery, faults)
}

// DeleteOutput says what was deleted.
type DeleteOutput struct{ Body v1.Deletion }

// Delete deletes a cluster.
func (h *Handlers) Delete(ctx context.Context, in *DeleteInput) (*DeleteOutput, error) {
	id, err := in.clusterID()
	if err != nil {
		return nil, err
	}
	deleted, err := h.Clusters.Delete(ctx, h.ActorOf(ctx), id, in.ifMatch)
	if err != nil {
		return nil, err
	}
	return &DeleteOutput{Body: deleted}, nil
}

// ReconcileInput is POST /clusters/{id}/reconcile. A body is not read.
type ReconcileInput struct {
	Resource
	Plain
}

// ReconcileOutput names the event that wakes the controllers.
type ReconcileOutput struct{ Body v1.Reconciliation }

// Reconcile wakes the controllers of a cluster.
func (h *Handlers) Reconcile(ctx context.Context, in *ReconcileInput) (*ReconcileOutput, error) {
	id, err := in.clusterID()
	if err != nil {
		return nil, err
	}
	woken, err := h.Clusters.Reconcile(ctx, h.ActorOf(ctx), id)
	if err != nil {
		return nil, err
	}
	return &ReconcileOutput{Body: woken}, nil
}
