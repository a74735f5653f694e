package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// What node pools do not have in common with clusters. The rest is in the tests of each kind.

// newWorlds returns one installation, as that of its clusters and that of its node pools.
func newWorlds(t *testing.T, change ...func(*service.Settings)) (clusters, pools world) {
	t.Helper()
	clusters = newWorld(t, change...)
	return clusters, clusters.of(t, models.KindNodePool)
}

// createIn declares a node pool of alice's in a cluster.
func (w world) createIn(t *testing.T, cluster, name string) *models.Resource {
	t.Helper()
	pool, err := w.Create(t.Context(), alice, models.Draft{Name: name, ClusterID: cluster, Spec: spec(0)})
	must(t, err)
	return pool
}

// remove deletes a resource of alice's.
func (w world) remove(t *testing.T, id string) {
	t.Helper()
	_, err := w.Delete(t.Context(), alice, id, models.DeleteRequest{})
	must(t, err)
}

// told is what an event says, and of which resource.
type told struct {
	Type, ClusterID, NodePoolID string
	Generation                  int64
}

func toldBy(events []models.QueuedEvent) []told {
	var list []told
	for _, e := range events {
		list = append(list, told{e.Event.Type, e.Event.ClusterID, e.Event.NodePoolID, e.Event.Generation})
	}
	return list
}

// TestANodePoolNeedsALivingCluster of the actor's: it learns nothing about those of others.
func TestANodePoolNeedsALivingCluster(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	ours, gone := clusters.create(t, "ours").ID, clusters.create(t, "gone").ID
	clusters.publish(t)
	clusters.remove(t, gone)
	clusters.publish(t)
	for _, row := range []struct {
		why     string
		by      models.Actor
		cluster string
		want    v1.Code
	}{
		{"one that never was", alice, uuid.NewString(), v1.CodeNotFound},
		{"somebody else's", bob, ours, v1.CodeNotFound},
		{"a deleted one", alice, gone, v1.CodeNotFound},
		{"a deleted one, as an admin", admin, gone, v1.CodeNotFound},
		{"none", alice, "", v1.CodeInvalidField},
		{"no id", alice, "ours", v1.CodeInvalidField},
		{"by a controller", robot, ours, v1.CodeForbidden},
	} {
		_, err := pools.Resources.Create(t.Context(), row.by, models.Draft{Name: "pool", ClusterID: row.cluster})
		if codeOf(err) != row.want {
			t.Errorf("%s: %v, want %s", row.why, err, row.want)
			continue
		}
		switch row.want { //nolint:exhaustive // what the rows want
		case v1.CodeNotFound:
			if want := models.NotFound(models.KindCluster, row.cluster).Error(); err.Error() != want {
				t.Errorf("%s: %q, want %q", row.why, err, want)
			}
		case v1.CodeInvalidField:
			if f := faultOf(t, err); f.Field != "cluster_id" {
				t.Errorf("%s: the fault is at %s", row.why, f.Field)
			}
		}
	}
	if n := value[int](t, pools, `SELECT count(*) FROM clusters`); n > 0 || len(pools.publish(t)) > 0 {
		t.Errorf("%d node pools of refused requests, or events of them", n)
	}
	// What is wrong with the request comes first, all of it.
	_, err := pools.Create(t.Context(), alice, models.Draft{Name: "!", ClusterID: uuid.NewString()})
	wantCode(t, err, v1.CodeInvalidField)
}

// TestANodePoolBelongsToTheOwnerOfItsCluster, whoever makes it.
func TestANodePoolBelongsToTheOwnerOfItsCluster(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	cluster := clusters.create(t, "one").ID
	clusters.publish(t)
	pool, err := pools.Create(t.Context(), admin, models.Draft{Name: "pool", ClusterID: cluster})
	must(t, err)
	if pool.CreatedBy != alice.Email || pool.ClusterID != cluster {
		t.Errorf("made by an admin in alice's cluster, it is %s's in %s", pool.CreatedBy, pool.ClusterID)
	}
	if read, _ := pools.get(t, pool.ID); read.ClusterID != cluster {
		t.Errorf("alice reads %+v", read)
	}
	_, err = pools.Get(t.Context(), bob, pool.ID)
	wantCode(t, err, v1.CodeNotFound)
	for _, row := range []struct {
		by   models.Actor
		q    models.ListQuery
		want int
	}{
		{alice, models.ListQuery{}, 1},
		{alice, models.ListQuery{ClusterID: cluster}, 1},
		{alice, models.ListQuery{ClusterID: pools.home(alice)}, 0},
		{bob, models.ListQuery{ClusterID: cluster}, 0},
		{robot, models.ListQuery{ClusterID: cluster}, 1},
		{admin, models.ListQuery{CreatedBy: admin.Email}, 0},
		{admin, models.ListQuery{CreatedBy: alice.Email}, 1},
	} {
		if page, err := pools.List(t.Context(), row.by, row.q); err != nil || len(page.Resources) != row.want || page.Total != int64(row.want) {
			t.Errorf("%s lists %+v: %+v, %v, want %d", row.by.Email, row.q, page, err, row.want)
		}
	}
	events := pools.publish(t)
	if len(events) != 1 || events[0].CreatedBy != alice.Email || events[0].Event.Metadata.UserEmail != admin.Email {
		t.Errorf("events %+v, want one of alice's node pool, caused by the admin", events)
	}
}

