package main

import (
	"context"
	"iter"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// resource is a cluster or a node pool: what both have, and the answer of the service itself.
type resource struct {
	v1.NodePool // of a cluster without a ClusterID

	kind    *kind
	project string
	answer  any
}

// title is how commands speak of it: cluster/hello.
func (r resource) title() string { return r.kind.name + "/" + r.Name }

// report is what controllers have said of a resource, whatever it is.
type report struct {
	v1.NodePoolStatus

	answer any
}

// filter is what a list is asked for; clusters have no use for its ClusterID.
type filter = client.NodePoolListOptions

// kind is clusters or node pools: what the service can do with them, with the same types for both.
type kind struct {
	name   string
	plural string

	page      func(context.Context, filter) (page, error)
	get       func(ctx context.Context, id string) (resource, error)
	create    func(context.Context, document, ...client.Option) (resource, error)
	update    func(ctx context.Context, id string, d document, options ...client.Option) (resource, error)
	patch     func(ctx context.Context, id string, patch v1.Object, options ...client.Option) (resource, error)
	remove    func(ctx context.Context, id string, options ...client.Option) (v1.Deletion, error)
	reconcile func(ctx context.Context, id string, options ...client.Option) (v1.Reconciliation, error)
	status    func(ctx context.Context, id string) (report, error)
	explain   func(ctx context.Context, id string) (v1.Explanation, error)
	events    func(ctx context.Context, id string, o client.PageOptions) iter.Seq2[v1.TimelineEntry, error]
	wait      func(ctx context.Context, id string, want client.Condition) error
	waitGone  func(ctx context.Context, id string, watch func(v1.Status)) error
	// list makes the service's own shape of a list.
	list func([]resource, page) any
}

// page is one page of a list.
type page struct {
	resources    []resource
	total        int64
	isLowerBound bool
	next         string
}

func (s *session) clusters() *kind {
	k := &kind{
		name: "cluster", plural: "clusters", remove: s.api.DeleteCluster, reconcile: s.api.ReconcileCluster,
		explain: s.api.ExplainCluster, events: s.api.ClusterEvents, waitGone: s.api.WaitForDeletion,
	}
	view := func(c v1.Cluster, err error) (resource, error) { return k.ofCluster(c), err }
	k.page = func(ctx context.Context, o filter) (page, error) {
		l, err := s.api.ListClusters(ctx, o.ListOptions)
		return page{each(l.Clusters, k.ofCluster), l.Total, l.TotalIsLowerBound, l.NextPageToken}, err
	}
	k.get = func(ctx context.Context, id string) (resource, error) { return view(s.api.GetCluster(ctx, id)) }
	k.create = func(ctx context.Context, d document, o ...client.Option) (resource, error) {
		return view(s.api.CreateCluster(ctx, d.newCluster(), o...))
	}
	k.update = func(ctx context.Context, id string, d document, o ...client.Option) (resource, error) {
		return view(s.api.UpdateCluster(ctx, id, d.cluster(), o...))
	}
	k.patch = func(ctx context.Context, id string, patch v1.Object, o ...client.Option) (resource, error) {
		return view(s.api.PatchCluster(ctx, id, patch, o...))
	}
	k.status = func(ctx context.Context, id string) (report, error) {
		a, err := s.api.GetClusterStatus(ctx, id)
		of := v1.NodePoolStatus{ClusterID: a.ClusterID, Generation: a.Generation, Status: a.Status, ControllerStatus: a.ControllerStatus}
		return report{of, a}, err
	}
	k.wait = func(ctx context.Context, id string, want client.Condition) error {
		_, err := s.api.WaitFor(ctx, id, want)
		return err
	}
	k.list = func(all []resource, p page) any {
		l := v1.ClusterList{Clusters: []v1.Cluster{}, Total: p.total, TotalIsLowerBound: p.isLowerBound, Limit: len(all)}
		for _, r := range all {
			c, _ := r.answer.(v1.Cluster)
			l.Clusters = append(l.Clusters, c)
		}
		return l
	}
	return k
}

func (k *kind) ofCluster(c v1.Cluster) resource {
	return resource{kind: k, project: c.TargetProjectID, answer: c, NodePool: v1.NodePool{
		ID: c.ID, Name: c.Name, Description: c.Description, Paused: c.Paused, DeletionProtection: c.DeletionProtection,
		CreatedBy: c.CreatedBy, Generation: c.Generation, ResourceVersion: c.ResourceVersion, Labels: c.Labels, Spec: c.Spec, Status: c.Status,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, DeletionTimestamp: c.DeletionTimestamp,
	}}
}

func (s *session) nodePools() *kind {
	k := &kind{
		name: "nodepool", plural: "nodepools", remove: s.api.DeleteNodePool, reconcile: s.api.ReconcileNodePool,
		explain: s.api.ExplainNodePool, events: s.api.NodePoolEvents, waitGone: s.api.WaitForNodePoolDeletion,
	}
	view := func(p v1.NodePool, err error) (resource, error) { return k.ofNodePool(p), err }
	k.page = func(ctx context.Context, o filter) (page, error) {
		l, err := s.api.ListNodePools(ctx, o)
		return page{each(l.NodePools, k.ofNodePool), l.Total, l.TotalIsLowerBound, l.NextPageToken}, err
	}
	k.get = func(ctx context.Context, id string) (resource, error) { return view(s.api.GetNodePool(ctx, id)) }
	k.create = func(ctx context.Context, d document, o ...client.Option) (resource, error) {
		return view(s.api.CreateNodePool(ctx, d.newNodePool(), o...))
	}
	k.update = func(ctx context.Context, id string, d document, o ...client.Option) (resource, error) {
		return view(s.api.UpdateNodePool(ctx, id, d.nodePool(), o...))
	}
	k.patch = func(ctx context.Context, id string, patch v1.Object, o ...client.Option) (resource, error) {
		return view(s.api.PatchNodePool(ctx, id, patch, o...))
	}
	k.status = func(ctx context.Context, id string) (report, error) {
		a, err := s.api.GetNodePoolStatus(ctx, id)
		return report{a, a}, err
	}
	k.wait = func(ctx context.Context, id string, want client.Condition) error {
		_, err := s.api.WaitForNodePool(ctx, id, want)
		return err
	}
	k.list = func(all []resource, p page) any {
		l := v1.NodePoolList{NodePools: []v1.NodePool{}, Total: p.total, TotalIsLowerBound: p.isLowerBound, Limit: len(all)}
		for _, r := range all {
			l.NodePools = append(l.NodePools, r.NodePool)
		}
		return l
	}
	return k
}

func (k *kind) ofNodePool(p v1.NodePool) resource { return resource{kind: k, answer: p, NodePool: p} }

func each[A, B any](all []A, of func(A) B) []B {
	made := make([]B, 0, len(all))
	for _, a := range all {
		made = append(made, of(a))
	}
	return made
}

// biggestPage is how many a page has at most. A whole list takes as few as it can.
const biggestPage = 100

// pages goes through a list page by page, up to o.Limit resources when that is not 0. An error ends it.
func (k *kind) pages(ctx context.Context, o filter) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		for limit, seen := o.Limit, 0; ; {
			o.Limit = biggestPage
			if limit > 0 {
				o.Limit = min(biggestPage, limit-seen)
			}
			p, err := k.page(ctx, o)
			seen += len(p.resources)
			if !yield(p, err) || err != nil || p.next == "" || limit > 0 && seen >= limit {
				return
			}
			o.PageToken = p.next
		}
	}
}

// all reads a list to its end, or up to o.Limit when that is not 0. The page that it returns is the first, whose
// resources are all.
func (k *kind) all(ctx context.Context, o filter) (page, error) {
	whole := page{total: -1}
	for p, err := range k.pages(ctx, o) {
		if err != nil {
			return page{}, err
		}
		if whole.total < 0 {
			whole.total, whole.isLowerBound = p.total, p.isLowerBound
		}
		if whole.resources = append(whole.resources, p.resources...); p.next == "" {
			whole.total, whole.isLowerBound = int64(len(whole.resources)), false
		}
	}
	return whole, nil
}

// kindOf returns the kind that a word means; nil when it means none.
func (s *session) kindOf(word string) *kind {
	switch canonical(word) {
	case "clusters":
		return s.clusters()
	case "nodepools":
		return s.nodePools()
	}
	return nil
}

// canonical is the plural of what a word means: a singular, a plural, or short for either. What means no kind is "".
func canonical(word string) string {
	switch strings.ToLower(word) {
	case "cluster", "clusters":
		return "clusters"
	case "nodepool", "nodepools", "np":
		return "nodepools"
	case "controller", "controllers":
		return "controllers"
	}
	return ""
}
