package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/dbtest"
)

// The numbers are those of the list of traps in traps_test.go at the root.

// A hung Pub/Sub holds up no request, and what hangs is not lost: it is still there for
// whoever asks.
func TestTrap01_AHungPubSubHoldsUpNobody(t *testing.T) {
	t.Parallel()
	r := start(t, configured(t, dbtest.New(t), hung(t), "SERVER_SHUTDOWN_TIMEOUT=2s"))
	var ids []string
	for i := range 10 {
		begun := time.Now()
		ids = append(ids, r.create(fmt.Sprintf("c-%d", i), `{}`).ID)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("a POST took %v", took)
		}
	}
	for _, id := range ids {
		r.get(id)
	}
	if n := r.metric("cls_outbox_unpublished_events"); n != 10 {
		t.Errorf("%v events wait", n)
	}
}

// Whoever reads a cluster on its event finds it.
func TestTrap01_NoEventBeforeItsCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			w.create(fmt.Sprintf("c-%d", i), `{}`)
		}
	}()
	seen := map[string]bool{}
	await(t, "all events", func() bool {
		for _, e := range w.events(v1.ClusterCreated) {
			if !seen[e.ClusterID] {
				seen[e.ClusterID] = true
				w.get(e.ClusterID) // fails on a 404
			}
		}
		return len(seen) == 100
	})
	<-done
}

// The relay is told of an event within the process, long before it would look.
func TestTrap03_ANudgeInsteadOfNotify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("first", `{}`)
	await(t, "the topics and the first event", func() bool { return len(w.events("")) == 1 })
	var delays []time.Duration
	for i := range 15 {
		begun := time.Now()
		w.create(fmt.Sprintf("c-%d", i), `{}`)
		await(t, "its event", func() bool { return len(w.pubsub.Server().Messages()) == i+2 })
		delays = append(delays, time.Since(begun))
	}
	slices.Sort(delays)
	t.Logf("from POST to Pub/Sub: median %v, longest %v", delays[len(delays)/2], delays[len(delays)-1])
	if median := delays[len(delays)/2]; median > 100*time.Millisecond { // half of the poll
		t.Errorf("from POST to Pub/Sub: %v", median)
	}
}

// A late event makes a controller report on what is gone, which must not be an error: it
// would be delivered again at once, for days.
func TestTrap05_AReportOnADeletedClusterIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create("one", `{}`).ID
	w.send(http.MethodDelete, list+"/"+id, "", as(user)...).expect(t, http.StatusAccepted, id)
	w.expectSees(id, false, as(robot)...)
	body := `{"controller_name":"dns","observed_generation":1,"conditions":[{"type":"Available","status":"True"}]}`
	w.send(http.MethodPut, list+"/"+id+"/status", body, as(robot)...).expect(t, http.StatusOK, `"applied":false`)
}

func TestTrap06_WakeUpsHaveIDAndGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, often()...)
	id := w.create("one", `{}`).ID
	w.send(http.MethodPut, list+"/"+id, `{"spec":{"n":1}}`, as(user)...).expect(t, http.StatusOK, `"generation":2`)
	changed := len(w.events(""))
	await(t, "wake-ups", func() bool { return len(w.events(v1.ClusterReconcile)) >= 4 })
	ids := map[string]bool{}
	for i, e := range w.events("") {
		if _, err := uuid.Parse(e.ID); err != nil || ids[e.ID] {
			t.Errorf("id %q of event %d: %v", e.ID, i, err)
		}
		ids[e.ID] = true
		if e.Type == v1.ClusterReconcile && i > changed && e.Generation != 2 {
			t.Errorf("event %d has generation %d", i, e.Generation)
		}
	}
}

// Nobody is told to build what was deleted, however long the others are woken.
func TestTrap07_NoWakeUpsAfterTheDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, often()...)
	gone, stays := w.create("gone", `{}`).ID, w.create("stays", `{}`).ID
	woken := func(id string) (types []string) {
		for _, e := range w.events("") {
			if e.ClusterID == id {
				types = append(types, e.Type)
			}
		}
		return types
	}
	await(t, "wake-ups of both", func() bool { return len(woken(gone)) > 2 && len(woken(stays)) > 2 })
	w.send(http.MethodDelete, list+"/"+gone, "", as(user)...).expect(t, http.StatusAccepted, gone)
	before := len(woken(stays))
	await(t, "wake-ups of the other", func() bool { return len(woken(stays)) >= before+5 })
	types := woken(gone)
	at := slices.Index(types, v1.ClusterDeleted)
	if at < 0 {
		t.Fatalf("no deletion among %v", types)
	}
	if after := types[at+1:]; len(after) > 0 {
		t.Errorf("after the deletion: %v", after)
	}
}

