package client

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// ListNodePools returns one page of node pools, newest first unless OrderBy says otherwise: a user's own, for controllers and
// administrators all.
func (c *Client) ListNodePools(ctx context.Context, o NodePoolListOptions) (v1.NodePoolList, error) {
	return call[v1.NodePoolList](ctx, c, newRequest(http.MethodGet, o.query(), nil, "nodepools"))
}

// NodePools walks through all node pools that o asks for, page by page, from o.PageToken on. What comes and goes meanwhile may
// be seen or not; what stays is seen once. An error ends the walk.
func (c *Client) NodePools(ctx context.Context, o NodePoolListOptions) iter.Seq2[v1.NodePool, error] {
	o.Limit = cmp.Or(o.Limit, biggestPage)
	return walk(o.PageToken, func(token string) (v1.NodePoolList, error) {
		page := o // The walk may be gone again.
		if page.PageToken = token; token != "" {
			page.Offset = 0
		}
		return c.ListNodePools(ctx, page)
	}, func(l v1.NodePoolList) ([]v1.NodePool, string) { return l.NodePools, l.NextPageToken })
}

// NodePoolListOptions are those of a list of node pools.
type NodePoolListOptions struct {
	ListOptions

	// ClusterID is the cluster that they are of.
	ClusterID string
}

func (o NodePoolListOptions) query() url.Values {
	q := o.ListOptions.query()
	if o.ClusterID != "" {
		q.Set("cluster_id", o.ClusterID)
	}
	return q
}

// ListNodePoolsOfCluster returns one page of the node pools of a cluster, as ListNodePools does, but fails with
// [ErrNotFound] when there is no such cluster.
func (c *Client) ListNodePoolsOfCluster(ctx context.Context, id string, o ListOptions) (v1.NodePoolList, error) {
	return call[v1.NodePoolList](ctx, c, newRequest(http.MethodGet, o.query(), nil, "clusters", id, "nodepools"))
}

// CreateNodePool declares a node pool. With an [IdempotencyKey] it may be repeated. Takes also [DryRun].
func (c *Client) CreateNodePool(ctx context.Context, body v1.CreateNodePool, options ...Option) (v1.NodePool, error) {
	return call[v1.NodePool](ctx, c, newRequest(http.MethodPost, nil, body, "nodepools"), options...)
}

// GetNodePool returns a node pool with its status as of now.
func (c *Client) GetNodePool(ctx context.Context, id string) (v1.NodePool, error) {
	return call[v1.NodePool](ctx, c, newRequest(http.MethodGet, nil, nil, "nodepools", id))
}

// UpdateNodePool replaces the spec of a node pool; other fields keep their value when absent. Takes [IfMatch] and [DryRun].
func (c *Client) UpdateNodePool(ctx context.Context, id string, body v1.UpdateNodePool, options ...Option) (v1.NodePool, error) {
	return call[v1.NodePool](ctx, c, newRequest(http.MethodPut, nil, body, "nodepools", id), options...)
}

// PatchNodePool merges a JSON Merge Patch (RFC 7396) into a node pool: an absent field keeps its value, a null removes it. Takes
// [IfMatch] and [DryRun]. To remove labels or fields of the spec, write null where they are.
func (c *Client) PatchNodePool(ctx context.Context, id string, patch v1.Object, options ...Option) (v1.NodePool, error) {
	return call[v1.NodePool](ctx, c, newRequest(http.MethodPatch, nil, patch, "nodepools", id), options...)
}

// DeleteNodePool asks for the deletion of a node pool, which may take a while; the answer says who is waited for. Takes [Force],
// [IfMatch] and [DryRun].
func (c *Client) DeleteNodePool(ctx context.Context, id string, options ...Option) (v1.Deletion, error) {
	return call[v1.Deletion](ctx, c, newRequest(http.MethodDelete, nil, nil, "nodepools", id), options...)
}

// ReconcileNodePool wakes the controllers of a node pool now. Takes [DryRun].
func (c *Client) ReconcileNodePool(ctx context.Context, id string, options ...Option) (v1.Reconciliation, error) {
	return call[v1.Reconciliation](ctx, c, newRequest(http.MethodPost, nil, nil, "nodepools", id, "reconcile"), options...)
}

