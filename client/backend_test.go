package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
)

func TestMain(m *testing.M) { clstest.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want returns what a call has answered, and fails the test when it has failed.
func want[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(answer T, err error) T {
		t.Helper()
		must(t, err)
		return answer
	}
}

// compact is a spec without spaces, which the service is free to set.
func compact(spec v1.Object) string { return strings.ReplaceAll(string(spec), " ", "") }

// TestEveryOperationHasAMethod reads the document, so that a call that is added there is missed here.
func TestEveryOperationHasAMethod(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../internal/api/openapi.yaml")
	must(t, err)
	ids := regexp.MustCompile(`(?m)^ +operationId: (\w+)$`).FindAllStringSubmatch(string(document), -1)
	if len(ids) < 30 {
		t.Fatalf("the document has %d operations", len(ids))
	}
	for _, id := range ids {
		name := strings.ToUpper(id[1][:1]) + id[1][1:]
		method, ok := reflect.TypeFor[*client.Client]().MethodByName(name)
		if !ok || method.Type.In(1) != reflect.TypeFor[context.Context]() {
			t.Errorf("operation %s has no method %s that takes a context first", id[1], name)
		}
	}
}

// TestLifeOfACluster makes every call on clusters and controllers.
func TestLifeOfACluster(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), clstest.NewBackend(t)
	user, robot := b.Client(clstest.User), b.Client(clstest.Controller)
	cluster := want[v1.Cluster](t)

	created := cluster(user.CreateCluster(ctx, v1.CreateCluster{Name: "one", Labels: map[string]string{"env": "prod"}, Spec: v1.Object(`{"n":1}`)}))
	if _, err := user.CreateCluster(ctx, v1.CreateCluster{Name: "one"}); !errors.Is(err, client.ErrClusterNameExists) {
		t.Errorf("a second one of the name: %v", err)
	}
	cluster(user.CreateCluster(ctx, v1.CreateCluster{Name: "two"}, client.DryRun()))
	updated := cluster(user.UpdateCluster(ctx, created.ID, v1.UpdateCluster{Spec: v1.Object(`{"n":2}`)}, client.IfMatch(created.ResourceVersion)))
	_, err := user.UpdateCluster(ctx, created.ID, v1.UpdateCluster{Spec: v1.Object(`{"n":3}`)}, client.IfMatch(created.ResourceVersion))
	if !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("a change of what has changed: %v", err)
	}
	patched := cluster(user.PatchCluster(ctx, created.ID, v1.Object(`{"spec":{"n":null,"m":1},"labels":{"env":null}}`)))
	if updated.Generation != 2 || patched.Generation != 3 || len(patched.Labels) != 0 {
		t.Errorf("updated to %+v, patched to %+v", updated, patched)
	}
	if back := cluster(user.RollbackCluster(ctx, created.ID, 1)); compact(back.Spec) != `{"n":1}` {
		t.Errorf("rolled back to %s", back.Spec)
	}
	var generations []int64
	for r, err := range user.ClusterRevisions(ctx, created.ID, client.PageOptions{Limit: 3}) {
		must(t, err)
		generations = append(generations, r.Generation)
	}
	if !slices.Equal(generations, []int64{4, 3, 2, 1}) {
		t.Errorf("revisions %v", generations)
	}

	want[v1.Controller](t)(robot.RegisterController(ctx, "dns", v1.RegisterController{Finalizes: true}))
	reported := want[v1.ReportResult](t)(robot.ReportClusterStatus(ctx, created.ID, v1.StatusReport{
		ControllerName: "dns", Conditions: []v1.ReportedCondition{{Type: v1.ConditionAvailable, Status: v1.ConditionTrue}},
	}))
	if !reported.Applied || reported.ObservedGeneration != 4 {
		t.Errorf("reported %+v", reported)
	}
	if ready := cluster(user.WaitFor(ctx, created.ID, client.Condition{Type: v1.ConditionReady})); ready.Status.Phase != v1.PhaseReady {
		t.Errorf("waited for %+v", ready.Status)
	}
	if e := want[v1.Explanation](t)(user.ExplainCluster(ctx, created.ID)); e.Phase != v1.PhaseReady || len(e.Sentences) == 0 {
		t.Errorf("explained as %+v", e)
	}
	if s := want[v1.ClusterStatus](t)(user.GetClusterStatus(ctx, created.ID)); len(s.ControllerStatus) != 1 {
		t.Errorf("status %+v", s)
	}
	must(t, robot.DropClusterStatus(ctx, created.ID, "dns"))
	want[v1.Reconciliation](t)(user.ReconcileCluster(ctx, created.ID))

	deletion := want[v1.Deletion](t)(user.DeleteCluster(ctx, created.ID))
	if !slices.Equal(deletion.WaitingFor, []string{"dns"}) {
		t.Errorf("the deletion waits for %v", deletion.WaitingFor)
	}
	want[v1.Deletion](t)(user.DeleteCluster(ctx, created.ID, client.Force("a test")))
	must(t, user.WaitForDeletion(ctx, created.ID, nil))
	if _, err := user.GetCluster(ctx, created.ID); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a deleted cluster: %v", err)
	}
	if l := want[v1.ControllerList](t)(robot.ListControllers(ctx)); len(l.Controllers) != 1 {
		t.Errorf("controllers %+v", l)
	}
	want[v1.Controller](t)(robot.GetController(ctx, "dns"))
	must(t, robot.RetireController(ctx, "dns"))
}

