package handlers

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Register adds every call to the API and to its document.
func (h *Handlers) Register(api huma.API) {
	(&collection[v1.Cluster, v1.ClusterList, v1.ClusterStatus]{h, models.KindCluster, h.Clusters, clusterExamples()}).register(api)
	pools := &collection[v1.NodePool, v1.NodePoolList, v1.NodePoolStatus]{h, models.KindNodePool, h.NodePools, nodePoolExamples()}
	pools.register(api)
	huma.Register(api, spec{
		id: "listNodePoolsOfCluster", method: http.MethodGet, path: memberPath(models.KindCluster) + "/nodepools", tag: tagNodePools,
		summary: "List the node pools of a cluster", description: "As the list of all node pools with cluster_id.",
		params:  listParams(models.KindNodePool),
		success: success{http.StatusOK, "A page of node pools", pools.examples.list},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeInvalidPageToken, v1.CodeForbidden, v1.CodeNotFound},
	}.operation(), pools.ListWithin)
	h.registerControllers(api)
	h.registerProbes(api)
}

// collectionPath is where the resources of a kind are, memberPath where one of them is.
func collectionPath(kind models.Kind) string { return "/api/v1/" + string(kind) + "s" }
func memberPath(kind models.Kind) string     { return collectionPath(kind) + "/{id}" }

func (c *collection[R, L, S]) register(api huma.API) {
	c.registerReads(api)
	c.registerChanges(api)
	c.registerStatus(api)
	c.registerExplain(api)
	c.registerHistory(api)
}

// name is how the ids of operations spell the kind, a how sentences do, with its article.
func (c *collection[R, L, S]) name() string {
	if c.kind == models.KindNodePool {
		return "NodePool"
	}
	return "Cluster"
}

func (c *collection[R, L, S]) a() string { return "a " + c.kind.Noun() }

func (c *collection[R, L, S]) tag() string { return string(c.kind) + "s" }

func (c *collection[R, L, S]) registerReads(api huma.API) {
	noun := c.kind.Noun()
	huma.Register(api, spec{
		id: "list" + c.name() + "s", method: http.MethodGet, path: collectionPath(c.kind), tag: c.tag(),
		summary: "List " + noun + "s",
		description: "Newest first, unless order_by says otherwise. A user sees the own ones, controllers and administrators all. " +
			"A filter that is not understood is refused, never ignored.",
		params:  c.listParams(),
		success: success{http.StatusOK, "A page of " + noun + "s", c.examples.list},
		errors:  []v1.Code{v1.CodeInvalidQuery, v1.CodeInvalidPageToken, v1.CodeForbidden},
	}.operation(), c.List)
	huma.Register(api, spec{
		id: "get" + c.name(), method: http.MethodGet, path: memberPath(c.kind), tag: c.tag(),
		summary: "Get " + c.a(), description: "The " + noun + " with its status as of now. Its ETag is the resource version.",
		success: success{http.StatusOK, "The " + noun, c.examples.one},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeNotFound},
		tagged:  true,
	}.operation(), c.Get)
}

func (c *collection[R, L, S]) registerChanges(api huma.API) {
	noun, member, writers := c.kind.Noun(), memberPath(c.kind), c.only(api, models.Actor.MayWrite)
	changed := success{http.StatusOK, "The " + noun + " after the change", c.examples.one}
	changeErrors := []v1.Code{
		v1.CodeInvalidJSON, v1.CodeInvalidField, v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound,
		v1.CodeGenerationConflict, v1.CodeClusterDeleting, v1.CodePreconditionFailed, v1.CodeBodyTooLarge, v1.CodeUnsupportedMediaType,
	}
	huma.Register(api, spec{
		id: "create" + c.name(), method: http.MethodPost, path: collectionPath(c.kind), tag: c.tag(),
		summary: "Create " + c.a(),
		description: "Declares " + c.a() + " and tells every controller with a " + c.kind.Event(models.Created) +
			" event. Output-only fields are accepted and ignored.",
		params:  []*huma.Param{idempotencyParam()},
		success: success{http.StatusCreated, "The " + noun + ", as it is stored", c.examples.one},
		errors:  c.createErrors(), only: writers, tagged: true,
	}.operation(), c.Create)
	huma.Register(api, spec{
		id: "update" + c.name(), method: http.MethodPut, path: member, tag: c.tag(),
		summary: "Replace the spec of " + c.a(),
		description: "Replaces spec; description, labels, paused and deletion_protection keep their value when absent. " +
			"Redacted and defaulted fields of the spec that are absent keep theirs, and null removes them. " +
			"A change of the spec begins a new generation; an update that changes nothing leaves no trace. " +
			"What is being deleted takes no change.",
		params: []*huma.Param{ifMatchParam()}, success: changed, errors: changeErrors, only: writers, tagged: true,
	}.operation(), c.Update)
	huma.Register(api, spec{
		id: "patch" + c.name(), method: http.MethodPatch, path: member, tag: c.tag(),
		summary: "Change parts of " + c.a(),
		description: "A JSON Merge Patch (RFC 7396) on spec, labels, description, paused and deletion_protection: " +
			"what it does not name keeps its value, and null removes. The result is judged like that of a PUT.",
		params: []*huma.Param{ifMatchParam()}, success: changed, errors: changeErrors, only: writers, tagged: true,
	}.operation(), c.Patch)
	huma.Register(api, spec{
		id: "delete" + c.name(), method: http.MethodDelete, path: member, tag: c.tag(),
		summary:     "Delete " + c.a(),
		description: c.examples.deletionSays,
		params:      append(deleteParams(), ifMatchParam()),
		success:     success{http.StatusAccepted, "The deletion", c.examples.deletion},
		errors: []v1.Code{
			v1.CodeInvalidField, v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound,
			v1.CodeDeletionProtected, v1.CodePreconditionFailed,
		},
		only: writers,
	}.operation(), c.Delete)
	huma.Register(api, spec{
		id: "reconcile" + c.name(), method: http.MethodPost, path: member + "/reconcile", tag: c.tag(),
		summary: "Wake the controllers of " + c.a(),
		description: "Sends a " + c.kind.Event(models.Reconcile) + " event now, or " + c.kind.Event(models.Deleted) +
			" once more while it is being deleted. A body is ignored.",
		success: success{http.StatusAccepted, "The event that will be published", c.examples.reconciliation},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeNotFound},
	}.operation(), c.Reconcile)
}

