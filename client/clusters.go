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

// ListClusters returns one page of clusters, newest first unless OrderBy says otherwise: a user's own, for controllers and
// administrators all.
func (c *Client) ListClusters(ctx context.Context, o ListOptions) (v1.ClusterList, error) {
	return call[v1.ClusterList](ctx, c, newRequest(http.MethodGet, o.query(), nil, "clusters"))
}

// Clusters walks through all clusters that o asks for, page by page, from o.PageToken on. What comes and goes meanwhile may
// be seen or not; what stays is seen once. An error ends the walk.
func (c *Client) Clusters(ctx context.Context, o ListOptions) iter.Seq2[v1.Cluster, error] {
	o.Limit = cmp.Or(o.Limit, biggestPage)
	return walk(o.PageToken, func(token string) (v1.ClusterList, error) {
		page := o // The walk may be gone again.
		if page.PageToken = token; token != "" {
			page.Offset = 0
		}
		return c.ListClusters(ctx, page)
	}, func(l v1.ClusterList) ([]v1.Cluster, string) { return l.Clusters, l.NextPageToken })
}

// CreateCluster declares a cluster. With an [IdempotencyKey] it may be repeated. Takes also [DryRun].
func (c *Client) CreateCluster(ctx context.Context, body v1.CreateCluster, options ...Option) (v1.Cluster, error) {
	return call[v1.Cluster](ctx, c, newRequest(http.MethodPost, nil, body, "clusters"), options...)
}

// GetCluster returns a cluster with its status as of now.
func (c *Client) GetCluster(ctx context.Context, id string) (v1.Cluster, error) {
	return call[v1.Cluster](ctx, c, newRequest(http.MethodGet, nil, nil, "clusters", id))
}

// UpdateCluster replaces the spec of a cluster; other fields keep their value when absent. Takes [IfMatch] and [DryRun].
func (c *Client) UpdateCluster(ctx context.Context, id string, body v1.UpdateCluster, options ...Option) (v1.Cluster, error) {
	return call[v1.Cluster](ctx, c, newRequest(http.MethodPut, nil, body, "clusters", id), options...)
}

// PatchCluster merges a JSON Merge Patch (RFC 7396) into a cluster: an absent field keeps its value, a null removes it. Takes
// [IfMatch] and [DryRun]. To remove labels or fields of the spec, write null where they are.
func (c *Client) PatchCluster(ctx context.Context, id string, patch v1.Object, options ...Option) (v1.Cluster, error) {
	return call[v1.Cluster](ctx, c, newRequest(http.MethodPatch, nil, patch, "clusters", id), options...)
}

// DeleteCluster asks for the deletion of a cluster, which may take a while; the answer says who is waited for. Takes [Force],
// [IfMatch] and [DryRun].
func (c *Client) DeleteCluster(ctx context.Context, id string, options ...Option) (v1.Deletion, error) {
	return call[v1.Deletion](ctx, c, newRequest(http.MethodDelete, nil, nil, "clusters", id), options...)
}

// ReconcileCluster wakes the controllers of a cluster now. Takes [DryRun].
func (c *Client) ReconcileCluster(ctx context.Context, id string, options ...Option) (v1.Reconciliation, error) {
	return call[v1.Reconciliation](ctx, c, newRequest(http.MethodPost, nil, nil, "clusters", id, "reconcile"), options...)
}

// ExplainCluster says in sentences why a cluster is not Ready, whom it waits for, and what the scheduler does next.
func (c *Client) ExplainCluster(ctx context.Context, id string) (v1.Explanation, error) {
	return call[v1.Explanation](ctx, c, newRequest(http.MethodGet, nil, nil, "clusters", id, "explain"))
}

// GetClusterStatus returns the status of a cluster, and each controller's report that it is made of.
func (c *Client) GetClusterStatus(ctx context.Context, id string) (v1.ClusterStatus, error) {
	return call[v1.ClusterStatus](ctx, c, newRequest(http.MethodGet, nil, nil, "clusters", id, "status"))
}

// ReportClusterStatus stores what a controller says of a cluster. It may be repeated: an equal report changes nothing. One that is
// of no use any more is no error; the answer says so. Takes [DryRun].
func (c *Client) ReportClusterStatus(ctx context.Context, id string, report v1.StatusReport, options ...Option) (v1.ReportResult, error) {
	r := newRequest(http.MethodPut, nil, report, "clusters", id, "status")
	r.repeatable = true
	return call[v1.ReportResult](ctx, c, r, options...)
}

// DropClusterStatus forgets what a controller has reported on a cluster. For controllers and administrators. Takes [DryRun].
func (c *Client) DropClusterStatus(ctx context.Context, id, controller string, options ...Option) error {
	_, err := call[struct{}](ctx, c, newRequest(http.MethodDelete, nil, nil, "clusters", id, "status", controller), options...)
	return err
}

// ListClusterRevisions returns one page of the specs that a cluster has had, newest first.
func (c *Client) ListClusterRevisions(ctx context.Context, id string, o PageOptions) (v1.RevisionList, error) {
	return call[v1.RevisionList](ctx, c, newRequest(http.MethodGet, o.query(), nil, "clusters", id, "revisions"))
}

// ClusterRevisions walks through the specs that a cluster has had, newest first, from o.PageToken on. An error ends the walk.
func (c *Client) ClusterRevisions(ctx context.Context, id string, o PageOptions) iter.Seq2[v1.Revision, error] {
	o.Limit = cmp.Or(o.Limit, biggestPage)
	return walk(o.PageToken, func(token string) (v1.RevisionList, error) {
		return c.ListClusterRevisions(ctx, id, PageOptions{o.Limit, token})
	}, func(l v1.RevisionList) ([]v1.Revision, string) { return l.Revisions, l.NextPageToken })
}

// RollbackCluster gives a cluster the spec that it had at a generation, as a new generation. Takes [IfMatch] and [DryRun].
func (c *Client) RollbackCluster(ctx context.Context, id string, to int64, options ...Option) (v1.Cluster, error) {
	q := url.Values{"to": {strconv.FormatInt(to, 10)}}
	return call[v1.Cluster](ctx, c, newRequest(http.MethodPost, q, nil, "clusters", id, "rollback"), options...)
}

// ListClusterEvents returns one page of what has happened to a cluster, the latest first.
func (c *Client) ListClusterEvents(ctx context.Context, id string, o PageOptions) (v1.Timeline, error) {
	return call[v1.Timeline](ctx, c, newRequest(http.MethodGet, o.query(), nil, "clusters", id, "events"))
}

// ClusterEvents walks through what has happened to a cluster, the latest first, from o.PageToken on. An error ends the walk.
func (c *Client) ClusterEvents(ctx context.Context, id string, o PageOptions) iter.Seq2[v1.TimelineEntry, error] {
	o.Limit = cmp.Or(o.Limit, biggestPage)
	return walk(o.PageToken, func(token string) (v1.Timeline, error) {
		return c.ListClusterEvents(ctx, id, PageOptions{o.Limit, token})
	}, func(l v1.Timeline) ([]v1.TimelineEntry, string) { return l.Events, l.NextPageToken })
}
