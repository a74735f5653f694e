package app_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/cls-backend/cls-backend/internal/dbtest"
)

// burst makes n requests that wait for the row of a cluster, calls meanwhile once as many
// sessions as expected wait in PostgreSQL, and lets them go.
func (w *world) burst(n, expected int, meanwhile func()) {
	w.t.Helper()
	id := w.create("locked", `{}`).ID
	release := w.lock(id)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { w.send(http.MethodPost, "/api/v1/clusters/"+id+"/reconcile", "", as(user)...) })
	}
	await(w.t, "waiting sessions", func() bool { return w.sessions("wait_event_type = 'Lock'") >= expected })
	meanwhile()
	release()
	wg.Wait()
}

func showMostConnections(t *testing.T) {
	t.Helper()
	w := newWorld(t, "DATABASE_MAX_OPEN_CONNS=3", "DATABASE_MIN_IDLE_CONNS=0")
	w.burst(12, 2, func() { // The third is nobody's who asks.
		if n := w.sessions("true"); n > 3 {
			t.Errorf("%d connections", n)
		}
	})
	if got := w.metric("cls_db_pool_max_connections"); got != 3 {
		t.Errorf("the metric says %v", got)
	}
}

// TestRequestsThatWaitHoldUpNothingElse: with the rows of a cluster locked and a queue of those who want to change it,
// the process is ready, wakes the controllers of others, and has their events published.
func TestRequestsThatWaitHoldUpNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, often("DATABASE_MAX_OPEN_CONNS=3", "DATABASE_MIN_IDLE_CONNS=0", "DATABASE_STATEMENT_TIMEOUT=5m", "SERVER_WRITE_TIMEOUT=5m")...)
	other := w.create("other", `{}`).ID
	w.burst(12, 2, func() {
		w.send(http.MethodGet, "/readyz", "").expect(t, http.StatusOK, "ok")
		w.send(http.MethodGet, "/health", "").expect(t, http.StatusOK, `"healthy"`)
		published := func() int {
			return value[int](t, w.database, `SELECT count(*) FROM outbox WHERE published_at IS NOT NULL AND resource_id = $1`, other)
		}
		before := published()
		await(t, "a wake-up", func() bool { return published() > before })
	})
}

// TestMoreThanCanWaitAreAskedToComeAgain at once, and those who wait are served.
func TestMoreThanCanWaitAreAskedToComeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "DATABASE_MAX_OPEN_CONNS=2", "DATABASE_MIN_IDLE_CONNS=0")
	id := w.create("locked", `{}`).ID
	release := w.lock(id)
	const more = 10
	answers := make(chan answer, 1+20+more)
	for range cap(answers) {
		go func() { answers <- w.send(http.MethodPost, "/api/v1/clusters/"+id+"/reconcile", "", as(user)...) }()
	}
	for range more {
		a := <-answers
		a.expect(t, http.StatusServiceUnavailable, "more is asked for than can be done")
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
		}
	}
	w.send(http.MethodPost, "/api/v1/clusters", "neither read nor known from whom").expect(t, http.StatusServiceUnavailable, "more is asked for")
	for _, open := range []string{"/livez", "/readyz", "/health", "/api/v1/info"} {
		w.send(http.MethodGet, open, "").expect(t, http.StatusOK, "")
	}
	if n := w.metric("cls_db_pool_canceled_total"); n != more+1 {
		t.Errorf("%v are counted as turned away", n)
	}
	release()
	for range 1 + 20 {
		(<-answers).expect(t, http.StatusAccepted, "")
	}
}

func showIdleConnections(t *testing.T) {
	t.Helper()
	w := newWorld(t, "DATABASE_MIN_IDLE_CONNS=9")
	await(t, "idle connections", func() bool { return w.sessions("state = 'idle'") >= 9 })
}

func showLifetime(t *testing.T) {
	t.Helper()
	w := newWorld(t, "DATABASE_CONN_MAX_LIFETIME=1s", "DATABASE_MIN_IDLE_CONNS=0")
	first := value[time.Time](t, w.database, "SELECT clock_timestamp()")
	await(t, "the end of the first connections", func() bool {
		return value[int](t, w.database, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'cls-backend' AND backend_start < $1`, first) == 0
	})
}

// Those who waited have a connection each, which nobody wants any more. Without the setting it would be open for minutes.
func showIdleTime(t *testing.T) {
	t.Helper()
	w := newWorld(t, "DATABASE_CONN_MAX_IDLE_TIME=1s", "DATABASE_MIN_IDLE_CONNS=0")
	var waited []int32
	w.burst(10, 10, func() {
		waited = value[[]int32](t, w.database, `SELECT array_agg(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'cls-backend' AND wait_event_type = 'Lock'`)
	})
	if len(waited) < 10 {
		t.Errorf("%d connections waited", len(waited))
	}
	await(t, "the end of their connections", func() bool {
		return value[int](t, w.database, `SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1)`, waited) == 0
	})
}

func showStatementTimeout(t *testing.T) {
	t.Helper()
	w := newWorld(t, "DATABASE_STATEMENT_TIMEOUT=700ms")
	id := w.create("locked", `{}`).ID
	release := w.lock(id)
	defer release()
	a := w.send(http.MethodPost, "/api/v1/clusters/"+id+"/reconcile", "", as(user)...)
	a.expect(t, http.StatusServiceUnavailable, "UNAVAILABLE")
	if a.took > 5*time.Second {
		t.Errorf("answered after %v", a.took)
	}
}

func showTopics(t *testing.T) {
	t.Helper()
	w := newWorld(t, "GOOGLE_CLOUD_PROJECT=my-project", "PUBSUB_CLUSTER_EVENTS_TOPIC=my-clusters", "PUBSUB_NODEPOOL_EVENTS_TOPIC=my-pools")
	var names []string
	await(t, "the topics", func() bool {
		list, err := w.pubsub.Server().GServer.ListTopics(t.Context(), &pb.ListTopicsRequest{Project: "projects/my-project"})
		must(t, err)
		names = nil
		for _, topic := range list.GetTopics() {
			names = append(names, topic.GetName())
		}
		return len(names) == 2
	})
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "projects/my-project/topics/my-clusters projects/my-project/topics/my-pools" {
		t.Errorf("topics: %s", got)
	}
	w.create("one", `{}`)
	await(t, "the event", func() bool { return len(w.pubsub.Server().Messages()) == 1 })
	if got := w.pubsub.Server().Messages()[0].Topic; got != "projects/my-project/topics/my-clusters" {
		t.Errorf("published to %s", got)
	}
}

// Without the setting the first failure would be the one of the connection, after 2 s.
func showPublishTimeout(t *testing.T) {
	t.Helper()
	r := start(t, configured(t, dbtest.New(t), hung(t), "PUBSUB_PUBLISH_TIMEOUT=50ms"))
	r.create("one", `{}`)
	await(t, "a failed publish", func() bool { return len(r.records("events cannot be published; trying on")) > 0 })
	if why, _ := r.records("events cannot be published; trying on")[0]["error"].(string); !strings.Contains(why, "DeadlineExceeded") {
		t.Errorf("the first publish failed for %s", why)
	}
	if n := r.metric(`cls_publish_total{result="retry"`); n < 1 {
		t.Errorf("%v failures are counted", n)
	}
}
