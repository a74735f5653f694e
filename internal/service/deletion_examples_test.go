package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// register registers a controller.
func (w world) register(t testing.TB, name string, says v1.RegisterController) v1.Controller {
	t.Helper()
	c, err := w.registry().Register(t.Context(), robot, name, says)
	must(t, err)
	return c
}

func (w world) retire(t testing.TB, name string) {
	t.Helper()
	must(t, w.registry().Retire(t.Context(), robot, name))
}

// end deletes a resource of alice's.
func (w world) end(t testing.TB, id string, in models.DeleteRequest) v1.Deletion {
	t.Helper()
	d, err := w.Delete(t.Context(), alice, id, in)
	must(t, err)
	return d
}

// finalized is a report that lets go.
func finalized(name string, generation int64) v1.StatusReport {
	return v1.StatusReport{
		ControllerName: name, ObservedGeneration: generation,
		Conditions: []v1.ReportedCondition{{Type: v1.ConditionFinalized, Status: v1.ConditionTrue}},
	}
}

// publishAll publishes until nothing is left: of one resource, one change at a time.
func (w world) publishAll(t testing.TB) (all []models.QueuedEvent) {
	t.Helper()
	for {
		events := w.publish(t)
		if len(events) == 0 {
			return all
		}
		all = append(all, events...)
	}
}

func (w world) wantGone(t testing.TB, id string, gone bool) {
	t.Helper()
	_, err := w.Get(t.Context(), robot, id)
	if (codeOf(err) == v1.CodeNotFound) != gone || !gone && err != nil {
		t.Fatalf("read: %v; want it gone: %v", err, gone)
	}
}

// TestADeletionWhileCreating: a controller that finalizes may have built something that it has not
// told of yet.
func TestADeletionWhileCreating(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		w.register(t, "dns", v1.RegisterController{Finalizes: true})
		w.register(t, "other", v1.RegisterController{Finalizes: true, Platforms: []string{"aws"}})
		c := w.create(t, "one")
		d := w.end(t, c.ID, models.DeleteRequest{})
		if !slices.Equal(d.WaitingFor, []string{"dns"}) || d.Generation != 2 {
			t.Errorf("answered %+v, want it to wait for dns", d)
		}
		read, s := w.get(t, c.ID)
		if s.Phase != v1.PhaseDeleting || read.DeletionTimestamp == nil || !strings.HasPrefix(s.Message, "waiting for dns since ") {
			t.Errorf("reads %+v", s)
		}
		_, err := w.Create(t.Context(), alice, models.Draft{Name: "one"})
		wantCode(t, err, w.nameExists())
		// What it had under way, and reports now, is no confirmation.
		w.report(t, c.ID, available("dns", v1.ConditionTrue))
		w.report(t, c.ID, finalized("stranger", 2))
		w.wantGone(t, c.ID, false)
		w.report(t, c.ID, finalized("dns", 0))
		w.wantGone(t, c.ID, true)
		if r := w.report(t, c.ID, finalized("dns", 0)); r.Applied || r.Reason != w.notAppliedDeleted() {
			t.Errorf("a report on what is gone: %+v", r)
		}
		w.create(t, "one")
	})
}

// TestADeletionWhileUpdating: what was finalized at an older generation counts no more.
func TestADeletionWhileUpdating(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, finalized("dns", 1))
		w.put(t, id, `{"n":1}`)
		if d := w.end(t, id, models.DeleteRequest{}); !slices.Equal(d.WaitingFor, []string{"dns"}) || d.Generation != 3 {
			t.Errorf("answered %+v", d)
		}
		w.report(t, id, finalized("dns", 2))
		_, err := w.Refresh(t.Context(), 10)
		must(t, err)
		w.wantGone(t, id, false)
		_, err = w.Update(t.Context(), alice, id, models.Edit{Spec: spec(2)}, "")
		wantCode(t, err, v1.CodeClusterDeleting)
		w.report(t, id, finalized("dns", 3))
		w.wantGone(t, id, true)
		var types []string
		for _, e := range w.publishAll(t) {
			types = append(types, fmt.Sprint(e.Event.Type, " ", e.Event.Generation))
		}
		want := []string{w.event(models.Created) + " 1", w.event(models.Updated) + " 2", w.event(models.Deleted) + " 3"}
		if diff := cmp.Diff(want, types); diff != "" {
			t.Errorf("events -want +got: %s", diff)
		}
	})
}

