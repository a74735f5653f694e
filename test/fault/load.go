package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// owner is whom the clients call as, all as the same, so that they get in each other's way.
const owner = "fleet@example.com"

// population is about how many resources the load keeps.
const population = 40

// item is a resource as the load knows it.
type item struct {
	kind, id, platform string
	cluster            *item // of a node pool

	version atomic.Pointer[string] // the resource version that was seen last
}

// load is what clients do while faults happen: everything that the API offers, with retries.
type load struct {
	w   *world
	rng *rand.Rand

	stopping chan struct{}
	clients  sync.WaitGroup

	mu    sync.Mutex
	items []*item

	marks, done, failed atomic.Int64
	failures            []string // the first
}

// startLoad has n clients make about rate operations a second in all, until end.
func (w *world) startLoad(ctx context.Context, n int, rate float64) *load {
	l := &load{w: w, rng: w.rng, stopping: make(chan struct{})}
	for i := range n {
		name := "client" + strconv.Itoa(i+1)
		rng := w.rig.random(w.scenario.name + " " + name)
		c := w.client(name, owner)
		l.clients.Go(func() {
			mean := time.Duration(float64(n) / rate * float64(time.Second))
			for l.goesOn(ctx, rand.N(2*mean)) {
				l.step(ctx, c, rng)
			}
		})
	}
	return l
}

// goesOn waits, and reports whether the load is to go on.
func (l *load) goesOn(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.stopping:
	case <-ctx.Done():
	}
	return false
}

// end lets every client finish what it is at, and says what has failed.
func (l *load) end() error {
	l.wait()
	return l.err()
}

// wait is end where the clients may fail.
func (l *load) wait() {
	close(l.stopping)
	l.clients.Wait()
}

func (l *load) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.failed.Load(); n > 0 {
		return fmt.Errorf("%d of %d operations of clients that retry have failed, such as: %v", n, n+l.done.Load(), l.failures)
	}
	return nil
}

// figures are what the load has done.
func (l *load) figures() []figure {
	return []figure{
		measured("operations of clients", float64(l.done.Load()+l.failed.Load()), ""),
		atMost("of which failed, after retries", float64(l.failed.Load()), "", 0),
	}
}

// step makes one operation.
func (l *load) step(ctx context.Context, c *client.Client, rng *rand.Rand) {
	items := l.living()
	at := rng.IntN(100)
	if len(items) < population/2 || len(items) < population && at < 40 {
		l.create(ctx, c, rng)
		return
	}
	it := items[rng.IntN(len(items))]
	for _, op := range []struct {
		share int
		do    func(context.Context, *client.Client, *rand.Rand, *item)
	}{
		{20, l.update}, {12, l.updateIfMatch}, {3, l.race}, {15, l.patch}, {10, l.remove}, {12, l.get}, {20, l.status}, {8, l.list},
	} {
		if at -= op.share; at < 0 {
			op.do(ctx, c, rng, it)
			return
		}
	}
}

func (l *load) living() []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*item(nil), l.items...)
}

// forget drops a resource, and of a cluster its node pools.
func (l *load) forget(it *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.items[:0:0]
	for _, one := range l.items {
		if one != it && one.cluster != it {
			kept = append(kept, one)
		}
	}
	l.items = kept
}

// mark is what no other write has.
func (l *load) mark(rng *rand.Rand) string {
	return fmt.Sprintf("m%d-%x", l.marks.Add(1), rng.Uint64())
}

func spec(platform, mark string) v1.Object {
	return v1.Object(fmt.Sprintf(`{"platform":{"type":%q},"mark":%q}`, platform, mark))
}

// persist makes a call as a patient client does: again, while the service or the way to it may be at fault. What the
// service refuses for a reason is an answer. It reports whether the call succeeded.
func (l *load) persist(ctx context.Context, what string, call func() error) bool {
	began := time.Now()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := call()
		switch {
		case err == nil:
			l.done.Add(1)
			return true
		case isRefusal(err):
			l.done.Add(1)
			return false
		case ctx.Err() != nil:
			return false
		case !mayPass(err) || time.Since(began) > patience:
			l.fail(what, err)
			return false
		}
		_ = pause(ctx, wait/2+rand.N(wait))
	}
}

func (l *load) fail(what string, err error) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 5 {
		l.failures = append(l.failures, what+": "+err.Error())
	}
}

// isRefusal reports whether an answer is one that clients which get in each other's way must expect.
func isRefusal(err error) bool {
	for _, expected := range []error{
		client.ErrNotFound, client.ErrClusterDeleting, client.ErrPreconditionFailed, client.ErrGenerationConflict,
		client.ErrClusterNameExists, client.ErrNodePoolNameExists,
	} {
		if errors.Is(err, expected) {
			return true
		}
	}
	return false
}

// mayPass reports whether a call may succeed if it is made again: nobody answered, or the service could not just then.
func mayPass(err error) bool {
	e, answered := errors.AsType[*client.Error](err)
	return !answered || e.Status == 502 || e.Status == 503 || e.Status == 504 || e.Code == v1.CodeRequestInFlight
}