// ExplainNodePool says in sentences why a node pool is not Ready, whom it waits for, and what the scheduler does next.
func (c *Client) ExplainNodePool(ctx context.Context, id string) (v1.Explanation, error) {
	return call[v1.Explanation](ctx, c, newRequest(http.MethodGet, nil, nil, "nodepools", id, "explain"))
}

// GetNodePoolStatus returns the status of a node pool, and each controller's report that it is made of.
func (c *Client) GetNodePoolStatus(ctx context.Context, id string) (v1.NodePoolStatus, error) {
	return call[v1.NodePoolStatus](ctx, c, newRequest(http.MethodGet, nil, nil, "nodepools", id, "status"))
}

// ReportNodePoolStatus stores what a controller says of a node pool. It may be repeated: an equal report changes nothing. One that is
// of no use any more is no error; the answer says so. Takes [DryRun].
func (c *Client) ReportNodePoolStatus(ctx context.Context, id string, report v1.StatusReport, options ...Option) (v1.ReportResult, error) {
	r := newRequest(http.MethodPut, nil, report, "nodepools", id, "status")
	r.repeatable = true
	return call[v1.ReportResult](ctx, c, r, options...)
}

// DropNodePoolStatus forgets what a controller has reported on a node pool. For controllers and administrators. Takes [DryRun].
func (c *Client) DropNodePoolStatus(ctx context.Context, id, controller string, options ...Option) error {
	_, err := call[struct{}](ctx, c, newRequest(http.MethodDelete, nil, nil, "nodepools", id, "status", controller), options...)
	return err
}

// ListNodePoolRevisions returns one page of the specs that a node pool has had, newest first.
func (c *Client) ListNodePoolRevisions(ctx context.Context, id string, o PageOptions) (v1.RevisionList, error) {
	return call[v1.RevisionList](ctx, c, newRequest(http.MethodGet, o.query(), nil, "nodepools", id, "revisions"))
}

// NodePoolRevisions walks through the specs that a node pool has had, newest first, from o.PageToken on. An error ends the walk.
func (c *Client) NodePoolRevisions(ctx context.Context, id string, o PageOptions) iter.Seq2[v1.Revision, error] {
	o.Limit = cmp.Or(o.Limit, biggestPage)
	return walk(o.PageToken, func(token string) (v1.RevisionList, error) {
		return c.ListNodePoolRevisions(ctx, id, PageOptions{o.Limit, token})
	}, func(l v1.RevisionList) ([]v1.Revision, string) { return l.Revisions, l.NextPageToken })
}

// RollbackNodePool gives a node pool the spec that it had at a generation, as a new generation. Takes [IfMatch] and [DryRun].
func (c *Client) RollbackNodePool(ctx context.Context, id string, to int64, options ...Option) (v1.NodePool, error) {
	q := url.Values{"to": {strconv.FormatInt(to, 10)}}
	return call[v1.NodePool](ctx, c, newRequest(http.MethodPost, q, nil, "nodepools", id, "rollback"), options...)
}

// ListNodePoolEvents returns one page of what has happened to a node pool, the latest first.
func (c *Client) ListNodePoolEvents(ctx context.Context, id string, o PageOptions) (v1.Timeline, error) {
	return call[v1.Timeline](ctx, c, newRequest(http.MethodGet, o.query(), nil, "nodepools", id, "events"))
}

// NodePoolEvents walks through what has happened to a node pool, the latest first, from o.PageToken on. An error ends the walk.
func (c *Client) NodePoolEvents(ctx context.Context, id string, o PageOptions) iter.Seq2[v1.TimelineEntry, error] {
	o.Limit = cmp.Or(o.Limit, biggestPage)
	return walk(o.PageToken, func(token string) (v1.Timeline, error) {
		return c.ListNodePoolEvents(ctx, id, PageOptions{o.Limit, token})
	}, func(l v1.Timeline) ([]v1.TimelineEntry, string) { return l.Events, l.NextPageToken })
}