// Neither the answer to a change nor any read after it shows the status of before.
func TestTrap09_NotReadyAfterAChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.create("one", `{}`)
	for i := range 10 {
		w.report(c.ID, "True")
		if s := w.get(c.ID).Status; s.Phase != v1.PhaseReady {
			t.Fatalf("before the change: %+v", s)
		}
		var changed v1.Cluster
		w.call(http.MethodPut, list+"/"+c.ID, user, fmt.Sprintf(`{"spec":{"n":%d}}`, i), &changed)
		for what, status := range map[string]v1.Status{"the answer": changed.Status, "a read": w.get(c.ID).Status} {
			if status.Phase == v1.PhaseReady || status.ObservedGeneration == changed.Generation {
				t.Errorf("%s: %s at generation %d of %d", what, status.Phase, status.ObservedGeneration, changed.Generation)
			}
		}
	}
}

func TestTrap11_ReadyWaitsForEverybodyWhoReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create("one", `{}`).ID
	report := func(name string) v1.Phase {
		body := `{"controller_name":"` + name + `","conditions":[{"type":"Available","status":"True"}]}`
		w.send(http.MethodPut, list+"/"+id+"/status", body, as(robot)...).expect(t, http.StatusOK, "")
		return w.get(id).Status.Phase
	}
	report("dns")
	report("net")
	w.send(http.MethodPut, list+"/"+id, `{"spec":{"n":1}}`, as(user)...).expect(t, http.StatusOK, "")
	if phase := report("dns"); phase != v1.PhaseProgressing {
		t.Errorf("after the first of two reports: %s", phase)
	}
	if phase := report("net"); phase != v1.PhaseReady {
		t.Errorf("after both: %s", phase)
	}
}

// Two replicas, reads of every kind, heartbeats: one status, to the digit.
func TestTrap12_TheStatusDoesNotDependOnItsReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := start(t, configured(t, w.database, w.pubsub.Addr()))
	id := w.create("one", `{}`).ID
	w.report(id, "True")
	statusIn := func(text string) any {
		var body struct {
			Status   any
			Clusters []struct{ Status any }
		}
		must(t, json.Unmarshal([]byte(text), &body))
		if len(body.Clusters) > 0 {
			return body.Clusters[0].Status
		}
		return body.Status
	}
	text := w.send(http.MethodGet, list+"/"+id, "", as(user)...).body
	if !strings.Contains(text, `"AllControllersReady"`) {
		t.Fatalf("the cluster is %s", text)
	}
	first := statusIn(text)
	for range 3 {
		w.report(id, "True")
		for _, r := range []*running{w.running, other} {
			for _, path := range []string{list + "/" + id, list + "/" + id + "/status", list, list + "?status=Ready"} {
				got := statusIn(r.send(http.MethodGet, path, "", as(user)...).body)
				if diff := cmp.Diff(first, got); diff != "" {
					t.Errorf("%s: the status differs (-first +now):\n%s", path, diff)
				}
			}
		}
	}
}

// One switch starts one relay: with nobody else about, each event is sent once.
func TestTrap23_EachEventIsSentOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 50 {
		w.create(fmt.Sprintf("c-%d", i), `{}`)
	}
	await(t, "all events", func() bool { return len(w.events("")) >= 50 })
	must(t, w.end()) // after which a second relay would have sent its own
	ids := map[string]int{}
	for _, e := range w.events("") {
		ids[e.ID]++
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("event %s was sent %d times", id, n)
		}
	}
	if len(ids) != 50 {
		t.Errorf("%d events were sent", len(ids))
	}
}

func TestTrap24_ANameIsFreeAgainAfterADeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		id := w.create("phoenix", `{}`).ID
		w.send(http.MethodPost, list, `{"name":"phoenix","spec":{}}`, as(user)...).expect(t, http.StatusConflict, "CLUSTER_NAME_EXISTS")
		w.send(http.MethodDelete, list+"/"+id, "", as(user)...).expect(t, http.StatusAccepted, id)
	}
}
