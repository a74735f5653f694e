package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func TestClusters_LiveAndDie(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	created := b.do(call{method: "POST", path: clusters, as: ada, body: `{"name":"orders","labels":{"env":"prod"},"spec":{"platform":{"type":"GCP"},"n":1.50}}`}).is(http.StatusCreated)
	c := into[v1.Cluster](created)
	path := clusters + "/" + c.ID
	if got := created.header.Get("Location"); got != path {
		t.Errorf("Location %q, want %q", got, path)
	}
	if c.Status.Phase != v1.PhasePending || len(c.Status.Conditions) != 4 {
		t.Errorf("a new cluster has status %+v", c.Status)
	}
	same := func(r reply) {
		t.Helper()
		if diff := cmp.Diff(c, into[v1.Cluster](r.is(http.StatusOK)), cmp.AllowUnexported()); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
		if got, want := r.header.Get("ETag"), `"`+c.ResourceVersion+`"`; got != want {
			t.Errorf("ETag %q, want %q", got, want)
		}
	}
	same(b.get(ada, path))
	same(b.get(ada, clusters+"/"+strings.ToUpper(c.ID)))
	same(b.do(call{method: "PUT", path: path, as: ada, body: created.body, header: http.Header{"If-Match": {created.header.Get("ETag")}}}))

	changed := b.do(call{
		method: "PUT", path: path, as: ada, body: `{"spec":{"platform":{"type":"gcp"}},"generation":1,"description":null}`,
		header: http.Header{"If-Match": {`"77"`, created.header.Get("ETag")}},
	}).is(http.StatusOK)
	if got := into[v1.Cluster](changed); got.Generation != 2 || got.Labels["env"] != "prod" || changed.header.Get("ETag") == created.header.Get("ETag") {
		t.Errorf("changed to %s", changed.body)
	}
	woken := into[v1.Reconciliation](b.do(call{method: "POST", path: path + "/reconcile", as: ada}).is(http.StatusAccepted))
	if woken.ClusterID != c.ID || woken.EventID == "" {
		t.Errorf("woken: %+v", woken)
	}
	gone := into[v1.Deletion](b.do(call{method: "DELETE", path: path + "?force=true&reason=no%20longer%20needed", as: ada}).is(http.StatusAccepted))
	if gone.ClusterID != c.ID || gone.Message == "" || gone.Generation != 3 {
		t.Errorf("deleted: %+v", gone)
	}
	b.get(ada, path).fails(v1.CodeNotFound)
	b.get(controller, path).fails(v1.CodeNotFound)
	b.create(ada, `{"name":"orders"}`) // The name is free again.
}

func TestClusters_OutputOnlyFieldsAreIgnored(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := b.create(ada, `{"id":"x","created_by":"eve@example.com","generation":9,"resource_version":"9","status":{"phase":"Ready"},
		"created_at":"x","updated_at":1,"deletion_timestamp":null,"name":"orders","spec":null,"labels":null,"paused":null}`)
	if c.CreatedBy != ada || c.Generation != 1 || c.Status.Phase != v1.PhasePending || c.ID == "x" {
		t.Errorf("created %+v", c)
	}
	r := b.do(call{method: "PUT", path: clusters + "/" + c.ID, as: ada, body: `{"spec":{"a":1},"created_by":7,"status":"x","resource_version":null}`})
	if got := into[v1.Cluster](r.is(http.StatusOK)); got.CreatedBy != ada || got.Generation != 2 {
		t.Errorf("updated to %+v", got)
	}
}

func TestClusters_FiltersAndPages(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	b.create(ada, `{"name":"a","labels":{"env":"prod","tier":"1"},"spec":{"platform":{"type":"gcp"}}}`)
	b.create(ada, `{"name":"b","labels":{"env":"test"},"spec":{"platform":{"type":"AWS"}}}`)
	b.create(ada, `{"name":"c","labels":{"env":"prod"}}`)
	for query, want := range map[string]string{
		"":                                      "c b a",
		"limit=2":                               "c b",
		"limit=2&offset=2":                      "a",
		"offset=9":                              "",
		"platform=Gcp":                          "a",
		"platform=aws":                          "b",
		"name=c":                                "c",
		"status=Pending":                        "c b a",
		"status=Ready":                          "",
		"total=exact&limit=1":                   "c",
		"label_selector=env%3Dprod":             "c a",
		"label_selector=env%3Dprod,!tier":       "c",
		"label_selector=env+in+(prod,test)":     "c b a",
		"label_selector=env!%3Dprod&name=b":     "b",
		"label_selector=tier&platform=gcp":      "a",
		"created_by=" + ada + "&platform=azure": "",
	} {
		list := into[v1.ClusterList](b.get(ada, clusters+"?"+query).is(http.StatusOK))
		var names []string
		for _, c := range list.Clusters {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("?%s lists %q, want %q", query, got, want)
		}
		if strings.Contains(query, "limit") && list.Total != 3 {
			t.Errorf("?%s: total %d, want that of the whole query", query, list.Total)
		}
	}
}

func TestClusters_AReportIsSeenInTheStatus(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	path := clusters + "/" + b.create(ada, `{"name":"orders"}`).ID
	none := into[v1.ClusterStatus](b.get(ada, path+"/status").is(http.StatusOK))
	if none.ControllerStatus == nil || len(none.ControllerStatus) != 0 {
		t.Errorf("without reports: %#v", none.ControllerStatus)
	}
	r := into[v1.ReportResult](b.do(call{method: "PUT", path: path + "/status", as: controller, body: reportBody}).is(http.StatusOK))
	if !r.Applied || r.ControllerName != "dns" || r.ObservedGeneration != 1 {
		t.Errorf("report: %+v", r)
	}
	got := into[v1.ClusterStatus](b.get(ada, path+"/status").is(http.StatusOK))
	if got.Status.Phase != v1.PhaseReady || len(got.ControllerStatus) != 1 || got.ControllerStatus[0].ControllerName != "dns" {
		t.Errorf("status: %+v", got)
	}
	b.do(call{method: "DELETE", path: path, as: ada}).is(http.StatusAccepted)
	if r := into[v1.ReportResult](b.do(call{method: "PUT", path: path + "/status", as: controller, body: reportBody}).is(http.StatusOK)); r.Applied || r.Reason != v1.NotAppliedDeleted {
		t.Errorf("a report on a deleted cluster: %+v", r)
	}
}
