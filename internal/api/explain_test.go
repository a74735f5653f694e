package api_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// explained is a collection whose wake-ups a test sends itself.
type explained struct {
	collection

	use *service.Resources
	// http is the server on a port of its own.
	http *httptest.Server
}

// eachExplained is eachKind with the use cases behind the server.
func eachExplained(t *testing.T, test func(of explained)) {
	t.Helper()
	for _, kind := range models.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			var use map[models.Kind]*service.Resources
			b := newBackend(t, func(o *api.Options) {
				use = map[models.Kind]*service.Resources{models.KindCluster: o.Clusters, models.KindNodePool: o.NodePools}
			})
			server := httptest.NewServer(b.server)
			t.Cleanup(server.Close)
			test(explained{b.collection(kind, ada), use[kind], server})
		})
	}
}

// explain asks why, and holds the answer against the status and the schedule of the same moment.
func (of explained) explain(id string) v1.Explanation {
	of.t.Helper()
	r, err := http.NewRequestWithContext(of.t.Context(), http.MethodGet, of.http.URL+of.path+"/"+id+"/explain", nil)
	if err != nil {
		of.t.Fatal(err)
	}
	r.Header.Set("X-User-Email", ada)
	answer, err := of.http.Client().Do(r)
	if err != nil {
		of.t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		of.t.Fatal(err)
	}
	e := into[v1.Explanation](reply{t: of.t, status: answer.StatusCode, header: answer.Header, body: string(text)}.is(http.StatusOK))
	if s := of.status(id); e.Phase != s.Status.Phase || e.Reason != s.Status.Reason || e.Generation != s.Generation ||
		e.ClusterID != of.clusterOf(id) || (e.NodePoolID == id) != (of.kind == models.KindNodePool) {
		of.t.Errorf("explained as %+v; the status is %+v", e, s)
	}
	due, enabled, _ := of.place(id)
	if (e.NextEvent != nil) != enabled || enabled && !e.NextEvent.DueAt.Equal(due) {
		of.t.Errorf("next is %+v; the schedule says %v, %v", e.NextEvent, due, enabled)
	}
	return e
}

func (of explained) clusterOf(id string) string {
	cluster, _ := of.ids(id)
	return cluster
}

// sql names the tables of the kind in a statement on clusters, by the rule of the schema.
func (of explained) sql(onClusters string) string {
	of.t.Helper()
	if of.kind == models.KindCluster {
		return onClusters
	}
	var sql string
	if err := of.pool.QueryRow(of.t.Context(), `SELECT nodepool_names($1)`, onClusters).Scan(&sql); err != nil {
		of.t.Fatal(err)
	}
	return sql
}

// place is the row of the schedule.
func (of explained) place(id string) (due time.Time, enabled, reactive bool) {
	of.t.Helper()
	sql := of.sql(`SELECT next_reconcile_at, enabled, reactive FROM reconciliation_schedule WHERE cluster_id = $1`)
	if err := of.pool.QueryRow(of.t.Context(), sql, id).Scan(&due, &enabled, &reactive); err != nil {
		of.t.Fatal(err)
	}
	return due, enabled, reactive
}

// settle makes a resource three hours old, and its next wake-up a stable one.
func (of explained) settle(id string) {
	of.t.Helper()
	for _, sql := range []string{
		`UPDATE clusters SET generation_started_at = now() - interval '3 h' WHERE id = $1`,
		`UPDATE reconciliation_schedule SET next_reconcile_at = now() + interval '5 min', reactive = false WHERE cluster_id = $1`,
	} {
		if _, err := of.pool.Exec(of.t.Context(), of.sql(sql), id); err != nil {
			of.t.Fatal(err)
		}
	}
}

// wake sends what is due within a time, and returns the type and the reason of the event.
func (of explained) wake(id string, within time.Duration) (event, reason string) {
	of.t.Helper()
	if _, err := of.pool.Exec(of.t.Context(), `UPDATE outbox SET published_at = now()`); err != nil {
		of.t.Fatal(err)
	}
	if _, err := of.use.WakeDue(of.t.Context(), within, 10); err != nil {
		of.t.Fatal(err)
	}
	const sent = `SELECT type, reason FROM outbox WHERE resource_id = $1 AND wake ORDER BY seq DESC LIMIT 1`
	if err := of.pool.QueryRow(of.t.Context(), sent, id).Scan(&event, &reason); err != nil {
		of.t.Fatal(err)
	}
	return event, reason
}

const brokenBody = `{"controller_name":"dns","conditions":[{"type":"Available","status":"False","reason":"Lost","message":"the zone is gone"}]}`