// create declares a cluster, or a node pool of one; most with a key, so that it can be repeated.
func (l *load) create(ctx context.Context, c *client.Client, rng *rand.Rand) {
	mark := l.mark(rng)
	name := fmt.Sprintf("x-%x", rng.Uint64())
	var options []client.Option
	if rng.IntN(5) > 0 {
		options = append(options, client.IdempotencyKey(mark))
	}
	if items := l.living(); len(items) > 0 && rng.IntN(3) == 0 {
		if in := items[rng.IntN(len(items))]; in.cluster == nil {
			l.createPool(ctx, c, in, v1.CreateNodePool{ClusterID: in.id, Name: name, Spec: spec(in.platform, mark)}, options)
			return
		}
	}
	it := &item{kind: "cluster", platform: platforms()[rng.IntN(len(platforms()))]}
	l.persist(ctx, "create", func() error {
		made, err := c.CreateCluster(ctx, v1.CreateCluster{Name: name, Spec: spec(it.platform, mark)}, options...)
		return l.add(it, made.ID, made.ResourceVersion, err)
	})
}

func (l *load) createPool(ctx context.Context, c *client.Client, in *item, body v1.CreateNodePool, options []client.Option) {
	it := &item{kind: "nodepool", platform: in.platform, cluster: in}
	l.persist(ctx, "create", func() error {
		made, err := c.CreateNodePool(ctx, body, options...)
		return l.add(it, made.ID, made.ResourceVersion, err)
	})
}

func (l *load) add(it *item, id, version string, err error) error {
	if err != nil {
		return err
	}
	it.id = id
	it.version.Store(&version)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, it)
	return nil
}

// put replaces the spec once.
func (*load) put(ctx context.Context, c *client.Client, it *item, body v1.Object, options ...client.Option) error {
	var (
		version string
		err     error
	)
	if it.kind == "nodepool" {
		var p v1.NodePool
		p, err = c.UpdateNodePool(ctx, it.id, v1.UpdateNodePool{Spec: body}, options...)
		version = p.ResourceVersion
	} else {
		var k v1.Cluster
		k, err = c.UpdateCluster(ctx, it.id, v1.UpdateCluster{Spec: body}, options...)
		version = k.ResourceVersion
	}
	if err == nil {
		it.version.Store(&version)
	}
	return err
}

func (l *load) update(ctx context.Context, c *client.Client, rng *rand.Rand, it *item) {
	body := spec(it.platform, l.mark(rng))
	l.persist(ctx, "update", func() error { return l.put(ctx, c, it, body) })
}

func (l *load) updateIfMatch(ctx context.Context, c *client.Client, rng *rand.Rand, it *item) {
	body, version := spec(it.platform, l.mark(rng)), *it.version.Load()
	l.persist(ctx, "update", func() error { return l.put(ctx, c, it, body, client.IfMatch(version)) })
}

// race has three changes with one ETag at the same time.
func (l *load) race(ctx context.Context, c *client.Client, rng *rand.Rand, it *item) {
	l.get(ctx, c, rng, it)
	version := *it.version.Load()
	var all sync.WaitGroup
	for range 3 {
		body := spec(it.platform, l.mark(rng))
		all.Go(func() {
			l.persist(ctx, "update", func() error { return l.put(ctx, c, it, body, client.IfMatch(version)) })
		})
	}
	all.Wait()
}

// patch changes the spec, or nothing but a label.
func (l *load) patch(ctx context.Context, c *client.Client, rng *rand.Rand, it *item) {
	body := v1.Object(fmt.Sprintf(`{"spec":{"mark":%q}}`, l.mark(rng)))
	if rng.IntN(2) == 0 {
		body = v1.Object(fmt.Sprintf(`{"labels":{"of":%q}}`, l.mark(rng)))
	}
	l.persist(ctx, "patch", func() (err error) {
		if it.kind == "nodepool" {
			_, err = c.PatchNodePool(ctx, it.id, body)
		} else {
			_, err = c.PatchCluster(ctx, it.id, body)
		}
		return err
	})
}

// remove deletes a resource, and now and then does not wait for the controllers.
func (l *load) remove(ctx context.Context, c *client.Client, rng *rand.Rand, it *item) {
	remove := func(options ...client.Option) func() error {
		return func() (err error) {
			if it.kind == "nodepool" {
				_, err = c.DeleteNodePool(ctx, it.id, options...)
			} else {
				_, err = c.DeleteCluster(ctx, it.id, options...)
			}
			return err
		}
	}
	l.forget(it)
	if l.persist(ctx, "delete", remove()) && rng.IntN(10) == 0 {
		l.persist(ctx, "force", remove(client.Force("a fault")))
	}
}

func (l *load) get(ctx context.Context, c *client.Client, _ *rand.Rand, it *item) {
	l.persist(ctx, "get", func() error {
		var (
			version string
			err     error
		)
		if it.kind == "nodepool" {
			var p v1.NodePool
			p, err = c.GetNodePool(ctx, it.id)
			version = p.ResourceVersion
		} else {
			var k v1.Cluster
			k, err = c.GetCluster(ctx, it.id)
			version = k.ResourceVersion
		}
		if err == nil {
			it.version.Store(&version)
		}
		return err
	})
}

func (l *load) status(ctx context.Context, c *client.Client, _ *rand.Rand, it *item) {
	l.persist(ctx, "status", func() (err error) {
		if it.kind == "nodepool" {
			_, err = c.GetNodePoolStatus(ctx, it.id)
		} else {
			_, err = c.GetClusterStatus(ctx, it.id)
		}
		return err
	})
}

func (l *load) list(ctx context.Context, c *client.Client, rng *rand.Rand, it *item) {
	o := client.ListOptions{Limit: 20}
	if rng.IntN(2) == 0 {
		o.Status = v1.PhaseReady
	}
	l.persist(ctx, "list", func() (err error) {
		if it.kind == "nodepool" {
			_, err = c.ListNodePools(ctx, client.NodePoolListOptions{ListOptions: o})
		} else {
			_, err = c.ListClusters(ctx, o)
		}
		return err
	})
}