// TestTheReleaseOfANodePool is that of its cluster when it is made, and its own from then on.
func TestTheReleaseOfANodePool(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t, func(s *service.Settings) {
		s.Defaults = models.Defaults{ReleaseVersion: "4.20", ChannelGroup: "stable"}
	})
	cluster, err := clusters.Create(t.Context(), alice, models.Draft{Name: "one", Spec: v1.Object(`{"release":{"version":"4.19"}}`)})
	must(t, err)
	bare := value[string](t, clusters, `INSERT INTO clusters (name, created_by) VALUES ('bare', $1) RETURNING id::text`, alice.Email)
	for _, row := range []struct{ why, cluster, given, want string }{
		{"inherited, and nothing else of the cluster", cluster.ID, `{"n":1}`, `{"n":1,"release":{"version":"4.19"}}`},
		{"beside what is given", cluster.ID, `{"release":{"image":"i"}}`, `{"release":{"image":"i","version":"4.19"}}`},
		{"its own", cluster.ID, `{"release":{"version":"4.18"}}`, `{"release":{"version":"4.18"}}`},
		{"null is empty", cluster.ID, `{"release":{"version":null}}`, `{"release":{"version":"4.19"}}`},
		{"no text is empty", cluster.ID, `{"release":{"version":"","x":1}}`, `{"release":{"version":"4.19","x":1}}`},
		{"what is no object stays", cluster.ID, `{"release":["4.18"]}`, `{"release":["4.18"]}`},
		{"what is no text stays", cluster.ID, `{"release":{"version":4}}`, `{"release":{"version":4}}`},
		{"none in the cluster", bare, `{"n":1}`, `{"n":1}`},
	} {
		pool, err := pools.Create(t.Context(), alice, models.Draft{Name: "p" + uuid.NewString()[:8], ClusterID: row.cluster, Spec: v1.Object(row.given)})
		must(t, err)
		if diff := cmp.Diff(decoded(t, []byte(row.want)), decoded(t, pool.Spec)); diff != "" {
			t.Errorf("%s: %s", row.why, diff)
		}
	}

	pool := pools.createIn(t, cluster.ID, "pool")
	clusters.put(t, cluster.ID, `{"release":{"version":"4.21"}}`)
	for _, row := range []struct {
		why, put, want string
		generation     int64
	}{
		{"the cluster's new one is not the node pool's", `{"n":0}`, `{"n":0,"release":{"version":"4.19"}}`, 1},
		{"kept by a PUT without it", `{"n":2}`, `{"n":2,"release":{"version":"4.19"}}`, 2},
		{"changed", `{"n":2,"release":{"version":"4.21"}}`, `{"n":2,"release":{"version":"4.21"}}`, 3},
		{"removed", `{"n":2,"release":{"version":null}}`, `{"n":2,"release":{}}`, 4},
		{"not inherited again", `{"n":3}`, `{"n":3}`, 5},
	} {
		up := pools.put(t, pool.ID, row.put)
		if diff := cmp.Diff(decoded(t, []byte(row.want)), decoded(t, up.Spec)); diff != "" || up.Generation != row.generation {
			t.Errorf("%s: generation %d, %s", row.why, up.Generation, diff)
		}
	}
}