// The next event is told with its lane before a report pulls it forward, while it is, and after it has been sent; and it is
// the one that is sent.
func TestExplain_TheLaneOfTheNextEvent(t *testing.T) {
	t.Parallel()
	eachExplained(t, func(of explained) {
		t := of.t
		id := of.declare(ada, `{"name":"orders"}`).ID
		young := of.explain(id)
		if young.Phase != v1.PhasePending || young.NextEvent.Lane != v1.ReasonAttention || len(young.WaitingFor) != 0 {
			t.Errorf("new: %+v, next %+v", young, young.NextEvent)
		}
		of.report(id, reportBody)
		of.settle(id)
		if ready := of.explain(id); ready.Phase != v1.PhaseReady || ready.NextEvent.Lane != v1.ReasonStable || !strings.HasPrefix(ready.Sentences[0], "All is well") {
			t.Errorf("settled: %+v, next %+v", ready, ready.NextEvent)
		}

		of.report(id, brokenBody)
		pulled := of.explain(id)
		_, _, reactive := of.place(id)
		if want := (v1.NextEvent{Type: of.kind.Event(models.Reconcile), DueAt: pulled.NextEvent.DueAt, Lane: v1.ReasonReactive}); !reactive || *pulled.NextEvent != want {
			t.Errorf("a report has moved: next %+v, want %+v", pulled.NextEvent, want)
		}
		if event, reason := of.wake(id, 3*time.Second); event != pulled.NextEvent.Type || reason != pulled.NextEvent.Lane {
			t.Errorf("sent %s, %s; explained as %+v", event, reason, pulled.NextEvent)
		}
		after := of.explain(id)
		if after.NextEvent.Lane != v1.ReasonStable || !after.NextEvent.DueAt.After(pulled.NextEvent.DueAt) {
			t.Errorf("after the wake-up: next %+v, was %+v", after.NextEvent, pulled.NextEvent)
		}
		if event, reason := of.wake(id, time.Hour); event != after.NextEvent.Type || reason != after.NextEvent.Lane {
			t.Errorf("sent %s, %s; explained as %+v", event, reason, after.NextEvent)
		}
	})
}

// Who is waited for is told in the controllers' own words, and since when by the database's clock.
func TestExplain_WhoIsWaitedFor(t *testing.T) {
	t.Parallel()
	eachExplained(t, func(of explained) {
		t := of.t
		of.register("storage", `{"required":true}`)
		id := of.declare(ada, `{"name":"orders"}`).ID
		of.report(id, brokenBody)
		of.report(id, `{"controller_name":"net","conditions":[{"type":"Available","status":"True","message":"all up"}]}`)
		of.report(id, `{"controller_name":"vm","last_error":{"error_type":"Transient","message":"no quota"}}`)
		told := func(e v1.Explanation) map[string]string {
			list := map[string]string{}
			for _, w := range e.WaitingFor {
				list[w.ControllerName] = w.Why + ": " + w.Message
				if w.Since == nil || time.Since(*w.Since).Abs() > time.Hour {
					t.Errorf("%s: since %v", w.ControllerName, w.Since)
				}
			}
			return list
		}
		want := map[string]string{"dns": "NotAvailable: the zone is gone", "storage": "NeverReported: ", "vm": "Error: no quota"}
		if diff := cmp.Diff(want, told(of.explain(id))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		of.do(call{method: "PUT", path: of.path + "/" + id, as: ada, body: `{"spec":{"a":1}}`}).is(http.StatusOK)
		want = map[string]string{
			"dns": "BehindGeneration: the zone is gone", "net": "BehindGeneration: all up", "storage": "NeverReported: ", "vm": "BehindGeneration: no quota",
		}
		if diff := cmp.Diff(want, told(of.explain(id))); diff != "" {
			t.Errorf("after a new spec, -want +got:\n%s", diff)
		}
	})
}

// A pause is told, and nothing comes by itself; of a deletion its holders are, and that it is what comes again.
func TestExplain_PausedAndDeleting(t *testing.T) {
	t.Parallel()
	eachExplained(t, func(of explained) {
		t := of.t
		id := of.declare(ada, `{"name":"orders","paused":true}`).ID
		if e := of.explain(id); e.NextEvent != nil || !strings.Contains(strings.Join(e.Sentences, " "), "is paused") {
			t.Errorf("paused: %+v", e)
		}
		asked := of.hold(id).DeletionTimestamp
		e := of.explain(id)
		want := []v1.WaitedFor{{ControllerName: finalizer, Why: v1.WaitFinalizer, Since: &asked}}
		if diff := cmp.Diff(want, e.WaitingFor); diff != "" || e.NextEvent.Type != of.kind.Event(models.Deleted) || e.NextEvent.Lane != v1.ReasonAttention {
			t.Errorf("deleting: next %+v; -want +got:\n%s", e.NextEvent, diff)
		}
		if event, _ := of.wake(id, time.Hour); event != e.NextEvent.Type {
			t.Errorf("sent %s; explained as %+v", event, e.NextEvent)
		}
		of.remove(id, "?force=true")
		of.get(ada, of.path+"/"+id+"/explain").fails(v1.CodeNotFound)
	})
}

// A cluster that waits for its node pools says so, though it waits for no controller itself.
func TestExplain_AClusterThatWaitsForItsPools(t *testing.T) {
	t.Parallel()
	pools := newBackend(t).collection(models.KindNodePool, ada)
	pool := pools.declare(ada, `{"name":"workers"}`).ID
	pools.report(pool, finalized(v1.ConditionFalse))
	pools.do(call{method: "DELETE", path: clusters + "/" + pools.home, as: ada}).is(http.StatusAccepted)
	e := into[v1.Explanation](pools.get(ada, clusters+"/"+pools.home+"/explain").is(http.StatusOK))
	if len(e.WaitingFor) != 0 || e.NextEvent == nil || !strings.Contains(strings.Join(e.Sentences, " "), "its node pools") {
		t.Errorf("%+v, next %+v", e, e.NextEvent)
	}
}
