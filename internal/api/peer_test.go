package api_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Controllers for node pools exist that were written for an older service of this kind. These
// tests do what they do, request by request, and read what they read.

// fields are the keys of an object, in order.
func fields(t *testing.T, text string) []string {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("%v: %.300s", err, text)
	}
	for name, value := range object {
		if string(value) == "null" {
			t.Errorf("%s is null: %.600s", name, text)
		}
	}
	return slices.Sorted(maps.Keys(object))
}

func hasFields(t *testing.T, what, text string, names ...string) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(slices.Values(names)), fields(t, text)); diff != "" {
		t.Errorf("%s: fields -want +got:\n%s", what, diff)
	}
}

// peerReport is a report as those controllers send one: with a null for no error, with the ids in
// the body too, and with fields that nobody listed.
func peerReport(pool, rest string) string {
	return `{"nodepool_id":"` + pool + `","controller_name":"gcp-nodepool","version":"v0.3.1","timestamp":"2025-01-01T00:00:00.123Z","metadata":{"instances":["a","b"],"ready":2},` +
		rest + `}`
}

const (
	peerReady  = `"observed_generation":1,"conditions":[{"type":"Available","status":"True","reason":"Ready","message":"m","severity":"info"}],"last_error":null`
	peerFailed = `"observed_generation":0,"conditions":[],"last_error":{"error_type":"Transient","error_code":"E429","message":"quota","details":{"limit":10,"used":11.5},
		"user_actionable":false,"retry_after":null,"timestamp":"2025-01-01T00:00:00Z"}`
)

// What a controller reads before it works: the node pool of the event, and the status of its cluster.
func TestPeer_ReadsThePoolAndItsClustersStatus(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	id := of.declare(ada, `{"name":"workers","labels":{"tier":"general"},"spec":{"platform":{"type":"gcp"},"replicas":2}}`).ID
	read := of.get(controller, nodepools+"/"+id).is(200)
	hasFields(t, "a node pool", read.body, "id", "cluster_id", "name", "description", "paused", "deletion_protection", "created_by", "generation",
		"resource_version", "labels", "spec", "status", "created_at", "updated_at")
	pool := into[v1.NodePool](read)
	if pool.ID != id || pool.ClusterID != of.home || pool.Generation != 1 || pool.CreatedBy != ada {
		t.Errorf("reads %s", read.body)
	}
	status := of.get(controller, clusters+"/"+pool.ClusterID+"/status").is(200)
	hasFields(t, "the status of its cluster", status.body, "cluster_id", "generation", "status", "controller_status")
	if got := into[v1.ClusterStatus](status); got.ClusterID != of.home || got.Status.Phase != v1.PhasePending {
		t.Errorf("its cluster is %s", status.body)
	}
	listed := into[v1.NodePoolList](of.get(controller, nodepools+"?clusterId="+of.home).is(200))
	if len(listed.NodePools) != 1 || listed.NodePools[0].ID != id {
		t.Errorf("lists %+v", listed)
	}
}

func TestPeer_ReportsWithANullForNoError(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	id := of.declare(ada, `{"name":"workers"}`).ID
	path := nodepools + "/" + id + "/status"
	r := of.do(call{method: "PUT", path: path, as: controller, body: peerReport(id, peerReady)}).is(200)
	hasFields(t, "the answer to a report", r.body, "message", "cluster_id", "nodepool_id", "controller_name", "observed_generation", "applied")
	got := into[v1.ReportResult](r)
	if got.NodePoolID != id || got.ClusterID != of.home || got.ControllerName != "gcp-nodepool" || got.ObservedGeneration != 1 || !got.Applied || got.Message == "" {
		t.Errorf("answered %s", r.body)
	}
	status := of.get(controller, path).is(200)
	hasFields(t, "the status", status.body, "nodepool_id", "cluster_id", "generation", "status", "controller_status")
	s := into[v1.NodePoolStatus](status)
	if s.NodePoolID != id || s.ClusterID != of.home || s.Status.Phase != v1.PhaseReady || len(s.ControllerStatus) != 1 {
		t.Fatalf("status %s", status.body)
	}
	stored := s.ControllerStatus[0]
	if stored.NodePoolID != id || stored.ClusterID != of.home || stored.LastError != nil || strings.Contains(status.body, "last_error") {
		t.Errorf("stored %s", status.body)
	}
	if diff := cmp.Diff(decoded(t, `{"instances":["a","b"],"ready":2}`), decoded(t, stored.Metadata.String())); diff != "" {
		t.Errorf("metadata: -sent +stored:\n%s", diff)
	}
	if got := into[v1.ClusterStatus](of.get(controller, clusters+"/"+of.home+"/status").is(200)); len(got.ControllerStatus) != 0 {
		t.Errorf("a report on a node pool is one on its cluster: %+v", got)
	}
}

