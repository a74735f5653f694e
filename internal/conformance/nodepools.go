package conformance

import (
	"context"
	"net/http"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func nodePoolChecks() []Check {
	return []Check{
		{
			"api/create-answers-the-whole-node-pool", "POST /nodepools answers 201 with every field of the node pool.",
			ofNodePools, createAnswersThePool,
		},
		{
			"api/node-pool-needs-a-cluster-of-yours", "The cluster of a new node pool must be there, and the caller's.",
			ofNodePools, poolNeedsACluster,
		},
		{"api/node-pool-name-is-taken-once", "A name is one node pool's within its cluster.", ofNodePools, poolNameIsTakenOnce},
		{"api/node-pools-are-listed-by-cluster", "cluster_id, and clusterId, list the node pools of a cluster.", ofNodePools, poolsAreListed},
	}
}

// pool makes a node pool of a cluster.
func (p *probe) pool(ctx context.Context, cluster string) v1.NodePool {
	return got[v1.NodePool](p)(p.user.CreateNodePool(ctx, v1.CreateNodePool{ClusterID: cluster, Name: p.name(), Spec: p.spec()}))
}

func createAnswersThePool(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	r := p.user.post(ctx, nodePools, `{"cluster_id":"`+c.ID+`","name":"workers","spec":`+p.spec(`"n":1`).String()+`}`).is(http.StatusCreated)
	r.shape("", commonFields).shape("status", statusFields).shows("cluster_id", c.ID).shows("created_by", p.User).shows("spec.n", 1)
	r.has("ETag", `"`+text(r.at("resource_version"))+`"`)
}

func poolNeedsACluster(ctx context.Context, p *probe) {
	body := `{"cluster_id":"` + p.cluster(ctx).ID + `","name":"workers"}`
	p.other.post(ctx, nodePools, body).refused(v1.CodeNotFound, "")
	p.user.post(ctx, nodePools, `{"cluster_id":"`+unknown+`","name":"workers"}`).refused(v1.CodeNotFound, "")
	p.user.post(ctx, nodePools, `{"name":"workers"}`).refused(v1.CodeInvalidField, "cluster_id")
}

func poolNameIsTakenOnce(ctx context.Context, p *probe) {
	pool := p.pool(ctx, p.cluster(ctx).ID)
	same := v1.CreateNodePool{ClusterID: pool.ClusterID, Name: pool.Name}
	_, err := p.user.CreateNodePool(ctx, same)
	p.refuses(err, v1.CodeNodePoolNameExists)
	same.ClusterID = p.cluster(ctx).ID
	got[v1.NodePool](p)(p.user.CreateNodePool(ctx, same))
}

func poolsAreListed(ctx context.Context, p *probe) {
	first, second := p.pool(ctx, p.cluster(ctx).ID), p.pool(ctx, p.cluster(ctx).ID)
	for _, query := range []string{"?clusterId=", "?cluster_id="} {
		p.user.get(ctx, nodePools+query+first.ClusterID).is(http.StatusOK).shows("total", 1).shows("nodepools.0.id", first.ID)
	}
	p.user.get(ctx, clusters+"/"+second.ClusterID+"/nodepools").is(http.StatusOK).shows("total", 1).shows("nodepools.0.id", second.ID)
}
