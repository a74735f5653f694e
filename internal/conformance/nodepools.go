package conformance

import (
	"context"
	"net/http"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func nodePoolChecks() []Check {
	return ofOne([]promise{
		{
			"api/create-answers-the-whole-node-pool", "POST /nodepools answers 201 with every field of the node pool.",
			ofNodePools, createAnswersThePool,
		},
		{
			"api/node-pool-needs-a-cluster-of-yours", "The cluster of a new node pool must be there, and the caller's.",
			ofNodePools, poolNeedsACluster,
		},
		{
			"api/node-pool-name-is-its-clusters", "A name is one node pool's within its cluster: another cluster may have it too.",
			ofNodePools, poolNameIsItsClusters,
		},
		{"api/node-pools-are-listed-by-cluster", "cluster_id, and clusterId, list the node pools of a cluster.", ofNodePools, poolsAreListed},
		{
			"api/node-pool-takes-a-version", "spec.release.version of a node pool is its cluster's at that moment, if it has none.",
			ofNodePools, poolTakesAVersion,
		},
	})
}

func createAnswersThePool(ctx context.Context, p *probe) {
	cluster := p.cluster(ctx).ID
	said := fields{"name": "workers", "cluster_id": cluster, "description": "said", "labels": fields{"a": "b"}, "paused": true}
	r := p.user.post(ctx, nodePools, text(said)).is(http.StatusCreated)
	r.shape("", commonFields).shape("status", statusFields).shape("status.conditions.0", conditionFields)
	r.shows("created_by", p.User).shows("generation", 1).shows("spec", fields{})
	for field, value := range said {
		r.shows(field, value)
	}
}

func poolNeedsACluster(ctx context.Context, p *probe) {
	body := text(fields{"cluster_id": p.cluster(ctx).ID, "name": "workers"})
	p.other.post(ctx, nodePools, body).refused(v1.CodeNotFound, "")
	p.user.post(ctx, nodePools, `{"cluster_id":"`+unknown+`","name":"workers"}`).refused(v1.CodeNotFound, "")
	p.user.post(ctx, nodePools, `{"name":"workers"}`).refused(v1.CodeInvalidField, "cluster_id")
}

func poolNameIsItsClusters(ctx context.Context, p *probe) {
	for range 2 {
		p.user.post(ctx, nodePools, text(fields{"cluster_id": p.cluster(ctx).ID, "name": "workers"})).is(http.StatusCreated)
	}
}

func poolsAreListed(ctx context.Context, p *probe) {
	first, second := p.pool(ctx, p.cluster(ctx).ID), p.pool(ctx, p.cluster(ctx).ID)
	for _, query := range []string{"?clusterId=", "?cluster_id="} {
		p.user.get(ctx, nodePools+query+first.ClusterID).is(http.StatusOK).shows("total", 1).shows("nodepools.0.id", first.ID)
	}
	p.user.get(ctx, clusters+"/"+second.ClusterID+"/nodepools").is(http.StatusOK).shows("total", 1).shows("nodepools.0.id", second.ID)
}

func poolTakesAVersion(ctx context.Context, p *probe) {
	const release = `"release":{"version":"4.19.1"}`
	cluster := p.declare(ctx, p.with(release)).ID
	pool := p.pool(ctx, cluster).ID
	p.change(ctx, cluster, `{"spec":{"release":{"version":"4.19.2"}}}`)
	p.user.get(ctx, nodePools+"/"+pool).is(http.StatusOK).shows("spec.release.version", "4.19.1").shows("generation", 1)
}