// With an error these controllers send generation 0, whatever they worked on: it counts for the
// generation that is.
func TestPeer_ReportsAnErrorAtGenerationZero(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	id := of.declare(ada, `{"name":"workers"}`).ID
	of.report(id, peerReport(id, peerReady))
	of.do(call{method: "PUT", path: nodepools + "/" + id, as: ada, body: `{"spec":{"replicas":9}}`}).is(200)
	if got := of.report(id, peerReport(id, peerFailed)); !got.Applied || got.ObservedGeneration != 2 || got.NodePoolID != id {
		t.Errorf("answered %+v", got)
	}
	s := of.status(id)
	if s.Status.Phase != v1.PhaseProgressing || s.Status.Reason != "ControllersWithErrors" || len(s.ControllerStatus) != 1 {
		t.Fatalf("status %+v", s)
	}
	stored := s.ControllerStatus[0]
	if stored.ObservedGeneration != 2 || stored.LastError == nil || stored.LastError.ErrorCode != "E429" {
		t.Fatalf("stored %+v", stored)
	}
	if diff := cmp.Diff(decoded(t, `{"limit":10,"used":11.5}`), decoded(t, string(stored.LastError.Details))); diff != "" {
		t.Errorf("details: -sent +stored:\n%s", diff)
	}
	of.report(id, peerReport(id, strings.Replace(peerReady, `"observed_generation":1`, `"observed_generation":2`, 1)))
	if s := of.status(id); s.Status.Phase != v1.PhaseReady || s.ControllerStatus[0].LastError != nil {
		t.Errorf("the error went away: %+v", s)
	}
}

// A report that comes after the deletion, of the node pool or of its cluster, is answered: a
// refusal would be redelivered for ever.
func TestPeer_ReportsAfterTheDeletion(t *testing.T) {
	t.Parallel()
	for what, path := range map[string]func(cluster, pool string) string{
		"of the node pool": func(_, pool string) string { return nodepools + "/" + pool },
		"of its cluster":   func(cluster, _ string) string { return clusters + "/" + cluster },
	} {
		of := newBackend(t).collection(models.KindNodePool, ada)
		id := of.declare(ada, `{"name":"workers"}`).ID
		of.report(id, peerReport(id, peerReady))
		of.do(call{method: "DELETE", path: path(of.home, id), as: ada}).is(202)
		of.get(controller, nodepools+"/"+id).fails(v1.CodeNotFound)
		before := of.state()
		for _, rest := range []string{peerReady, peerFailed} {
			r := of.do(call{method: "PUT", path: nodepools + "/" + id + "/status", as: controller, body: peerReport(id, rest)}).is(200)
			hasFields(t, "the answer to a late report", r.body, "message", "cluster_id", "nodepool_id", "controller_name", "observed_generation", "applied", "reason")
			got := into[v1.ReportResult](r)
			if got.Applied || got.Reason != "nodepool_deleted" || got.NodePoolID != id || got.ClusterID != of.home || got.ControllerName != "gcp-nodepool" {
				t.Errorf("after the deletion %s: %s", what, r.body)
			}
		}
		if diff := cmp.Diff(before, of.state()); diff != "" {
			t.Errorf("after the deletion %s something changed:\n%s", what, diff)
		}
	}
}
