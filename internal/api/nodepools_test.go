package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// What node pools do not have in common with clusters is here; that which is refused is among
// the refusals.

// The id of a cluster is taken in upper case, in a body, in a filter and in a path, and goes out
// in lower case.
func TestNodePools_TheirClusterMayBeInUpperCase(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	upper := strings.ToUpper(of.home)
	r := of.do(call{method: "POST", path: nodepools, as: ada, body: `{"name":"one","cluster_id":"` + upper + `"}`}).is(201)
	pool := into[resource](r)
	if pool.ClusterID != of.home {
		t.Errorf("in cluster %s, want %s", pool.ClusterID, of.home)
	}
	for _, path := range []string{nodepools + "?cluster_id=" + upper, nodepools + "?clusterId=" + upper, clusters + "/" + upper + "/nodepools"} {
		if got := into[page](of.get(ada, path).is(200)); got.names() != "one" || got.all()[0].ClusterID != of.home {
			t.Errorf("%s lists %+v", path, got)
		}
	}
	before := of.state()
	for _, call := range []call{
		{method: "PUT", body: `{"spec":{},"cluster_id":"` + upper + `"}`}, {method: "PATCH", body: `{"cluster_id":"` + upper + `"}`},
	} {
		call.path, call.as = nodepools+"/"+pool.ID, ada
		of.do(call).is(200)
	}
	if diff := cmp.Diff(before, of.state()); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
}

// A name is taken within a cluster, and in no other, whoever asks.
func TestNodePools_NamesAreThoseOfTheirCluster(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	of.declare(ada, `{"name":"workers"}`)
	for _, as := range []string{ada, admin} {
		of.do(call{method: "POST", path: nodepools, as: as, body: of.body(`{"name":"workers"}`)}).failsAt(v1.CodeNodePoolNameExists, "name")
	}
	other := of
	other.home = of.create(ada, `{"name":"workers"}`).ID // A cluster may have the name, too.
	other.declare(ada, `{"name":"workers"}`)
	if got := of.list(ada, "name=workers"); got.Total != 2 {
		t.Errorf("%d node pools", got.Total)
	}
}

func TestNodePools_ANewOneNeedsALivingCluster(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	for _, as := range []string{ada, admin} {
		of.do(call{method: "POST", path: nodepools, as: as, body: `{"name":"x","cluster_id":"` + unknown + `"}`}).fails(v1.CodeNotFound)
	}
	being := of.collection(models.KindNodePool, bob) // A deletion that waits for its controllers.
	if _, err := of.pool.Exec(t.Context(), "UPDATE clusters SET deletion_timestamp = now() WHERE id = $1", being.home); err != nil {
		t.Fatal(err)
	}
	being.do(call{method: "POST", path: nodepools, as: bob, body: being.body(`{"name":"x"}`)}).fails(v1.CodeClusterDeleting)
	of.do(call{method: "DELETE", path: clusters + "/" + of.home, as: ada}).is(202)
	for _, as := range []string{ada, admin} {
		of.do(call{method: "POST", path: nodepools, as: as, body: of.body(`{"name":"x"}`)}).fails(v1.CodeNotFound)
	}
	if n := of.count("nodepools"); n != 0 {
		t.Errorf("%d node pools", n)
	}
}