// TestADeletionTwice is one: the same answer, and nothing new.
func TestADeletionTwice(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		w.register(t, "dns", v1.RegisterController{Finalizes: true})
		id := w.create(t, "one").ID
		first := w.end(t, id, models.DeleteRequest{Force: true, Reason: "a command line always sends it"})
		read, _ := w.get(t, id)
		w.publishAll(t)
		if diff := cmp.Diff(first, w.end(t, id, models.DeleteRequest{})); diff != "" {
			t.Errorf("answered differently: %s", diff)
		}
		if again, _ := w.get(t, id); again.ETag() != read.ETag() {
			t.Errorf("%s, was %s", again.ETag(), read.ETag())
		}
		if events := w.publishAll(t); len(events) > 0 {
			t.Errorf("events %+v", events)
		}
		if by := value[string](t, w, `SELECT forced_by FROM clusters WHERE id = $1`, id); by != "" {
			t.Errorf("the first call was taken for a forced one, by %q", by)
		}
	})
}

// TestAControllerThatNeverAnswers is waited for until somebody ends it, which is recorded.
func TestAControllerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		w.register(t, "dead", v1.RegisterController{Finalizes: true})
		id := w.create(t, "one").ID
		w.end(t, id, models.DeleteRequest{})
		w.publishAll(t)
		for turn := range 5 {
			if late, err := w.WakeDue(t.Context(), ahead(turn), 10); err != nil || len(late) != 1 {
				t.Fatalf("woken %v, %v", late, err)
			}
			events := w.publishAll(t)
			if len(events) != 1 || events[0].Event.Type != w.event(models.Deleted) || events[0].Event.Reason != v1.ReasonDeletionPending ||
				events[0].Event.Generation != 2 || events[0].Event.Metadata.Interval != "30s" || events[0].Event.Metadata.ForceDelete {
				t.Errorf("woken by %+v", events)
			}
		}
		w.wantGone(t, id, false)
		d := w.end(t, id, models.DeleteRequest{Force: true, Reason: "the account is closed"})
		if d.WaitingFor != nil || d.Generation != 2 {
			t.Errorf("answered %+v", d)
		}
		w.wantGone(t, id, true)
		for column, want := range map[string]string{"forced_by": alice.Email, "force_reason": "the account is closed"} {
			if got := value[string](t, w, `SELECT `+column+` FROM clusters WHERE id = $1`, id); got != want {
				t.Errorf("%s is %q, want %q", column, got, want)
			}
		}
		events := w.publishAll(t)
		if len(events) != 1 || events[0].Event.Type != w.event(models.Deleted) || !events[0].Event.Metadata.ForceDelete ||
			events[0].Event.Metadata.ForceReason != "the account is closed" || events[0].Event.Metadata.UserEmail != alice.Email {
			t.Errorf("told %+v", events)
		}
	})
}

// TestADeletionOfWhatIsPaused is woken: somebody wants it gone.
func TestADeletionOfWhatIsPaused(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		w.register(t, "dns", v1.RegisterController{Finalizes: true})
		c, err := w.Create(t.Context(), alice, models.Draft{Name: "one", Paused: true})
		must(t, err)
		if late, err := w.WakeDue(t.Context(), ahead(0), 10); err != nil || len(late) > 0 {
			t.Fatalf("woken while it is paused: %v, %v", late, err)
		}
		w.end(t, c.ID, models.DeleteRequest{})
		w.publishAll(t)
		if late, err := w.WakeDue(t.Context(), 30*time.Second, 10); err != nil || len(late) != 1 {
			t.Errorf("woken %v, %v within the attention interval", late, err)
		}
		if events := w.publishAll(t); len(events) != 1 || events[0].Event.Reason != v1.ReasonDeletionPending {
			t.Errorf("woken by %+v", events)
		}
	})
}

