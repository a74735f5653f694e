package deletions_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

var (
	alice = models.Actor{Email: "alice@example.com"}
	robot = models.Actor{Email: "controller@system.local", Controller: true}
)

// platform decides whom deletions wait for, and how that ends.
type platform struct {
	name  string
	share int // of a hundred
	// The finalizers of clusters and of node pools.
	clusters, pools []string
	// reported finalizers have not registered: a report of each with a Finalized condition is there.
	reported bool
	// silent finalizers never answer: the deletion is forced, unless they are retired.
	silent, retired bool
}

func platforms() []platform {
	both := func(name string) []string { return []string{name} }
	list := []platform{
		{name: "free", share: 50},
		{name: "late", share: 14, clusters: both("late"), pools: both("late")},
		{name: "many", share: 8, clusters: []string{"many-a", "many-c"}, pools: []string{"many-b", "many-c"}},
		{name: "said", share: 8, clusters: both("said"), pools: both("said"), reported: true},
		{name: "silent", share: 10, clusters: both("silent"), pools: both("silent"), silent: true},
	}
	for i := range 5 {
		name := fmt.Sprintf("old-%d", i)
		list = append(list, platform{name: name, share: 2, clusters: both(name), pools: both(name), silent: true, retired: true})
	}
	return list
}

// resource is what the test knows of a cluster or a node pool.
type resource struct {
	kind     models.Kind
	id       string
	cluster  *resource // of a node pool
	pools    []*resource
	platform platform

	mu       sync.Mutex
	ordered  bool                 // the answers of its controllers are under way
	asked    time.Time            // when its deletion was first asked for
	letGo    map[string]time.Time // when each of its holders may first have let go
	forcedAt time.Time
}

// holders are those that its deletion is to wait for.
func (r *resource) holders() []string {
	if r.kind == models.KindCluster {
		return r.platform.clusters
	}
	return r.platform.pools
}

// path is that of the resource in the API.
func (r *resource) path() string { return "/api/v1/" + string(r.kind) + "s/" + r.id }

// all are the cluster and its node pools.
func (r *resource) all() []*resource { return append([]*resource{r}, r.pools...) }

// fleet is everything that is to be deleted.
type fleet struct {
	clusters []*resource

	mu      sync.Mutex
	retired map[string]time.Time // when the retirement of a controller was first asked for
}

// n counts the deletions.
func (f *fleet) n() (n int) {
	for _, c := range f.clusters {
		n += 1 + len(c.pools)
	}
	return n
}

// builder makes a fleet by the use cases, before the faults begin.
type builder struct {
	clusters, nodePools *service.Resources
	controllers         *service.Controllers
}

func newBuilder(t *testing.T, url string) *builder {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{URL: url})
	must(t, err)
	t.Cleanup(db.Close)
	rules := service.Settings{
		Secrets: models.NewSecrets(nil), ProgressDeadline: 30 * time.Minute,
		Cadence: models.Cadence{Attention: 30 * time.Second, Stable: 5 * time.Minute, AttentionAge: 2 * time.Hour},
	}
	return &builder{
		clusters:    service.NewResources(models.KindCluster, db, rules, nil, discard{}),
		nodePools:   service.NewResources(models.KindNodePool, db, rules, nil, discard{}),
		controllers: service.NewControllers(db),
	}
}

// discard is told things and forgets them.
type discard struct{}

func (discard) AggregationDone(time.Duration, int)           {}
func (discard) PassDone(time.Duration, int, []time.Duration) {}
func (discard) PublishDone(string, string, time.Duration)    {}
func (discard) EventSetAside(string)                         {}

// register makes the finalizers known.
func (b *builder) register(t *testing.T) {
	t.Helper()
	kinds := map[string]map[string]bool{} // by name
	of := map[string]string{}
	for _, p := range platforms() {
		if p.reported {
			continue
		}
		for kind, names := range map[string][]string{"cluster": p.clusters, "nodepool": p.pools} {
			for _, name := range names {
				if kinds[name] == nil {
					kinds[name] = map[string]bool{}
				}
				kinds[name][kind], of[name] = true, p.name
			}
		}
	}
	for name, of := range of {
		in := v1.RegisterController{Platforms: []string{of}, Finalizes: true}
		for kind := range kinds[name] {
			in.Kinds = append(in.Kinds, kind)
		}
		_, err := b.controllers.Register(t.Context(), robot, name, in)
		must(t, err)
	}
}

// fleet makes about n resources: clusters of up to eight node pools each.
func (b *builder) fleet(t *testing.T, n int) *fleet {
	t.Helper()
	b.register(t)
	f := &fleet{retired: map[string]time.Time{}}
	var mu sync.Mutex
	var makers sync.WaitGroup
	sizes := make(chan int)
	for range 4 {
		makers.Go(func() {
			for pools := range sizes {
				c, err := b.cluster(t.Context(), pools)
				if err != nil {
					t.Error(err)
					continue
				}
				mu.Lock()
				f.clusters = append(f.clusters, c)
				mu.Unlock()
			}
		})
	}
	for left := n; left > 0; {
		pools := min(rand.IntN(9), left-1)
		sizes <- pools
		left -= 1 + pools
	}
	close(sizes)
	makers.Wait()
	return f
}

// draw returns a platform, as often as its share says.
func draw() platform {
	at := rand.IntN(100)
	for _, p := range platforms() {
		if at -= p.share; at < 0 {
			return p
		}
	}
	panic("the shares are a hundred")
}

func (b *builder) cluster(ctx context.Context, pools int) (*resource, error) {
	p := draw()
	c, err := b.resource(ctx, b.clusters, models.KindCluster, p, nil)
	for range pools {
		if err != nil {
			return nil, err
		}
		var pool *resource
		pool, err = b.resource(ctx, b.nodePools, models.KindNodePool, p, c)
		c.pools = append(c.pools, pool)
	}
	return c, err
}

func (*builder) resource(ctx context.Context, use *service.Resources, kind models.Kind, p platform, in *resource) (*resource, error) {
	draft := models.Draft{Name: fmt.Sprintf("r%d", rand.Uint64()), Spec: v1.Object(`{"platform":{"type":"` + p.name + `"}}`)}
	if in != nil {
		draft.ClusterID = in.id
	}
	made, err := use.Create(ctx, alice, draft)
	if err != nil {
		return nil, err
	}
	r := &resource{kind: kind, id: made.ID, cluster: in, platform: p, letGo: map[string]time.Time{}}
	for _, name := range r.holders() {
		if !p.reported {
			continue
		}
		_, err = use.Report(ctx, robot, r.id, v1.StatusReport{
			ControllerName: name, Conditions: []v1.ReportedCondition{{Type: v1.ConditionFinalized, Status: v1.ConditionFalse}},
		})
	}
	return r, err
}
