package main

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/dev"
)

const (
	// recovery is how soon after the return of PostgreSQL everything works again.
	recovery = 5 * time.Second
	// statementLimit is the default of DATABASE_STATEMENT_TIMEOUT and a second more.
	statementLimit = 11 * time.Second
)

// load keeps writers and readers at work, each with one request at a time.
type load struct {
	p    *process
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	created []string // acknowledged
	samples []sample
}

type sample struct {
	answer

	at   time.Time // of the answer
	what string    // create, get
	name string    // of the cluster to create
}

// startLoad starts workers, half of which write.
func startLoad(p *process, workers int) *load {
	l := &load{p: p, stop: make(chan struct{})}
	known := p.create("known")
	var names atomic.Int64
	for i := range workers {
		l.wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
			pace := time.NewTicker(10 * time.Millisecond) // leaves something of the machine to other tests
			defer pace.Stop()
			for {
				select {
				case <-l.stop:
					return
				case <-pace.C:
				}
				if i%2 == 0 {
					name := fmt.Sprintf("load-%d", names.Add(1))
					l.note("create", name, request(client, http.MethodPost, "http://"+p.api+"/api/v1/clusters", user,
						`{"name":"`+name+`","spec":{"platform":{"type":"aws"}}}`))
				} else {
					l.note("get", "", request(client, http.MethodGet, "http://"+p.api+"/api/v1/clusters/"+known, user, ""))
				}
			}
		})
	}
	return l
}

func (l *load) note(what, name string, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, sample{answer: a, at: time.Now(), what: what, name: name})
	if what == "create" && a.status == http.StatusCreated {
		l.created = append(l.created, a.text("id"))
	}
}

// since counts the answers of a status that came after a moment.
func (l *load) since(begun time.Time, status int) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.samples {
		if s.status == status && s.at.After(begun) {
			n++
		}
	}
	return n
}

func (l *load) end() {
	close(l.stop)
	l.wg.Wait()
}

// PostgreSQL crashes under load and comes back: the service says 503 meanwhile, works
// again by itself, and has lost nothing that it acknowledged.
func TestPostgresRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	pg := durable(t)
	ps := pubSub(t)
	p := serve(t, pg.URL(), ps.Addr()).ready()
	l := startLoad(p, 8)
	await(t, "the load", patience, func() bool { return l.since(time.Time{}, http.StatusCreated) > 50 })

	down := time.Now()
	pg.Kill()
	await(t, "503s", patience, func() bool { return l.since(down, http.StatusServiceUnavailable) > 600 })
	if a := p.probe("/health"); a.status != http.StatusServiceUnavailable || a.took > 2*time.Second {
		t.Errorf("/health without the database: %d after %v", a.status, a.took)
	}
	back, err := dev.StartPostgres(t.Context(), pg.Options())
	must(t, err)
	t.Cleanup(back.Kill)
	up := time.Now()
	await(t, "recovery", recovery, func() bool { return l.since(up, http.StatusCreated) > 0 && l.since(up, http.StatusOK) > 0 })
	t.Logf("away for %v; working again %v after its return", up.Sub(down), time.Since(up))
	await(t, "the end of the time to recover", patience, func() bool { return time.Since(up) > recovery })
	await(t, "more load", patience, func() bool { return l.since(up.Add(recovery), http.StatusCreated) > 100 })
	l.end()

	l.verify(t, up.Add(recovery))
	l.verifyKept(t, back.URL(), ps)
}

// durable is a server that keeps every commit through a crash.
func durable(t *testing.T) *dev.Postgres {
	t.Helper()
	pg := dbtest.NewServer(t)
	pg.Kill()
	options := pg.Options()
	options.Durable = true
	pg, err := dev.StartPostgres(t.Context(), options)
	must(t, err)
	t.Cleanup(pg.Kill)
	return pg
}

// verify looks at every answer: 2xx, or 503 until recovered, none later than a statement
// may take.
func (l *load) verify(t *testing.T, recovered time.Time) {
	t.Helper()
	counts := map[int]int{}
	var slowest time.Duration
	for _, s := range l.samples {
		counts[s.status]++
		slowest = max(slowest, s.took)
		switch {
		case s.status == http.StatusOK || s.status == http.StatusCreated:
		case s.status != http.StatusServiceUnavailable:
			t.Errorf("%s: %d %s %v", s.what, s.status, s.body, s.err)
		case s.at.After(recovered):
			t.Errorf("%s: 503 %v after the time to recover", s.what, s.at.Sub(recovered))
		}
	}
	if slowest > statementLimit {
		t.Errorf("a request took %v", slowest)
	}
	t.Logf("answers by status: %v; the slowest after %v", counts, slowest)
}

// verifyKept looks for everything that was acknowledged: its row, and its event both in
// the outbox and in Pub/Sub.
func (l *load) verifyKept(t *testing.T, database string, ps *dev.PubSub) {
	t.Helper()
	kept := count(t, database, `
		SELECT count(*) FROM clusters c JOIN outbox o ON o.resource_id = c.id AND o.type = 'cluster.created'
		WHERE c.id = ANY($1::uuid[])`, l.created)
	if kept != len(l.created) {
		t.Errorf("%d clusters were acknowledged, %d are there with their event", len(l.created), kept)
	}
	await(t, "an empty outbox", patience, func() bool {
		return count(t, database, `SELECT count(*) FROM outbox WHERE published_at IS NULL AND type = 'cluster.created'`) == 0
	})
	created := map[string]bool{}
	for _, m := range ps.Server().Messages() {
		created[m.OrderingKey] = created[m.OrderingKey] || m.Attributes["event_type"] == v1.ClusterCreated
	}
	for _, id := range l.created {
		if !created[id] {
			t.Errorf("the event of %s was never published", id)
		}
	}
}