// TestAForcedClusterTakesItsPoolsAlong, each with its own event and record.
func TestAForcedClusterTakesItsPoolsAlong(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	clusters.register(t, "dead", v1.RegisterController{Finalizes: true, Kinds: []string{"nodepool"}})
	id := clusters.create(t, "one").ID
	pool := pools.createIn(t, id, "pool").ID
	clusters.publishAll(t)
	if d := clusters.end(t, id, models.DeleteRequest{}); !strings.HasSuffix(d.Message, "waiting for its node pools") {
		t.Errorf("answered %+v", d)
	}
	clusters.publishAll(t)
	clusters.wantGone(t, id, false)
	clusters.end(t, id, models.DeleteRequest{Force: true, Reason: "enough"})
	clusters.wantGone(t, id, true)
	pools.wantGone(t, pool, true)
	if by := value[string](t, pools, `SELECT forced_by || ': ' || force_reason FROM clusters WHERE id = $1`, pool); by != alice.Email+": enough" {
		t.Errorf("the pool's record is %q", by)
	}
	forced := 0
	for _, e := range pools.publishAll(t) {
		if e.Event.Metadata.ForceDelete {
			forced++
		}
	}
	if forced != 2 {
		t.Errorf("%d events of a forced deletion, want the pool's and the cluster's", forced)
	}
}

// TestADeletionNamesAllThatItWaitsFor, the node pools that are left and the controllers.
func TestADeletionNamesAllThatItWaitsFor(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	clusters.register(t, "dns", v1.RegisterController{Finalizes: true})
	id := clusters.create(t, "one").ID
	pool := pools.createIn(t, id, "pool").ID
	const both, one = "the cluster is being deleted; waiting for its node pools, dns", "the cluster is being deleted; waiting for dns"
	for _, call := range []string{"the first call", "the second"} {
		if d := clusters.end(t, id, models.DeleteRequest{}); d.Message != both || !slices.Equal(d.WaitingFor, []string{"dns"}) {
			t.Errorf("%s is answered %+v", call, d)
		}
	}
	pools.report(t, pool, finalized("dns", 0))
	if d := clusters.end(t, id, models.DeleteRequest{}); d.Message != one {
		t.Errorf("without node pools it is answered %+v", d)
	}
}

// TestTheLastPoolEndsItsCluster at once, and by the pass when the report's own step fails.
func TestTheLastPoolEndsItsCluster(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	clusters.register(t, "nodes", v1.RegisterController{Finalizes: true, Kinds: []string{"nodepool"}})
	id := clusters.create(t, "one").ID
	first, second := pools.createIn(t, id, "first").ID, pools.createIn(t, id, "second").ID
	clusters.end(t, id, models.DeleteRequest{})
	pools.report(t, first, finalized("nodes", 0))
	pools.wantGone(t, first, true)
	clusters.wantGone(t, id, false)
	if _, s := clusters.get(t, id); !strings.HasPrefix(s.Message, "waiting for its node pools since ") {
		t.Errorf("the cluster says %q", s.Message)
	}
	// As after a crash between the report and what follows from it.
	pools.exec(t, `UPDATE clusters SET holders = '{}' WHERE id = $1`, second)
	for _, w := range []world{clusters, pools, clusters} {
		_, err := w.Refresh(t.Context(), 10)
		must(t, err)
	}
	pools.wantGone(t, second, true)
	clusters.wantGone(t, id, true)
}

// TestAHolderIsLetGoBeforeTheStatusSaysSo: a process that dies in between leaves a resource that
// the next pass looks at.
func TestAHolderIsLetGoBeforeTheStatusSaysSo(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		w.register(t, "dns", v1.RegisterController{Finalizes: true})
		id := w.create(t, "one").ID
		w.end(t, id, models.DeleteRequest{})
		w.get(t, id)
		w.retire(t, "dns")
		w.exec(t, `ALTER TABLE clusters ADD CONSTRAINT stuck CHECK (holders <> '{}') NOT VALID`)
		if _, err := w.Refresh(t.Context(), 10); err == nil {
			t.Error("the pass ended as if it had let dns go")
		}
		w.exec(t, `ALTER TABLE clusters DROP CONSTRAINT stuck`)
		_, err := w.Refresh(t.Context(), 10)
		must(t, err)
		w.wantGone(t, id, true)
	})
}

// TestWhoComesBackHoldsNothing: it was retired, whether or not anybody has looked meanwhile.
func TestWhoComesBackHoldsNothing(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		w.register(t, "dns", v1.RegisterController{Finalizes: true})
		id := w.create(t, "one").ID
		w.end(t, id, models.DeleteRequest{})
		w.retire(t, "dns")
		w.register(t, "dns", v1.RegisterController{Finalizes: true})
		_, err := w.Refresh(t.Context(), 10)
		must(t, err)
		w.wantGone(t, id, true)
	})
}