// TestTheReleaseOfANodePool_Rule holds what is filled in as a node pool is stored against the rule, which is
// asked where the release has to be known before.
func TestTheReleaseOfANodePool_Rule(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	rules := models.Rules{Kind: models.KindNodePool, Secrets: pools.settings.Secrets}
	release := rapid.SampledFrom([]string{
		`{}`, `null`, `{"release":null}`, `{"release":{}}`, `{"release":[]}`, `{"release":"4"}`, `{"release":{"version":null,"b":1e2}}`,
		`{"release":{"version":""}}`, `{"release":{"version":"4.19"}}`, `{"release":{"version":"4.20","b":null},"n":1}`, `{"release":{"version":4}}`,
		`{"release":{"version":{}}}`, `{"release":{"version":[]}}`, `{"release":{"version":false}}`, `{"release":{"version":"\"\\é\n"}}`,
		`{"n":null,"release":{"version":"` + strings.Repeat("v", 255) + `"}}`, `{"release":{"version":"` + strings.Repeat("v", 256) + `"}}`,
	})
	rapid.Check(t, func(rt *rapid.T) {
		home, err := clusters.Create(t.Context(), alice, models.Draft{Name: uuid.NewString(), Spec: v1.Object(release.Draw(rt, "cluster"))})
		if err != nil {
			rt.Fatal(err)
		}
		handedDown, err := clusters.db.Release(t.Context(), home.ID, alice.Email)
		if err != nil {
			rt.Fatal(err)
		}
		draft := models.Draft{Name: "pool", ClusterID: home.ID, Spec: v1.Object(release.Draw(rt, "pool"))}
		want, err := rules.In(handedDown).New(draft, alice.Email)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := pools.Create(t.Context(), alice, draft)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(decoded(t, want.Spec), decoded(t, got.Spec)); diff != "" {
			rt.Fatalf("release %q: -want +got: %s", handedDown, diff)
		}
	})
}

// TestTheNameOfANodePool is its own in its cluster as long as it lives.
func TestTheNameOfANodePool(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	one, two := clusters.create(t, "one").ID, clusters.create(t, "two").ID
	pool := pools.createIn(t, one, "workers")
	pools.createIn(t, two, "workers")
	clusters.create(t, "workers")
	for _, by := range []models.Actor{alice, admin} {
		_, err := pools.Create(t.Context(), by, models.Draft{Name: "workers", ClusterID: one})
		wantCode(t, err, v1.CodeNodePoolNameExists)
		if f := faultOf(t, err); f.Field != "name" {
			t.Errorf("the fault is at %s", f.Field)
		}
	}
	pools.remove(t, pool.ID)
	pools.createIn(t, one, "workers")
	clusters.remove(t, one)
	one = clusters.create(t, "one").ID // Its name is free again, too.
	pools.createIn(t, one, "workers")
}

// TestAChangeOfTheCluster is none of a node pool.
func TestAChangeOfTheCluster(t *testing.T) {
	t.Parallel()
	_, pools := newWorlds(t)
	pool := pools.create(t, "pool")
	other := pools.home(bob)
	_, err := pools.Update(t.Context(), alice, pool.ID, models.Edit{Common: models.Common{Fixed: models.Fixed{ClusterID: &other}}, Spec: spec(1)}, "")
	wantCode(t, err, v1.CodeInvalidField)
	if f := faultOf(t, err); f.Field != "cluster_id" {
		t.Errorf("the fault is at %s", f.Field)
	}
	_, err = pools.Update(t.Context(), alice, pool.ID, models.Edit{Common: models.Common{Fixed: models.Fixed{ClusterID: &pool.ClusterID}}, Spec: spec(1)}, "")
	must(t, err)
}