// TestLifeOfANodePool makes every call on node pools.
func TestLifeOfANodePool(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), clstest.NewBackend(t)
	user, robot := b.Client(clstest.User), b.Client(clstest.Controller)
	pool, page := want[v1.NodePool](t), want[v1.NodePoolList](t)

	c := b.Create("one", `{}`)
	created := pool(user.CreateNodePool(ctx, v1.CreateNodePool{ClusterID: c.ID, Name: "workers", Spec: v1.Object(`{"n":1}`)}))
	pool(user.UpdateNodePool(ctx, created.ID, v1.UpdateNodePool{Spec: v1.Object(`{"n":2}`)}))
	pool(user.PatchNodePool(ctx, created.ID, v1.Object(`{"spec":{"n":3}}`)))
	if back := pool(user.RollbackNodePool(ctx, created.ID, 2)); back.Generation != 4 || compact(back.Spec) != `{"n":2}` {
		t.Errorf("rolled back to %+v", back)
	}
	if l := page(user.ListNodePools(ctx, client.NodePoolListOptions{ClusterID: c.ID})); len(l.NodePools) != 1 {
		t.Errorf("pools %+v", l)
	}
	if l := page(user.ListNodePoolsOfCluster(ctx, c.ID, client.ListOptions{Name: "others"})); len(l.NodePools) != 0 {
		t.Errorf("pools %+v", l)
	}
	for p, err := range user.NodePools(ctx, client.NodePoolListOptions{}) {
		if must(t, err); p.ID != created.ID {
			t.Errorf("walked to %+v", p)
		}
	}
	beyond := user.NodePools(ctx, client.NodePoolListOptions{ListOptions: client.ListOptions{Offset: 1}})
	for range 2 {
		for p, err := range beyond {
			t.Errorf("walked to %+v, %v", p, err)
		}
	}
	want[v1.ReportResult](t)(robot.ReportNodePoolStatus(ctx, created.ID, v1.StatusReport{
		ControllerName: "nodes", Conditions: []v1.ReportedCondition{{Type: v1.ConditionAvailable, Status: v1.ConditionTrue}},
	}))
	pool(user.WaitForNodePool(ctx, created.ID, client.Condition{Type: v1.ConditionReady}))
	want[v1.Explanation](t)(user.ExplainNodePool(ctx, created.ID))
	want[v1.NodePoolStatus](t)(user.GetNodePoolStatus(ctx, created.ID))
	must(t, robot.DropNodePoolStatus(ctx, created.ID, "nodes"))
	want[v1.Reconciliation](t)(user.ReconcileNodePool(ctx, created.ID))
	revisions := want[v1.RevisionList](t)(user.ListNodePoolRevisions(ctx, created.ID, client.PageOptions{Limit: 2}))
	if len(revisions.Revisions) != 2 || revisions.NextPageToken == "" {
		t.Errorf("revisions %+v", revisions)
	}
	for r, err := range user.NodePoolRevisions(ctx, created.ID, client.PageOptions{PageToken: revisions.NextPageToken}) {
		if must(t, err); r.Generation > 2 {
			t.Errorf("walked to %+v", r)
		}
	}
	if want[v1.Deletion](t)(user.DeleteNodePool(ctx, created.ID)); user.WaitForNodePoolDeletion(ctx, created.ID, nil) != nil {
		t.Error("it is not gone")
	}
	if l := want[v1.Timeline](t)(user.ListClusterEvents(ctx, c.ID, client.PageOptions{})); len(l.Events) == 0 {
		t.Error("nothing has happened to the cluster")
	}
	for e, err := range user.ClusterEvents(ctx, c.ID, client.PageOptions{Limit: 1}) {
		if must(t, err); e.What == "" {
			t.Errorf("an entry of nothing: %+v", e)
		}
	}
	if _, err := user.ListNodePoolEvents(ctx, created.ID, client.PageOptions{}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("the events of a deleted one: %v", err)
	}
}

