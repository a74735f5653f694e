package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/dev"
)

// However Pub/Sub fails, the API does not notice, the health says so, and every event is
// sent once it is back, without a restart.
func TestPubSubOutages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why   string
		start func(way *proxy)
		end   func(way *proxy)
	}{
		{"it resets every connection", func(way *proxy) { way.refuse(true) }, func(way *proxy) { way.refuse(false) }},
		{"it stops answering", func(way *proxy) { way.hold(answers) }, func(way *proxy) { way.let(answers) }},
		{"it stops listening to us", func(way *proxy) { way.hold(requests) }, func(way *proxy) { way.let(requests) }},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			database, ps := dbtest.New(t), pubSub(t)
			way := newProxy(t, ps.Addr())
			p := serve(t, database, way.addr(), "PUBSUB_PUBLISH_TIMEOUT=1s").ready()
			expectAll(t, ps, []string{p.create("before")})
			c.start(way)
			ids := createMany(p, 30)
			await(t, "the health to say so", patience, func() bool {
				a := p.probe("/health")
				return a.status == http.StatusOK && a.text("status") == "degraded"
			})
			c.end(way)
			back := time.Now()
			expectAll(t, ps, ids)
			t.Logf("everything was sent %v after its return", time.Since(back))
			await(t, "health", patience, func() bool { return p.probe("/health").text("status") == "healthy" })
		})
	}
}

// createMany declares clusters, none of which may take long.
func createMany(p *process, n int) (ids []string) {
	p.t.Helper()
	for i := range n {
		begun := time.Now()
		ids = append(ids, p.create(fmt.Sprintf("c-%d", i)))
		if took := time.Since(begun); took > 5*time.Second {
			p.t.Errorf("a POST took %v", took)
		}
	}
	return ids
}

// expectAll waits for the events of clusters.
func expectAll(t *testing.T, ps *dev.PubSub, ids []string) {
	t.Helper()
	for _, id := range ids {
		await(t, "the events that waited", patience, func() bool { return len(published(ps, id)) > 0 })
	}
}
