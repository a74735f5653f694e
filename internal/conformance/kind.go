package conformance

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The paths that checks call.
const (
	clusters    = "/api/v1/clusters"
	nodePools   = "/api/v1/nodepools"
	controllers = "/api/v1/controllers"
)

// kind is clusters or node pools, in the words of the API.
type kind struct {
	models.Kind

	// path is that of all of them; list is the field of a list that has them, id the one that names one elsewhere.
	path, list, id string
	// place is the field that says where one is, for life.
	place string
	// nameExists refuses a name that is taken, deleted is why a report on what is gone is not applied.
	nameExists v1.Code
	deleted    string
}

func inWords(k models.Kind) kind {
	if k == models.KindNodePool {
		return kind{k, nodePools, "nodepools", "nodepool_id", "cluster_id", v1.CodeNodePoolNameExists, v1.NotAppliedNodePoolDeleted}
	}
	return kind{k, clusters, "clusters", "cluster_id", "target_project_id", v1.CodeClusterNameExists, v1.NotAppliedDeleted}
}

// ofNodePool is the name of the check that holds node pools to a promise that is made of clusters.
func ofNodePool(check string) string {
	area, name, _ := strings.Cut(check, "/")
	return area + "/nodepool-" + name
}

// resource is a cluster or a node pool, as the API answers it.
type resource struct {
	v1.Cluster

	// ClusterID is a node pool's.
	ClusterID string `json:"cluster_id"`
}

// cluster is the one that a node pool is of, or the cluster itself.
func (r resource) cluster() string { return cmp.Or(r.ClusterID, r.ID) }

// fields are those of a JSON object.
type fields = map[string]any

// path is that of a resource of the check's kind.
func (p *probe) path(id string) string { return p.kind.path + "/" + id }

// spec returns the JSON of a spec of the run's platform, with more fields, such as "n":1.
func (p *probe) spec(more ...string) v1.Object {
	return v1.Object(`{"platform":{"type":"` + p.platform + `"}` + strings.Join(append([]string{""}, more...), ",") + `}`)
}

// with is a body, or a part of one, that has such a spec.
func (p *probe) with(more ...string) fields { return fields{"spec": p.spec(more...)} }

// body declares a resource of the check's kind. Unless the fields say otherwise it is of the run's platform, and has a name
// that nothing else has; a node pool is of the check's own cluster.
func (p *probe) body(ctx context.Context, more fields) string {
	all := fields{"name": p.name(), "spec": p.spec()}
	if p.kind.Kind == models.KindNodePool {
		all["cluster_id"] = p.home(ctx)
	}
	maps.Copy(all, more)
	return text(all)
}

// home is the cluster of the check's node pools.
func (p *probe) home(ctx context.Context) string {
	if p.homeID == "" {
		p.homeID = p.cluster(ctx).ID
	}
	return p.homeID
}

// declared makes a resource of the check's kind, the user's; declare returns it as it was answered.
func (p *probe) declared(ctx context.Context, more fields) reply {
	return p.user.post(ctx, p.kind.path, p.body(ctx, more)).is(http.StatusCreated)
}

func (p *probe) declare(ctx context.Context, more fields) resource {
	return into[resource](p.declared(ctx, more))
}

// cluster makes a cluster, and pool a node pool of one, whatever the check's kind.
func (p *probe) cluster(ctx context.Context) resource {
	body := text(fields{"name": p.name(), "spec": p.spec()})
	return into[resource](p.user.post(ctx, clusters, body).is(http.StatusCreated))
}

func (p *probe) pool(ctx context.Context, cluster string) resource {
	body := text(fields{"name": p.name(), "cluster_id": cluster, "spec": p.spec()})
	return into[resource](p.user.post(ctx, nodePools, body).is(http.StatusCreated))
}

// look returns a resource as its user sees it.
func (p *probe) look(ctx context.Context, id string) resource {
	return into[resource](p.user.get(ctx, p.path(id)).is(http.StatusOK))
}

// change patches a resource.
func (p *probe) change(ctx context.Context, id, patch string) {
	p.user.patch(ctx, p.path(id), patch).is(http.StatusOK)
}

// reported sends a report and returns the answer; report expects it to be applied.
func (p *probe) reported(ctx context.Context, id string, r v1.StatusReport) reply {
	return p.robot.put(ctx, p.path(id)+"/status", text(r)).is(http.StatusOK)
}

func (p *probe) report(ctx context.Context, id string, r v1.StatusReport) {
	p.reported(ctx, id, r).shows("applied", true)
}

// remove asks for the deletion of a resource; the query may force it.
func (p *probe) remove(ctx context.Context, id, query string) v1.Deletion {
	return into[v1.Deletion](p.user.remove(ctx, p.path(id)+query).is(http.StatusAccepted))
}

// forced is the query of a DELETE that is forced.
const forced = "?force=true&reason=conformance"

// gone expects a resource to be found no more, by nobody.
func (p *probe) gone(ctx context.Context, id string) {
	p.user.get(ctx, p.path(id)).refused(v1.CodeNotFound, "")
	p.robot.get(ctx, p.path(id)).refused(v1.CodeNotFound, "")
}