func TestTheServiceItself(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), clstest.NewBackend(t).Client("")
	if i := want[v1.Info](t)(c.GetInfo(ctx)); i.Version != "clstest" {
		t.Errorf("info %+v", i)
	}
	if h := want[v1.Health](t)(c.GetHealth(ctx)); len(h.Components) != 2 {
		t.Errorf("health %+v", h)
	}
	want[v1.Probe](t)(c.GetLive(ctx))
	want[v1.Probe](t)(c.GetReady(ctx))
	_, err := c.GetCluster(ctx, "no-id")
	e, ok := errors.AsType[*client.Error](err)
	if !ok || !errors.Is(err, client.ErrAuthRequired) || e.RequestID == "" || e.Status != 401 {
		t.Errorf("a caller without a name: %+v", err)
	}
}

// TestWalks goes through more than a page, each once, from where it is told to.
func TestWalks(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	user := b.Client(clstest.User)
	const all, page = 23, 10
	for i := range all {
		b.Create(fmt.Sprintf("c-%02d", i), `{}`)
	}
	walk := func(o client.ListOptions) (names []string) {
		for c, err := range user.Clusters(t.Context(), o) {
			must(t, err)
			names = append(names, c.Name)
		}
		return names
	}
	if names := walk(client.ListOptions{OrderBy: "name", Limit: page}); len(names) != all || !slices.IsSorted(names) {
		t.Errorf("walked through %v", names)
	}
	if names := walk(client.ListOptions{OrderBy: "name", Limit: page, Offset: 5}); len(names) != all-5 {
		t.Errorf("from the sixth on walked through %v", names)
	}
	first := want[v1.ClusterList](t)(user.ListClusters(t.Context(), client.ListOptions{OrderBy: "name", Limit: page, ExactTotal: true}))
	if names := walk(client.ListOptions{OrderBy: "name", Limit: page, PageToken: first.NextPageToken}); len(names) != all-page || names[0] != "c-10" {
		t.Errorf("from a token on walked through %v", names)
	}
	again := user.Clusters(t.Context(), client.ListOptions{OrderBy: "name", Limit: page, Offset: 5})
	for range 2 {
		n := 0
		for _, err := range again {
			must(t, err)
			n++
		}
		if n != all-5 {
			t.Errorf("from the sixth on walked through %d", n)
		}
	}
	for _, err := range user.Clusters(t.Context(), client.ListOptions{OrderBy: "colour"}) {
		if !errors.Is(err, client.ErrInvalidQuery) {
			t.Errorf("an order that is none: %v", err)
		}
	}
	for range user.Clusters(t.Context(), client.ListOptions{Limit: page}) {
		break // A walk can be left.
	}
}