func (c *collection[R, L, S]) listParams() []*huma.Param {
	if c.kind == models.KindNodePool {
		return append(listParams(c.kind), clusterParams()...)
	}
	return listParams(c.kind)
}

func (c *collection[R, L, S]) createErrors() []v1.Code {
	codes := []v1.Code{
		v1.CodeInvalidJSON, v1.CodeInvalidField, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeBodyTooLarge, v1.CodeUnsupportedMediaType,
		v1.CodeIdempotencyKeyReused, v1.CodeRequestInFlight,
	}
	if c.kind == models.KindNodePool {
		return append(codes, v1.CodeNodePoolNameExists, v1.CodeNotFound, v1.CodeClusterDeleting)
	}
	return append(codes, v1.CodeClusterNameExists)
}

func (c *collection[R, L, S]) registerStatus(api huma.API) {
	path, noun := memberPath(c.kind)+"/status", c.kind.Noun()
	huma.Register(api, spec{
		id: "get" + c.name() + "Status", method: http.MethodGet, path: path, tag: tagStatus,
		summary: "Get the status of " + c.a(), description: "The status, and each controller's report that it is made of.",
		success: success{http.StatusOK, "The status and the reports", c.examples.status},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeNotFound},
	}.operation(), c.Status)
	huma.Register(api, spec{
		id: "report" + c.name() + "Status", method: http.MethodPut, path: path, tag: tagStatus,
		summary: "Report on " + c.a(),
		description: "For controllers. Unknown fields and nulls pass, and a field of another type counts as absent. " +
			"A report that is of no use any more (of an older generation, of a retired controller, or on a deleted " + noun + ") is answered 200 " +
			"with applied false: do not send it again.",
		success: success{http.StatusOK, "What became of the report", c.examples.reported},
		errors: []v1.Code{
			v1.CodeInvalidJSON, v1.CodeInvalidField, v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound,
			v1.CodeBodyTooLarge, v1.CodeUnsupportedMediaType,
		},
		only: c.only(api, reporters),
	}.operation(), c.Report)
	huma.Register(api, spec{
		id: "drop" + c.name() + "Status", method: http.MethodDelete, path: path + "/{controller_name}", tag: tagStatus,
		summary: "Drop a controller's report",
		description: "For controllers and administrators: forgets what a controller has reported on the " + noun + ". " +
			"It is waited for no longer, until it reports again.",
		success: success{http.StatusNoContent, "The report is gone", nil},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound},
		only:    c.only(api, droppers),
	}.operation(), c.Drop)
}

func (h *Handlers) registerProbes(api huma.API) {
	huma.Register(api, spec{
		id: "getInfo", method: http.MethodGet, path: "/api/v1/info", tag: tagService, open: true,
		summary: "What is running", description: "Name, version and environment of the service.",
		success: success{http.StatusOK, "What is running", exampleInfo()},
		errors:  []v1.Code{v1.CodeInvalidQuery},
	}.operation(), h.GetInfo)
	huma.Register(api, spec{
		id: "getHealth", method: http.MethodGet, path: "/health", tag: tagService, open: true,
		summary:     "Health of the service",
		description: "unhealthy (503) without the database; degraded (200) without Pub/Sub, since the API works and no event is lost.",
		success:     success{http.StatusOK, "Healthy, or degraded", exampleHealth(v1.Healthy)},
		failing:     &success{http.StatusServiceUnavailable, "Unhealthy", exampleHealth(v1.Unhealthy)},
	}.operation(), h.GetHealth)
	huma.Register(api, spec{
		id: "getLive", method: http.MethodGet, path: "/livez", tag: tagService, open: true,
		summary: "Whether the process runs", description: "Answers as long as the process can answer at all.",
		success: success{http.StatusOK, "It runs", v1.Probe{Status: probeOK}},
	}.operation(), h.GetLive)
	huma.Register(api, spec{
		id: "getReady", method: http.MethodGet, path: "/readyz", tag: tagService, open: true,
		summary: "Whether the process may take traffic", description: "Needs the database, and a schema that this version understands.",
		success: success{http.StatusOK, "It may", v1.Probe{Status: probeOK}},
		failing: &success{http.StatusServiceUnavailable, "It may not", v1.Probe{Status: probeNotReady, Reason: "the database is not available"}},
	}.operation(), h.GetReady)
}

// only returns a middleware that lets pass whom may allows. It stands before everything
// that looks at the request, so that nobody learns more than that it is not for them.
func (h *Handlers) only(api huma.API, may func(models.Actor) error) huma.Middlewares {
	return huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		if err := may(h.ActorOf(ctx.Context())); err != nil {
			_ = huma.WriteErr(api, ctx, http.StatusForbidden, "forbidden", err) // A client that has left is no news.
			return
		}
		next(ctx)
	}}
}

// reporters are the controllers, under whatever name: which slot a report is for is known later.
func reporters(by models.Actor) error { return by.MayReport(by.ControllerName) }

// droppers are those who may drop a report, whose it is being known later.
func droppers(by models.Actor) error { return by.MayDropReport(by.ControllerName) }
