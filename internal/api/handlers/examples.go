package handlers

import (
	"encoding/json"
	"net/http"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The examples of the document tell one story: a cluster on gcp that is Ready at its
// first generation.
const (
	exampleID      = "01936b5e-8c4a-7c3e-9d5f-2b8f0a6c1e47"
	examplePoolID  = "01936b5f-1d02-7a41-b6e3-7c9d2e5f8a10"
	exampleEventID = "01936b5e-8c4b-7f10-8a2d-6f0d1c9b3a52"
	exampleRequest = "01936b5e-8c49-7d22-b1a4-93c5e7f80d16"
)

// examples are those of one kind of resource.
type examples struct {
	create, update, patch, one, list, status any

	deletion       v1.Deletion
	reconciliation v1.Reconciliation
	reported       v1.ReportResult
	explanation    v1.Explanation
	// deletionSays is what the document says of a deletion.
	deletionSays string
}

func clusterExamples() examples {
	return examples{
		create: exampleCreate(), update: exampleUpdate(), patch: examplePatch(), one: exampleCluster(), list: exampleList(),
		status: exampleStatus(),
		deletion: v1.Deletion{
			ClusterID: exampleID, Message: "the cluster is being deleted; waiting for dns", Generation: 2,
			DeletionTimestamp: exampleTime(), WaitingFor: []string{"dns"},
		},
		reconciliation: v1.Reconciliation{ClusterID: exampleID, Message: "the controllers are being woken", EventID: exampleEventID},
		reported:       exampleReportResult(),
		explanation:    exampleExplanation("cluster"),
		deletionSays: "Begins the deletion of a cluster and, before its own, that of its node pools, and tells every controller with " +
			"cluster.deleted and nodepool.deleted events. " + holdersSay + " A cluster is gone after the last of its node pools.",
	}
}

// holdersSay is what the document says of a deletion of either kind.
const holdersSay = "It waits for its holders: the controllers registered to finalize it, and those whose report on it has a condition " +
	"Finalized. A holder lets go by reporting Finalized=True; without holders the deletion ends at once. Until it ends the phase is " +
	"Deleting, the name is taken, changes are refused, and the event is sent again every 30 seconds. Afterwards it is a 404, and " +
	"reports on it are still answered. A second call changes nothing and says who is waited for; with force=true it ends the waiting."

func nodePoolExamples() examples {
	of := clusterExamples()
	of.create, of.one, of.list, of.status = exampleCreatePool(), examplePool(), examplePoolList(), examplePoolStatus()
	of.deletion.NodePoolID, of.reconciliation.NodePoolID, of.reported.NodePoolID = examplePoolID, examplePoolID, examplePoolID
	of.explanation = exampleExplanation("node pool")
	of.explanation.NodePoolID, of.explanation.NextEvent.Type = examplePoolID, v1.NodePoolReconcile
	of.deletion.Message = "the node pool is being deleted; waiting for dns"
	of.deletionSays = "Begins the deletion of a node pool, and tells every controller with a nodepool.deleted event. " + holdersSay
	return of
}

func exampleCreatePool() v1.CreateNodePool {
	return v1.CreateNodePool{
		ClusterID: exampleID, Name: "workers", Labels: map[string]string{"tier": "general"},
		Spec: v1.Object(`{"platform":{"type":"gcp"},"replicas":3,"release":{"version":"4.19.2"}}`),
	}
}

func examplePool() v1.NodePool {
	in := exampleCreatePool()
	return v1.NodePool{
		ID: examplePoolID, ClusterID: in.ClusterID, Name: in.Name, CreatedBy: "ada@example.com", Generation: 1, ResourceVersion: "4",
		Labels: in.Labels, Spec: in.Spec, Status: exampleReady(), CreatedAt: exampleTime(), UpdatedAt: exampleTime(),
	}
}

func examplePoolList() v1.NodePoolList {
	return v1.NodePoolList{NodePools: []v1.NodePool{examplePool()}, Total: 1, Limit: 50}
}

func examplePoolStatus() v1.NodePoolStatus {
	reports := exampleStatus().ControllerStatus
	reports[0].NodePoolID = examplePoolID
	return v1.NodePoolStatus{
		NodePoolID: examplePoolID, ClusterID: exampleID, Generation: 1, Status: exampleReady(), ControllerStatus: reports,
	}
}

func exampleTime() time.Time { return time.Date(2025, 6, 2, 9, 30, 0, 123456000, time.UTC) }

func exampleSpec() v1.Object {
	return v1.Object(`{"platform":{"type":"gcp","gcp":{"region":"europe-west4"}},"release":{"version":"4.19.2"}}`)
}

func exampleCreate() v1.CreateCluster {
	return v1.CreateCluster{
		Name: "orders", TargetProjectID: "orders-prod", Description: "The order service",
		Labels: map[string]string{"env": "prod"}, Spec: exampleSpec(),
	}
}

func exampleUpdate() any {
	return map[string]any{"spec": exampleSpec(), "generation": 1}
}

func examplePatch() any {
	return map[string]any{"spec": map[string]any{"nodes": map[string]any{"replicas": 5}}, "labels": map[string]any{"team": nil}}
}

func exampleCluster() v1.Cluster {
	in := exampleCreate()
	return v1.Cluster{
		ID: exampleID, Name: in.Name, TargetProjectID: in.TargetProjectID, Description: in.Description,
		CreatedBy: "ada@example.com", Generation: 1, ResourceVersion: "7", Labels: in.Labels, Spec: in.Spec,
		Status: exampleReady(), CreatedAt: exampleTime(), UpdatedAt: exampleTime(),
	}
}

func exampleReady() v1.Status {
	at := exampleTime().Add(8 * time.Second)
	condition := func(name string, status v1.ConditionStatus, reason, message string) v1.Condition {
		return v1.Condition{Type: name, Status: status, Reason: reason, Message: message, LastTransitionTime: at, ObservedGeneration: 1}
	}
	const message = "2 of 2 controllers ready"
	return v1.Status{
		ObservedGeneration: 1, Phase: v1.PhaseReady, Reason: "AllControllersReady", Message: message, LastUpdateTime: at,
		Conditions: []v1.Condition{
			condition(v1.ConditionReady, v1.ConditionTrue, "AllControllersReady", message),
			condition(v1.ConditionAvailable, v1.ConditionTrue, "AllControllersAvailable", message),
			condition(v1.ConditionProgressing, v1.ConditionFalse, "AllControllersReady", message),
			condition(v1.ConditionDegraded, v1.ConditionFalse, "AsExpected", "no controller has an error"),
		},
	}
}

func exampleList() v1.ClusterList {
	return v1.ClusterList{Clusters: []v1.Cluster{exampleCluster()}, Total: 1, Limit: 50}
}

func exampleReport() v1.StatusReport {
	at := exampleTime()
	return v1.StatusReport{
		ControllerName: "dns", ObservedGeneration: 1, Metadata: v1.Object(`{"zone":"orders.example.com"}`),
		Conditions: []v1.ReportedCondition{{
			Type: v1.ConditionAvailable, Status: v1.ConditionFalse, Reason: "ZonePending", Message: "the zone is being made",
			LastTransitionTime: &at,
		}},
		LastError: &v1.ReportError{
			ErrorType: v1.ErrorTransient, ErrorCode: "QUOTA", Message: "too many zones", Details: json.RawMessage(`{"limit":10}`),
			RetryAfter: json.RawMessage(`"30s"`), Timestamp: &at,
		},
	}
}

func exampleReportResult() v1.ReportResult {
	return v1.ReportResult{
		Message: "the report is stored", ClusterID: exampleID, ControllerName: "dns", ObservedGeneration: 1, Applied: true,
	}
}

func exampleStatus() v1.ClusterStatus {
	r := exampleReport()
	return v1.ClusterStatus{
		ClusterID: exampleID, Generation: 1, Status: exampleReady(),
		ControllerStatus: []v1.ControllerStatus{{
			ClusterID: exampleID, ControllerName: r.ControllerName, ObservedGeneration: 1, Conditions: r.Conditions,
			Metadata: r.Metadata, LastUpdated: exampleTime(),
		}},
	}
}

func exampleExplanation(noun string) v1.Explanation {
	at, due := exampleTime(), exampleTime().Add(30*time.Second)
	return v1.Explanation{
		ClusterID: exampleID, Generation: 1, Phase: v1.PhaseProgressing, Reason: models.ReasonPartialProgress,
		Sentences: []string{
			"The " + noun + " is Progressing at generation 1: 1 of 2 controllers ready; waiting for dns.",
			`dns has not been available since 2025-06-02T09:30:00Z; it says "the zone is being made".`,
		},
		WaitingFor: []v1.WaitedFor{{ControllerName: "dns", Why: v1.WaitNotAvailable, Message: "the zone is being made", Since: &at}},
		NextEvent:  &v1.NextEvent{Type: v1.ClusterReconcile, DueAt: due, Lane: v1.ReasonAttention},
	}
}

func exampleRegistration() v1.RegisterController {
	return v1.RegisterController{Platforms: []string{"gcp"}, Kinds: []string{"cluster"}, Finalizes: true, Required: true}
}

func exampleController() v1.Controller {
	in, at := exampleRegistration(), exampleTime()
	return v1.Controller{
		Name: "dns", Registered: true, Platforms: in.Platforms, Kinds: in.Kinds, Finalizes: true, Required: true,
		FirstSeenAt: at, LastHeartbeat: &at, Clusters: 12, Lag: 1,
	}
}

func exampleControllers() v1.ControllerList {
	return v1.ControllerList{Controllers: []v1.Controller{exampleController()}}
}

func exampleRevisions() v1.RevisionList {
	return v1.RevisionList{Limit: 50, Revisions: []v1.Revision{{
		Generation: 2, CreatedBy: "ada@example.com", CreatedAt: exampleTime(), RequestID: exampleRequest,
		Diff: json.RawMessage(`[{"op":"replace","path":"/release/version","value":"4.19.2"}]`),
	}}}
}

func exampleTimeline() v1.Timeline {
	return v1.Timeline{Limit: 50, Events: []v1.TimelineEntry{{
		ID: exampleEventID, Time: exampleTime(), What: v1.TimelineChange, Generation: 1, RequestID: exampleRequest,
		EventID: exampleEventID, EventType: v1.ClusterCreated, Reason: v1.ReasonCreated, UserEmail: "ada@example.com",
	}}}
}

func exampleInfo() v1.Info {
	return v1.Info{
		Service: v1.Source, Version: "1.4.0", GitCommit: "9fceb02", BuildTime: "2025-06-02T08:00:00Z",
		APIVersion: "v1", Environment: "production",
	}
}

func exampleHealth(status string) v1.Health {
	h := v1.Health{Status: status, Timestamp: exampleTime(), Components: map[string]v1.Component{
		"database": {Status: v1.Healthy}, "pubsub": {Status: v1.Healthy},
	}}
	if status == v1.Unhealthy {
		h.Components["database"] = v1.Component{Status: v1.Unhealthy, Message: "no answer"}
	}
	return h
}

// sentences are what the examples of errors say.
var sentences = map[v1.Code]v1.ErrorDetails{ //nolint:gochecknoglobals // a constant table
	v1.CodeInvalidJSON:          fault("body", "is not valid JSON (at byte 17)", nil),
	v1.CodeInvalidField:         fault("name", "is required", nil),
	v1.CodeInvalidID:            fault("id", "must be a UUID", "orders"),
	v1.CodeInvalidQuery:         fault("limit", "must be a whole number between 1 and 100", "1000"),
	v1.CodeInvalidPageToken:     fault("page_token", models.NoSuchPage, nil),
	v1.CodeAmbiguousIdentity:    fault("X-User-Email", "is ambiguous", nil),
	v1.CodeClusterNameExists:    fault("name", "is the name of another of your clusters", nil),
	v1.CodeNodePoolNameExists:   fault("name", "is the name of another node pool of the cluster", nil),
	v1.CodeUnsupportedMediaType: fault("Content-Type", "must be application/json", "text/plain"),
	v1.CodeIdempotencyKeyReused: fault("Idempotency-Key", "was sent with another body before", nil),
}

func fault(field, reason string, value any) v1.ErrorDetails {
	return v1.ErrorDetails{Field: field, Value: value, Errors: []v1.FieldError{{Field: field, Reason: reason, Value: value}}}
}

func sentence(code v1.Code) (string, *v1.ErrorDetails) {
	if d, ok := sentences[code]; ok {
		return d.Errors[0].Field + " " + d.Errors[0].Reason, &d
	}
	return "a sentence that says what is wrong", nil
}

func exampleError(code v1.Code) v1.ErrorBody {
	text, details := sentence(code)
	return v1.ErrorBody{Error: text, Message: text, Code: code, Details: details, RequestID: exampleRequest}
}

func exampleProblem(code v1.Code) v1.Problem {
	text, details := sentence(code)
	p := v1.Problem{
		Type: "about:blank", Title: http.StatusText(code.HTTPStatus()), Status: code.HTTPStatus(), Detail: text,
		Code: code, RequestID: exampleRequest,
	}
	if details != nil {
		p.Errors = details.Errors
	}
	return p
}