// TestEventsOfANodePool name its cluster beside it, and are ordered by the cluster's key.
func TestEventsOfANodePool(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	cluster := clusters.create(t, "one").ID
	clusters.publish(t)
	pool := pools.createIn(t, cluster, "pool")
	var got []models.QueuedEvent
	take := func() { got = append(got, pools.publish(t)...) }
	take()
	pools.put(t, pool.ID, `{"n":1}`)
	take()
	asked, err := pools.Reconcile(t.Context(), alice, pool.ID)
	must(t, err)
	if asked.ClusterID != cluster || asked.NodePoolID != pool.ID {
		t.Errorf("woke %+v", asked)
	}
	take()
	if late, err := pools.WakeDue(t.Context(), time.Hour, 10); err != nil || len(late) != 1 {
		t.Fatalf("woken %v, %v", late, err)
	}
	take()
	if result := pools.report(t, pool.ID, available("dns", v1.ConditionTrue)); result.ClusterID != cluster || result.NodePoolID != pool.ID {
		t.Errorf("reported on %+v", result)
	}
	_, reports, err := pools.Status(t.Context(), alice, pool.ID)
	if err != nil || len(reports) != 1 || reports[0].ClusterID != cluster || reports[0].NodePoolID != pool.ID {
		t.Errorf("reports %+v, %v", reports, err)
	}
	pools.remove(t, pool.ID)
	take()
	want := []told{
		{v1.NodePoolCreated, cluster, pool.ID, 1},
		{v1.NodePoolUpdated, cluster, pool.ID, 2},
		{v1.NodePoolReconcile, cluster, pool.ID, 2},
		{v1.NodePoolReconcile, cluster, pool.ID, 2},
		{v1.NodePoolDeleted, cluster, pool.ID, 3},
	}
	if diff := cmp.Diff(want, toldBy(got)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, e := range got {
		if e.OrderingKey() != cluster || e.Kind != models.KindNodePool {
			t.Errorf("%s is of kind %s under the key %s", e.Event.Type, e.Kind, e.OrderingKey())
		}
	}
}

// TestADeletionTakesTheNodePoolsAlong, those of this cluster, first and with an event each.
func TestADeletionTakesTheNodePoolsAlong(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	cluster, other := clusters.create(t, "one").ID, clusters.create(t, "other").ID
	clusters.publish(t)
	var want []told
	for i := range 3 {
		pool := pools.createIn(t, cluster, fmt.Sprintf("pool-%d", i))
		want = append(want, told{v1.NodePoolDeleted, cluster, pool.ID, 2})
	}
	slices.SortFunc(want, func(a, b told) int { return strings.Compare(a.NodePoolID, b.NodePoolID) })
	want = append(want, told{v1.ClusterDeleted, cluster, "", 2})
	early := pools.createIn(t, cluster, "early")
	pools.publish(t)
	pools.remove(t, early.ID)
	bystander := pools.createIn(t, other, "bystander")
	pools.publish(t)

	_, err := clusters.Delete(t.Context(), alice, cluster, models.DeleteRequest{IfMatch: `"7"`})
	wantCode(t, err, v1.CodePreconditionFailed)
	if n := value[int](t, pools, `SELECT count(*) FROM clusters WHERE deleted_at IS NULL`); n != 4 {
		t.Errorf("%d living node pools after a refused deletion", n)
	}
	clusters.remove(t, cluster)
	if got := value[string](t, clusters, `SELECT string_agg(coalesce(nullif(kind, 'cluster'), 'the ' || kind), ' ' ORDER BY seq) FROM outbox WHERE published_at IS NULL`); got != "nodepool nodepool nodepool the cluster" { //nolint:dupword // three of them
		t.Errorf("events in the order of %s", got)
	}
	events := pools.publish(t)
	slices.SortFunc(events, func(a, b models.QueuedEvent) int { return int(a.Seq - b.Seq) })
	if diff := cmp.Diff(want, toldBy(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, e := range want[:3] {
		_, err := pools.Get(t.Context(), alice, e.NodePoolID)
		wantCode(t, err, v1.CodeNotFound)
		if result := pools.report(t, e.NodePoolID, available("dns", v1.ConditionTrue)); result.Applied || result.Reason != v1.NotAppliedNodePoolDeleted || result.ClusterID != cluster {
			t.Errorf("a report afterwards: %+v", result)
		}
	}
	if page, err := pools.List(t.Context(), robot, models.ListQuery{}); err != nil || page.Total != 1 || page.Resources[0].ID != bystander.ID {
		t.Errorf("listed %+v, %v, want the bystander", page, err)
	}
}

// TestTrap24_NodePoolsOfADeletedCluster were reconciled for ever.
func TestTrap24_NodePoolsOfADeletedCluster(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	cluster := clusters.create(t, "one").ID
	for i := range 3 {
		pools.report(t, pools.createIn(t, cluster, fmt.Sprintf("pool-%d", i)).ID, available("dns", v1.ConditionTrue))
	}
	clusters.publish(t)
	if late, err := pools.WakeDue(t.Context(), time.Hour, 10); err != nil || len(late) != 3 { // and nobody publishes it
		t.Fatalf("woken %v, %v", late, err)
	}
	clusters.remove(t, cluster)
	for i, e := range clusters.publish(t) {
		if e.Wake {
			t.Errorf("event %d is a wake-up that waited at the deletion: %+v", i, e)
		}
	}
	for i := range 5 {
		if n, err := pools.Refresh(t.Context(), 10); err != nil || n != 0 {
			t.Errorf("calculated %d, %v", n, err)
		}
		if late, err := pools.WakeDue(t.Context(), ahead(i), 10); err != nil || len(late) > 0 {
			t.Errorf("woken %v, %v", late, err)
		}
	}
	if left := pools.publish(t); len(left) > 0 {
		t.Errorf("events of deleted node pools: %+v", left)
	}
}

// TestNodePoolsRaceTheDeletionOfTheirCluster: 100 are being made when the cluster goes. Those
// that were made have gone with it, and their events say so.
func TestNodePoolsRaceTheDeletionOfTheirCluster(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	for round, first := range []int{0, 1, 5, writers / 4} { // are made before the deletion begins
		cluster := clusters.create(t, fmt.Sprintf("c%d", round)).ID
		clusters.publish(t)
		made := make([]string, writers+1)
		begun := make(chan struct{}, writers)
		errs := together(writers+1, func(i int) error {
			if i == writers {
				for range first {
					<-begun
				}
				_, err := clusters.Delete(t.Context(), alice, cluster, models.DeleteRequest{})
				return err
			}
			pool, err := pools.Create(t.Context(), alice, models.Draft{Name: fmt.Sprintf("p%d", i), ClusterID: cluster})
			begun <- struct{}{}
			if err == nil {
				made[i] = pool.ID
			}
			return err
		})
		must(t, errs[writers])
		codes := countCodes(errs[:writers])
		if codes[""]+codes[v1.CodeNotFound]+codes[v1.CodeClusterDeleting] != writers || codes[""] < first {
			t.Errorf("outcomes %v", codes)
		}
		t.Logf("outcomes %v", codes)
		if n := value[int](t, pools, `SELECT count(*) FROM clusters WHERE deleted_at IS NULL`); n > 0 {
			t.Fatalf("%d node pools live on in a deleted cluster", n)
		}
		for _, id := range made[:writers] {
			if id == "" {
				continue
			}
			events := values[string](t, clusters, `SELECT type FROM outbox WHERE resource_id = $1 ORDER BY seq`, id)
			if diff := cmp.Diff([]string{v1.NodePoolCreated, v1.NodePoolDeleted}, events); diff != "" {
				t.Fatalf("events of a node pool that was made (-want +got):\n%s", diff)
			}
		}
		if n := value[int](t, clusters, `SELECT count(DISTINCT resource_id) FROM outbox WHERE kind = 'nodepool' AND cluster_id = $1`, cluster); n != codes[""] {
			t.Errorf("events of %d node pools, and %d were made", n, codes[""])
		}
		if last := value[string](t, clusters, `SELECT type FROM outbox WHERE cluster_id = $1 ORDER BY seq DESC LIMIT 1`, cluster); last != v1.ClusterDeleted {
			t.Errorf("the last event is %s", last)
		}
	}
}

// TestAPurgedClusterTakesItsNodePoolsAlong, with all that hangs on them.
func TestAPurgedClusterTakesItsNodePoolsAlong(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	cluster, other := clusters.create(t, "one").ID, clusters.create(t, "other").ID
	var ids []string
	for _, in := range []string{cluster, cluster, other} {
		pool, err := pools.Create(t.Context(), alice, models.Draft{Name: "p" + uuid.NewString()[:8], ClusterID: in, Labels: map[string]string{"a": "b"}})
		must(t, err)
		pools.report(t, pool.ID, available("dns", v1.ConditionTrue))
		ids = append(ids, pool.ID)
	}
	clusters.remove(t, cluster)
	clusters.exec(t, `UPDATE clusters SET deleted_at = now() - interval '31 days' WHERE id = $1`, cluster)
	if n, err := clusters.db.PurgeTombstones(t.Context(), 720*time.Hour, 10); err != nil || n != 1 {
		t.Fatalf("purged %d, %v", n, err)
	}
	_, err := pools.Report(t.Context(), robot, ids[0], available("dns", v1.ConditionTrue))
	wantCode(t, err, v1.CodeNotFound)
	pools.report(t, ids[2], available("dns", v1.ConditionFalse))
	for _, table := range []string{"clusters", "controller_status", "reconciliation_schedule", "cluster_labels", "stale_statuses"} {
		if n := value[int](t, pools, `SELECT count(*) FROM `+table); n != 1 {
			t.Errorf("%d rows left in the node pools' %s, want that of the other cluster", n, table)
		}
	}
}
