package deletions_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/internal/models"
)

const (
	// deletionsEnv is another number of deletions than the usual one: make test-deletions has 10,000.
	deletionsEnv = "CLS_TEST_DELETIONS"
	deletions    = 3_000
	replicas     = 2
	clients      = 12
	// A process is killed after one in so many calls, and a connection ended after one in so many.
	killOneIn, cutOneIn = 120, 25
)

// TestDeletionsUnderFaults deletes thousands of clusters and node pools while processes of the service are
// killed and its connections to PostgreSQL are ended. Nothing is gone before all have let go that it
// waits for; no node pool outlives its cluster; every deletion is published; nothing is stuck.
func TestDeletionsUnderFaults(t *testing.T) {
	t.Parallel()
	n := deletions
	if text := os.Getenv(deletionsEnv); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		must(t, err)
	}
	w := newWorld(t)
	began := time.Now()
	w.fleet = newBuilder(t, w.url).fleet(t, n)
	if t.Failed() {
		return
	}
	t.Logf("%d resources are there after %v", w.fleet.n(), time.Since(began).Round(time.Millisecond))

	w.startReplicas(t)
	stop := w.watch(t)
	w.deleteAll()
	w.endReplicas(t)
	stop()
	t.Logf("%d calls after %v: %d unanswered, %d answered 503; %d processes killed, %d connections ended",
		w.calls.Load(), time.Since(began).Round(time.Millisecond), w.lost.Load(), w.unavailable.Load(), w.killed.Load(), w.cut.Load())
	w.settle(t)
	w.verify(t)
	t.Logf("verified after %v", time.Since(began).Round(time.Millisecond))
	if n >= deletions && (w.killed.Load() < 3 || w.cut.Load() < 20 || w.lost.Load() == 0) {
		t.Error("too little went wrong to show anything")
	}
}

// deleteAll asks for every deletion, answers for the controllers, forces and retires, in no order.
func (w *world) deleteAll() {
	p := newPile()
	for _, c := range w.fleet.clusters {
		remove := func() { w.remove(p, c, c.all()) }
		if len(c.pools) > 0 && rand.IntN(10) == 0 { // A node pool by itself before.
			pool := c.pools[rand.IntN(len(c.pools))]
			p.add(func() {
				w.remove(p, pool, []*resource{pool})
				p.add(remove)
			})
			continue
		}
		p.add(remove)
	}
	for _, of := range platforms() {
		if of.retired {
			p.add(func() { w.retire(of.name) })
		}
	}
	p.run(clients, w.fault)
}

// remove asks for the deletion of a resource, and puts what ends it on the pile.
func (w *world) remove(p *pile, r *resource, with []*resource) {
	for _, one := range with {
		one.mu.Lock()
		if one.asked.IsZero() {
			one.asked = time.Now()
		}
		one.mu.Unlock()
	}
	w.must(w.call(http.MethodDelete, r.path(), alice.Email, ""), http.StatusAccepted, http.StatusNotFound)
	for _, one := range with {
		one.mu.Lock()
		ordered := one.ordered
		one.ordered = true
		one.mu.Unlock()
		switch {
		case ordered || one.platform.retired:
		case !one.platform.silent:
			w.orderAnswers(p, one)
		case one.kind == models.KindCluster:
			p.add(func() { w.force(one) })
		}
	}
}

// orderAnswers has the controllers of a resource answer, some of them not the truth at first.
func (w *world) orderAnswers(p *pile, r *resource) {
	for _, holder := range r.holders() {
		p.add(func() {
			switch rand.IntN(10) {
			case 0: // What was finalized before the deletion is not what is to be finalized.
				w.report(r, holder, 1, "True")
			case 1:
				w.report(r, holder, 2, "False")
			case 2:
				w.report(r, "a-stranger", 2, "True")
			}
			r.mu.Lock()
			r.letGo[holder] = time.Now()
			r.mu.Unlock()
			w.report(r, holder, 2*rand.IntN(2), "True")
		})
	}
}

func (w *world) report(r *resource, controller string, generation int, finalized string) {
	body := fmt.Sprintf(`{"controller_name":%q,"observed_generation":%d,"conditions":[{"type":"Finalized","status":%q}]}`,
		controller, generation, finalized)
	w.must(w.call(http.MethodPut, r.path()+"/status", robot.Email, body), http.StatusOK)
}

// force has the deletion of a cluster and its node pools wait for nobody.
func (w *world) force(c *resource) {
	for _, one := range c.all() {
		one.mu.Lock()
		one.forcedAt = time.Now()
		one.mu.Unlock()
	}
	w.must(w.call(http.MethodDelete, c.path()+"?force=true&reason=silent", alice.Email, ""), http.StatusAccepted, http.StatusNotFound)
}

func (w *world) retire(controller string) {
	w.fleet.mu.Lock()
	w.fleet.retired[controller] = time.Now()
	w.fleet.mu.Unlock()
	w.must(w.call(http.MethodDelete, "/api/v1/controllers/"+controller, robot.Email, ""), http.StatusNoContent)
}