// The release of the cluster is that of a node pool that names none. From then on it is the node
// pool's own: an update that leaves it out keeps it, null removes it, and the cluster's next
// release is not followed.
func TestNodePools_TheReleaseIsInheritedOnce(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	cluster := clusters + "/" + of.home
	of.do(call{method: "PUT", path: cluster, as: ada, body: `{"spec":{"release":{"version":"4.19.2","channelGroup":"fast"}}}`}).is(200)
	shows := func(why string, got resource, spec string) {
		t.Helper()
		if diff := cmp.Diff(decoded(t, spec), decoded(t, string(got.Spec))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", why, diff)
		}
	}
	shows("its own", of.declare(ada, `{"name":"own","spec":{"release":{"version":"4.18.0"}}}`), `{"release":{"version":"4.18.0"}}`)
	shows("null is empty", of.declare(ada, `{"name":"null","spec":{"release":{"version":null}}}`), `{"release":{"version":"4.19.2"}}`)
	shows("no spec", of.declare(ada, `{"name":"empty"}`), `{"release":{"version":"4.19.2"}}`)
	pool := of.declare(ada, `{"name":"workers","spec":{"replicas":3}}`)
	shows("inherited", pool, `{"replicas":3,"release":{"version":"4.19.2"}}`)

	of.do(call{method: "PUT", path: cluster, as: ada, body: `{"spec":{"release":{"version":"4.20.0"}}}`}).is(200)
	for _, step := range []struct {
		why, method, body, spec string
		generation              int64
	}{
		{"a PUT of the same without it", "PUT", `{"spec":{"replicas":3}}`, `{"replicas":3,"release":{"version":"4.19.2"}}`, 1},
		{"a PUT without it", "PUT", `{"spec":{"replicas":4}}`, `{"replicas":4,"release":{"version":"4.19.2"}}`, 2},
		{"a PATCH without it", "PATCH", `{"spec":{"replicas":5}}`, `{"replicas":5,"release":{"version":"4.19.2"}}`, 3},
		{"a PUT of another", "PUT", `{"spec":{"replicas":5,"release":{"version":"4.20.0"}}}`, `{"replicas":5,"release":{"version":"4.20.0"}}`, 4},
		{"a PUT of null", "PUT", `{"spec":{"replicas":5,"release":{"version":null}}}`, `{"replicas":5,"release":{}}`, 5},
		{"a PUT without it, once it is gone", "PUT", `{"spec":{"replicas":6}}`, `{"replicas":6}`, 6},
	} {
		got := into[resource](of.do(call{method: step.method, path: nodepools + "/" + pool.ID, as: ada, body: step.body}).is(200))
		shows(step.why, got, step.spec)
		if got.Generation != step.generation {
			t.Errorf("%s: generation %d, want %d", step.why, got.Generation, step.generation)
		}
	}
}

// A cluster without a release hands none down.
func TestNodePools_NothingToInherit(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	for name, release := range map[string]string{"none": `{}`, "a-number": `{"release":{"version":4}}`, "a-list": `{"release":["4.19.2"]}`} {
		in := of
		in.home = of.create(ada, `{"name":"`+name+`","spec":`+release+`}`).ID
		if got := in.declare(ada, `{"name":"workers","spec":{"n":1}}`); got.Spec.String() != `{"n": 1}` && got.Spec.String() != `{"n":1}` {
			t.Errorf("%s: %s", name, got.Spec)
		}
	}
}

// A change of a node pool is none of its cluster, and the other way round.
func TestNodePools_AndTheirClusterChangeApart(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	pool := of.declare(ada, `{"name":"workers"}`)
	cluster, path := clusters+"/"+of.home, nodepools+"/"+pool.ID
	read := func(path string) any { return decoded(t, of.get(ada, path).is(200).body) }
	before := read(cluster)
	of.do(call{method: "PATCH", path: path, as: ada, body: `{"spec":{"replicas":5}}`}).is(200)
	of.report(pool.ID, reportBody)
	if diff := cmp.Diff(before, read(cluster)); diff != "" {
		t.Errorf("the cluster: -before +after:\n%s", diff)
	}
	before = read(path)
	of.do(call{method: "PATCH", path: cluster, as: ada, body: `{"spec":{"region":"x"}}`}).is(200)
	if diff := cmp.Diff(before, read(path)); diff != "" {
		t.Errorf("the node pool: -before +after:\n%s", diff)
	}
	of.do(call{method: "DELETE", path: path, as: ada}).is(202)
	of.get(ada, cluster).is(200)
}

// The protection of a node pool is from its own DELETE: whoever may delete the cluster means all of it.
func TestNodePools_ProtectionIsFromTheirOwnDeletion(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	path := nodepools + "/" + of.declare(ada, `{"name":"workers","deletion_protection":true}`).ID
	of.do(call{method: "DELETE", path: path, as: ada}).failsAt(v1.CodeDeletionProtected, "deletion_protection")
	of.get(ada, path).is(200)
	of.do(call{method: "DELETE", path: clusters + "/" + of.home, as: ada}).is(202)
	of.get(ada, path).fails(v1.CodeNotFound)
}
