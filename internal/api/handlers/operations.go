package handlers

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// clustersPath is the collection; the others hang on it.
const (
	clustersPath = "/api/v1/clusters"
	clusterPath  = clustersPath + "/{id}"
)

// Register adds every call to the API and to its document.
func (h *Handlers) Register(api huma.API) {
	h.registerClusters(api)
	h.registerStatus(api)
	h.registerProbes(api)
}

func (h *Handlers) registerClusters(api huma.API) {
	huma.Register(api, spec{
		id: "listClusters", method: http.MethodGet, path: clustersPath, tag: tagClusters,
		summary: "List clusters",
		description: "Newest first. A user sees the own clusters, controllers and administrators all. " +
			"A filter that is not understood is refused, never ignored.",
		params:  listParams(),
		success: success{http.StatusOK, "A page of clusters", exampleList()},
		errors:  []v1.Code{v1.CodeInvalidQuery, v1.CodeForbidden},
	}.operation(), h.List)
	huma.Register(api, spec{
		id: "getCluster", method: http.MethodGet, path: clusterPath, tag: tagClusters,
		summary: "Get a cluster", description: "The cluster with its status as of now. Its ETag is the resource version.",
		success: success{http.StatusOK, "The cluster", exampleCluster()},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeNotFound},
		tagged:  true,
	}.operation(), h.Get)
	h.registerChanges(api)
}

func (h *Handlers) registerChanges(api huma.API) {
	writers := h.only(api, models.Actor.MayWrite)
	huma.Register(api, spec{
		id: "createCluster", method: http.MethodPost, path: clustersPath, tag: tagClusters,
		summary:     "Create a cluster",
		description: "Declares a cluster and tells every controller with a cluster.created event. Output-only fields are accepted and ignored.",
		success:     success{http.StatusCreated, "The cluster, as it is stored", exampleCluster()},
		errors: []v1.Code{
			v1.CodeInvalidJSON, v1.CodeInvalidField, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeClusterNameExists,
			v1.CodeBodyTooLarge, v1.CodeUnsupportedMediaType,
		},
		only:   writers,
		tagged: true,
	}.operation(), h.Create)
	huma.Register(api, spec{
		id: "updateCluster", method: http.MethodPut, path: clusterPath, tag: tagClusters,
		summary: "Replace the spec of a cluster",
		description: "Replaces spec; description, labels, paused and deletion_protection keep their value when absent. " +
			"Redacted and defaulted fields of the spec that are absent keep theirs, and null removes them. " +
			"A change of the spec begins a new generation; an update that changes nothing leaves no trace.",
		params:  []*huma.Param{ifMatchParam()},
		success: success{http.StatusOK, "The cluster after the change", exampleCluster()},
		errors: []v1.Code{
			v1.CodeInvalidJSON, v1.CodeInvalidField, v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound,
			v1.CodeGenerationConflict, v1.CodeClusterDeleting, v1.CodePreconditionFailed, v1.CodeBodyTooLarge, v1.CodeUnsupportedMediaType,
		},
		only:   writers,
		tagged: true,
	}.operation(), h.Update)
	huma.Register(api, spec{
		id: "patchCluster", method: http.MethodPatch, path: clusterPath, tag: tagClusters,
		summary: "Change parts of a cluster",
		description: "A JSON Merge Patch (RFC 7396) on spec, labels, description, paused and deletion_protection: " +
			"what it does not name keeps its value, and null removes. The result is judged like that of a PUT.",
		params:  []*huma.Param{ifMatchParam()},
		success: success{http.StatusOK, "The cluster after the change", exampleCluster()},
		errors: []v1.Code{
			v1.CodeInvalidJSON, v1.CodeInvalidField, v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound,
			v1.CodeGenerationConflict, v1.CodeClusterDeleting, v1.CodePreconditionFailed, v1.CodeBodyTooLarge, v1.CodeUnsupportedMediaType,
		},
		only:   writers,
		tagged: true,
	}.operation(), h.Patch)
	huma.Register(api, spec{
		id: "deleteCluster", method: http.MethodDelete, path: clusterPath, tag: tagClusters,
		summary: "Delete a cluster",
		description: "Deletes a cluster, frees its name, and tells every controller with a cluster.deleted event. " +
			"Reports on it are still answered.",
		params:  append(deleteParams(), ifMatchParam()),
		success: success{http.StatusAccepted, "The deletion", exampleDeletion()},
		errors: []v1.Code{
			v1.CodeInvalidField, v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound,
			v1.CodeDeletionProtected, v1.CodePreconditionFailed,
		},
		only: writers,
	}.operation(), h.Delete)
	huma.Register(api, spec{
		id: "reconcileCluster", method: http.MethodPost, path: clusterPath + "/reconcile", tag: tagClusters,
		summary: "Wake the controllers of a cluster", description: "Sends a cluster.reconcile event now. A body is ignored.",
		success: success{http.StatusAccepted, "The event that will be published", exampleReconciliation()},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeNotFound},
	}.operation(), h.Reconcile)
}

func (h *Handlers) registerStatus(api huma.API) {
	huma.Register(api, spec{
		id: "getClusterStatus", method: http.MethodGet, path: clusterPath + "/status", tag: tagStatus,
		summary: "Get the status of a cluster", description: "The status, and each controller's report that it is made of.",
		success: success{http.StatusOK, "The status and the reports", exampleStatus()},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeNotFound},
	}.operation(), h.Status)
	huma.Register(api, spec{
		id: "reportClusterStatus", method: http.MethodPut, path: clusterPath + "/status", tag: tagStatus,
		summary: "Report on a cluster",
		description: "For controllers. Unknown fields and nulls pass, and a field of another type counts as absent. " +
			"A report that is of no use any more (of an older generation, or on a deleted cluster) is answered 200 " +
			"with applied false: do not send it again.",
		success: success{http.StatusOK, "What became of the report", exampleReportResult()},
		errors: []v1.Code{
			v1.CodeInvalidJSON, v1.CodeInvalidField, v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound,
			v1.CodeBodyTooLarge, v1.CodeUnsupportedMediaType,
		},
		only: h.only(api, reporters),
	}.operation(), h.Report)
	huma.Register(api, spec{
		id: "dropClusterStatus", method: http.MethodDelete, path: clusterPath + "/status/{controller_name}", tag: tagStatus,
		summary: "Drop a controller's report",
		description: "For controllers and administrators: forgets what a controller has reported on the cluster. " +
			"It is waited for no longer, until it reports again.",
		success: success{http.StatusNoContent, "The report is gone", nil},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound},
		only:    h.only(api, droppers),
	}.operation(), h.Drop)
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
