package deletions_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cls-backend/cls-backend/internal/dbtest"
)

// world is replicas of the service over one database and one Pub/Sub, and what goes wrong with them.
type world struct {
	t        *testing.T
	url      string
	raw      *pgxpool.Pool
	pubsub   *record
	replicas []*replica
	client   *http.Client
	fleet    *fleet

	restarts                              sync.WaitGroup
	down                                  sync.Mutex // held while a process is killed and replaced
	calls, lost, unavailable, killed, cut atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, url: dbtest.New(t), pubsub: startPubSub(t)}
	cfg, err := pgxpool.ParseConfig(w.url)
	must(t, err)
	cfg.ConnConfig.RuntimeParams["application_name"] = "the test"
	w.raw, err = pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(w.raw.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	t.Cleanup(transport.CloseIdleConnections)
	w.client = &http.Client{Transport: transport, Timeout: patience}
	return w
}

func (w *world) startReplicas(t *testing.T) {
	t.Helper()
	for range replicas {
		r := &replica{env: []string{
			"DATABASE_URL=" + w.url, "PUBSUB_EMULATOR_HOST=" + w.pubsub.addr, "LOG_LEVEL=error",
			"RECONCILIATION_ATTENTION_INTERVAL=10s", "DATABASE_MAX_OPEN_CONNS=6",
		}}
		must(t, r.start(t.Context()))
		w.replicas = append(w.replicas, r)
	}
}

// endReplicas kills them all: what they left undone is for others.
func (w *world) endReplicas(t *testing.T) {
	t.Helper()
	w.restarts.Wait()
	for _, r := range w.replicas {
		if r.at.Load() != nil {
			must(t, r.kill())
		}
	}
}

// answer is what came back in the end.
type answer struct {
	method, path string
	status       int
	body         string
}

// must fails the test unless the answer has one of the statuses.
func (w *world) must(a answer, allowed ...int) {
	if !slices.Contains(allowed, a.status) {
		w.t.Errorf("%s %s: %d %s", a.method, a.path, a.status, a.body)
	}
}

// call makes a call as a patient client does: it asks another replica when one does not answer, and
// again when the service says that it cannot just now.
func (w *world) call(method, path, as, body string) answer {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		at := w.replicas[rand.IntN(len(w.replicas))].at.Load()
		if at == nil {
			continue
		}
		w.calls.Add(1)
		status, text, err := w.try(method, "http://"+*at+path, as, body)
		switch {
		case err != nil:
			w.lost.Add(1)
		case status == http.StatusServiceUnavailable:
			w.unavailable.Add(1)
		default:
			return answer{method, path, status, text}
		}
	}
	return answer{method: method, path: path}
}

func (w *world) try(method, url, as, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-User-Email", as)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := w.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// fault has something go wrong, now and then.
func (w *world) fault() {
	if rand.IntN(killOneIn) == 0 {
		w.kill()
	}
	if rand.IntN(cutOneIn) == 0 {
		w.end()
	}
}

// kill kills a process and starts another in its place, unless one is being replaced already.
func (w *world) kill() {
	if !w.down.TryLock() {
		return
	}
	r := w.replicas[rand.IntN(len(w.replicas))]
	if err := r.kill(); err != nil {
		w.t.Error(err)
	}
	w.killed.Add(1)
	w.restarts.Go(func() {
		defer w.down.Unlock()
		if err := r.start(w.t.Context()); err != nil {
			w.t.Error(err)
		}
	})
}

// end ends a connection that is at work.
func (w *world) end() {
	tag, err := w.raw.Exec(w.t.Context(), `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'cls-backend' AND state <> 'idle' ORDER BY random() LIMIT 1`)
	if err != nil {
		w.t.Error(err)
	}
	w.cut.Add(tag.RowsAffected())
}

// watch looks at the database all the time, until it is stopped.
func (w *world) watch(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if n := w.orphans(); n > 0 {
				t.Errorf("%d node pools live on in clusters that are gone", n)
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// orphans counts the node pools that have outlived their clusters.
func (w *world) orphans() int {
	n, err := one[int](w, `SELECT count(*) FROM nodepools p JOIN clusters c ON c.id = p.cluster_id
		WHERE c.deleted_at IS NOT NULL AND p.deleted_at IS NULL`)
	if err != nil {
		w.t.Error(err)
	}
	return n
}

// one reads a value past the service.
func one[T any](w *world, sql string, args ...any) (v T, err error) {
	rows, err := w.raw.Query(w.t.Context(), sql, args...)
	if err != nil {
		return v, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
}
