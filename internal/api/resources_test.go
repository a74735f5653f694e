package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

func TestResources_LiveAndDie(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		created := of.do(call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"orders","labels":{"env":"prod"},"spec":{"platform":{"type":"GCP"},"n":1.50}}`)}).is(http.StatusCreated)
		c := into[resource](created)
		path := of.path + "/" + c.ID
		if got := created.header.Get("Location"); got != path {
			t.Errorf("Location %q, want %q", got, path)
		}
		if c.Status.Phase != v1.PhasePending || len(c.Status.Conditions) != 4 || c.ClusterID != of.home {
			t.Errorf("a new %s is %s", of.kind, created.body)
		}
		same := func(r reply) {
			t.Helper()
			if diff := cmp.Diff(c, into[resource](r.is(http.StatusOK))); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
			if got, want := r.header.Get("ETag"), `"`+c.ResourceVersion+`"`; got != want {
				t.Errorf("ETag %q, want %q", got, want)
			}
		}
		same(of.get(ada, path))
		same(of.get(ada, of.path+"/"+strings.ToUpper(c.ID)))
		same(of.do(call{method: "PUT", path: path, as: ada, body: created.body, header: http.Header{"If-Match": {created.header.Get("ETag")}}}))

		changed := of.do(call{
			method: "PUT", path: path, as: ada, body: `{"spec":{"platform":{"type":"gcp"}},"generation":1,"description":null}`,
			header: http.Header{"If-Match": {`"77"`, created.header.Get("ETag")}},
		}).is(http.StatusOK)
		if got := into[resource](changed); got.Generation != 2 || got.Labels["env"] != "prod" || changed.header.Get("ETag") == created.header.Get("ETag") {
			t.Errorf("changed to %s", changed.body)
		}
		cluster, pool := of.ids(c.ID)
		woken := into[v1.Reconciliation](of.do(call{method: "POST", path: path + "/reconcile", as: ada}).is(http.StatusAccepted))
		if woken.ClusterID != cluster || woken.NodePoolID != pool || woken.EventID == "" {
			t.Errorf("woken: %+v", woken)
		}
		gone := into[v1.Deletion](of.do(call{method: "DELETE", path: path + "?force=true&reason=no%20longer%20needed", as: ada}).is(http.StatusAccepted))
		if gone.ClusterID != cluster || gone.NodePoolID != pool || gone.Message == "" || gone.Generation != 3 {
			t.Errorf("deleted: %+v", gone)
		}
		of.get(ada, path).fails(v1.CodeNotFound)
		of.get(controller, path).fails(v1.CodeNotFound)
		of.declare(ada, `{"name":"orders"}`) // The name is free again.
	})
}

func TestResources_OutputOnlyFieldsAreIgnored(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		c := of.declare(ada, `{"id":"x","created_by":"eve@example.com","generation":9,"resource_version":"9","status":{"phase":"Ready"},
			"created_at":"x","updated_at":1,"deletion_timestamp":null,"name":"orders","spec":null,"labels":null,"paused":null}`)
		if c.CreatedBy != ada || c.Generation != 1 || c.Status.Phase != v1.PhasePending || c.ID == "x" {
			t.Errorf("created %+v", c)
		}
		r := of.do(call{method: "PUT", path: of.path + "/" + c.ID, as: ada, body: `{"spec":{"a":1},"created_by":7,"status":"x","resource_version":null}`})
		if got := into[resource](r.is(http.StatusOK)); got.CreatedBy != ada || got.Generation != 2 {
			t.Errorf("updated to %+v", got)
		}
	})
}

func TestResources_FiltersAndPages(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		of.declare(ada, `{"name":"a","labels":{"env":"prod","tier":"1"},"spec":{"platform":{"type":"gcp"}}}`)
		of.declare(ada, `{"name":"b","labels":{"env":"test"},"spec":{"platform":{"type":"AWS"}}}`)
		of.declare(ada, `{"name":"c","labels":{"env":"prod"}}`)
		lists := []string{of.path}
		if of.kind == models.KindNodePool {
			lists = append(lists, clusters+"/"+of.home+"/nodepools")
		}
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
			for _, path := range lists {
				list := into[page](of.get(ada, path+"?"+query).is(http.StatusOK))
				if got := list.names(); got != want {
					t.Errorf("%s?%s lists %q, want %q", path, query, got, want)
				}
				if strings.Contains(query, "limit") && list.Total != 3 {
					t.Errorf("%s?%s: total %d, want that of the whole query", path, query, list.Total)
				}
			}
		}
	})
}

func TestResources_AReportIsSeenInTheStatus(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		id := of.declare(ada, `{"name":"orders"}`).ID
		cluster, pool := of.ids(id)
		none := of.status(id)
		if none.ControllerStatus == nil || len(none.ControllerStatus) != 0 || none.ClusterID != cluster || none.NodePoolID != pool {
			t.Errorf("without reports: %#v", none)
		}
		r := of.report(id, reportBody)
		if !r.Applied || r.ControllerName != "dns" || r.ObservedGeneration != 1 || r.ClusterID != cluster || r.NodePoolID != pool {
			t.Errorf("report: %+v", r)
		}
		got := of.status(id)
		if got.Status.Phase != v1.PhaseReady || len(got.ControllerStatus) != 1 {
			t.Fatalf("status: %+v", got)
		}
		if of := got.ControllerStatus[0]; of.ControllerName != "dns" || of.ClusterID != cluster || of.NodePoolID != pool {
			t.Errorf("stored: %+v", of)
		}
		of.do(call{method: "DELETE", path: of.path + "/" + id, as: ada}).is(http.StatusAccepted)
		deleted := map[models.Kind]string{models.KindCluster: v1.NotAppliedDeleted, models.KindNodePool: v1.NotAppliedNodePoolDeleted}[of.kind]
		if r := of.report(id, reportBody); r.Applied || r.Reason != deleted || r.ClusterID != cluster || r.NodePoolID != pool {
			t.Errorf("a report on a deleted %s: %+v", of.kind, r)
		}
	})
}
