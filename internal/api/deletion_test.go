package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// A deletion at the wire, from the report that makes a holder until its name is free.
func TestDeletion_WaitsForItsHolders(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		id := of.declare(ada, `{"name":"orders"}`).ID
		path := of.path + "/" + id
		cluster, pool := of.ids(id)
		first := of.hold(id)
		want := v1.Deletion{ClusterID: cluster, NodePoolID: pool, Message: first.Message, Generation: 2, DeletionTimestamp: first.DeletionTimestamp, WaitingFor: []string{finalizer}}
		if diff := cmp.Diff(want, first); diff != "" || !strings.Contains(first.Message, finalizer) || first.DeletionTimestamp.IsZero() {
			t.Errorf("DELETE: -want +got:\n%s", diff)
		}
		for _, as := range []string{ada, admin, controller} {
			got := into[resource](of.get(as, path).is(http.StatusOK))
			if got.Status.Phase != v1.PhaseDeleting || got.DeletionTimestamp == nil || !got.DeletionTimestamp.Equal(first.DeletionTimestamp) || got.Generation != 2 {
				t.Errorf("GET as %s: %+v", as, got)
			}
			at := slices.IndexFunc(got.Status.Conditions, func(c v1.Condition) bool { return c.Type == v1.ConditionDeleting })
			if at < 0 {
				t.Fatalf("no condition Deleting: %+v", got.Status)
			}
			c := got.Status.Conditions[at]
			if c.Status != v1.ConditionTrue || c.Reason != "WaitingForFinalizers" || c.ObservedGeneration != 2 ||
				!strings.Contains(c.Message, finalizer) || !strings.Contains(c.Message, first.DeletionTimestamp.Format("2006-01-02T15:04:05")) {
				t.Errorf("the condition does not say who is waited for and since when: %+v", c)
			}
		}
		if list := of.list(ada, "status=Deleting"); list.names() != "orders" {
			t.Errorf("Deleting are %q", list.names())
		}
		before := of.state()
		of.do(call{method: "PUT", path: path, as: ada, body: `{"spec":{"a":1}}`}).fails(v1.CodeClusterDeleting)
		of.do(call{method: "PATCH", path: path, as: ada, body: `{"labels":{"a":"b"}}`}).fails(v1.CodeClusterDeleting)
		of.do(call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"orders"}`)}).failsAt(of.nameExists, "name")
		if diff := cmp.Diff(first, of.remove(id, "")); diff != "" {
			t.Errorf("DELETE again: -first +second:\n%s", diff)
		}
		if diff := cmp.Diff(before, of.state()); diff != "" {
			t.Errorf("something changed:\n%s", diff)
		}
		if r := of.report(id, finalized(v1.ConditionTrue)); !r.Applied {
			t.Errorf("letting go: %+v", r)
		}
		for _, as := range []string{ada, admin, controller} {
			of.get(as, path).fails(v1.CodeNotFound)
		}
		of.do(call{method: "DELETE", path: path, as: ada}).fails(v1.CodeNotFound)
		of.declare(ada, `{"name":"orders"}`) // The name is free again.
	})
}

// Who is registered to finalize holds what it is registered for, without a report, and no more.
func TestDeletion_WaitsForWhomFinalizes(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		of.register("storage", `{"platforms":["azure"],"kinds":["`+string(of.kind)+`"],"finalizes":true}`)
		other := of.remove(of.declare(ada, `{"name":"a","spec":{"platform":{"type":"gcp"}}}`).ID, "")
		if other.WaitingFor != nil {
			t.Errorf("of another platform: %+v", other)
		}
		id := of.declare(ada, `{"name":"b","spec":{"platform":{"type":"Azure"}}}`).ID
		if got := of.hold(id); !slices.Equal(got.WaitingFor, []string{"storage", finalizer}) {
			t.Errorf("waits for %v", got.WaitingFor)
		}
		of.report(id, `{"controller_name":"storage","observed_generation":1,"conditions":[{"type":"Finalized","status":"True"}]}`)
		if got := of.remove(id, ""); !slices.Equal(got.WaitingFor, []string{"storage", finalizer}) {
			t.Errorf("a report of the generation before lets go: %+v", got)
		}
		of.report(id, `{"controller_name":"storage","observed_generation":2,"conditions":[{"type":"Finalized","status":"True"}]}`)
		if got := of.remove(id, ""); !slices.Equal(got.WaitingFor, []string{finalizer}) {
			t.Errorf("waits for %v, after one has let go", got.WaitingFor)
		}
		of.report(id, `{"controller_name":"storage","observed_generation":2,"conditions":[{"type":"Finalized","status":"False"}]}`)
		of.report(id, finalized(v1.ConditionTrue))
		of.get(ada, of.path+"/"+id).fails(v1.CodeNotFound) // Once given, it stands.
	})
}

// Force is an ordinary deletion at first. Repeated, it waits for nobody, tells the controllers so,
// and who gave which reason is kept.
func TestDeletion_ForcedIsRecorded(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		id := of.declare(ada, `{"name":"orders"}`).ID
		of.report(id, finalized(v1.ConditionFalse))
		if got := of.remove(id, "?force=true&reason=first"); !slices.Equal(got.WaitingFor, []string{finalizer}) {
			t.Errorf("forced at once: %+v", got)
		}
		if got := of.remove(id, "?force=true&reason=too%20dear"); got.WaitingFor != nil || got.Generation != 2 {
			t.Errorf("forced: %+v", got)
		}
		of.get(ada, of.path+"/"+id).fails(v1.CodeNotFound)
		var by, why string
		var forced int
		if err := of.pool.QueryRow(t.Context(), `SELECT forced_by, force_reason,
			(SELECT count(*) FROM outbox WHERE type = $1 AND metadata ->> 'force_delete' = 'true') FROM `+string(of.kind)+`s WHERE id = $2`,
			of.kind.Event(models.Deleted), id).Scan(&by, &why, &forced); err != nil || by != ada || why != "too dear" || forced != 1 {
			t.Errorf("recorded %q, %q, %d events, %v", by, why, forced, err)
		}
		if r := of.report(id, finalized(v1.ConditionTrue)); r.Applied {
			t.Errorf("a report after the end: %+v", r)
		}
	})
}

// Retiring the controller that a deletion waits for ends the waiting.
func TestDeletion_WaitsForNobodyRetired(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		id := of.declare(ada, `{"name":"orders"}`).ID
		of.hold(id)
		of.retire(finalizer)
		of.get(ada, of.path+"/"+id) // Whoever reads it finds the holder out.
		if got := of.remove(id, ""); got.WaitingFor != nil {
			of.t.Errorf("waits for %v", got.WaitingFor)
		}
		of.get(ada, of.path+"/"+id).fails(v1.CodeNotFound)
	})
}

// A cluster that nobody holds waits for its node pools all the same, takes no new one meanwhile,
// and goes with the last.
func TestDeletion_AClusterWaitsForItsPools(t *testing.T) {
	t.Parallel()
	pools := newBackend(t).collection(models.KindNodePool, ada)
	all := pools.collection(models.KindCluster, ada)
	held, free := pools.declare(ada, `{"name":"held"}`).ID, pools.declare(ada, `{"name":"free"}`).ID
	pools.report(held, finalized(v1.ConditionFalse))
	first := all.remove(pools.home, "")
	if first.WaitingFor != nil || !strings.Contains(first.Message, "node pool") {
		t.Errorf("DELETE: %+v", first)
	}
	got := into[resource](pools.get(ada, clusters+"/"+pools.home).is(http.StatusOK))
	if got.Status.Phase != v1.PhaseDeleting || !strings.Contains(got.Status.Message, "node pool") {
		t.Errorf("the cluster: %+v", got.Status)
	}
	pools.get(ada, nodepools+"/"+free).fails(v1.CodeNotFound)
	if got := into[resource](pools.get(ada, nodepools+"/"+held).is(http.StatusOK)); got.Status.Phase != v1.PhaseDeleting {
		t.Errorf("the held node pool: %+v", got.Status)
	}
	pools.do(call{method: "POST", path: nodepools, as: ada, body: pools.body(`{"name":"late"}`)}).fails(v1.CodeClusterDeleting)
	if diff := cmp.Diff(first, all.remove(pools.home, "")); diff != "" {
		t.Errorf("DELETE again: -first +second:\n%s", diff)
	}
	pools.report(held, finalized(v1.ConditionTrue))
	pools.get(ada, nodepools+"/"+held).fails(v1.CodeNotFound)
	pools.get(ada, clusters+"/"+pools.home).fails(v1.CodeNotFound)
	pools.create(ada, `{"name":"home"}`)
}

// Forcing the deletion of a cluster forces that of its node pools.
func TestDeletion_ForcedForThePoolsToo(t *testing.T) {
	t.Parallel()
	pools := newBackend(t).collection(models.KindNodePool, ada)
	all, held := pools.collection(models.KindCluster, ada), pools.declare(ada, `{"name":"held"}`).ID
	pools.report(held, finalized(v1.ConditionFalse))
	all.remove(pools.home, "?force=true")
	pools.get(ada, nodepools+"/"+held).is(http.StatusOK)
	if got := all.remove(pools.home, "?force=true"); got.WaitingFor != nil {
		t.Errorf("forced: %+v", got)
	}
	pools.get(ada, nodepools+"/"+held).fails(v1.CodeNotFound)
	pools.get(ada, clusters+"/"+pools.home).fails(v1.CodeNotFound)
}
