package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// scrape gets the metrics over HTTP, as Prometheus does, and returns the text
// after it was parsed and held against Prometheus's rules for names.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("status %d: %v\n%s", answer.Code, err, body)
	}
	problems, err := promlint.New(strings.NewReader(string(body))).Lint()
	if err != nil {
		t.Fatalf("the scrape does not parse: %v\n%s", err, body)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "cls_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	return "\n" + string(body)
}

func holds(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("the scrape lacks %q", line)
		}
	}
}

func TestScrapeHoldsEveryMetric(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.SetBuild("v1.2.3", "abc")
	m.ObserveHTTP("/api/v1/clusters/{id}", "GET", 200, 20*time.Millisecond)
	m.ObserveHTTP("", "BREW", 405, time.Millisecond)
	m.PublishDone("cluster-events", "ok", 20*time.Millisecond)
	m.EventSetAside("nodepool-events")
	m.PassDone(20*time.Millisecond, 7, []time.Duration{time.Second, 3 * time.Second})
	m.AggregationDone(time.Millisecond, 5)
	m.RegisterPool(func() PoolStats {
		return PoolStats{Max: 25, Total: 6, Idle: 4, InUse: 2, Waits: 9, WaitTime: 1500 * time.Millisecond, Canceled: 1}
	})
	m.RegisterBacklog(func(context.Context) (Backlog, error) {
		return Backlog{
			OutboxUnpublished: 3, OutboxSetAside: 1, OutboxOldest: 2500 * time.Millisecond,
			ClustersByPhase: map[string]int64{"Ready": 8, "Failed": 1}, DirtyRows: 4,
		}, nil
	})
	holds(t, scrape(t, m),
		`cls_build_info{git_commit="abc",go_version="go`,
		`cls_http_requests_total{method="GET",route="/api/v1/clusters/{id}",status="200"} 1`,
		`cls_http_requests_total{method="other",route="unmatched",status="405"} 1`,
		`cls_http_request_duration_seconds_sum{method="GET",route="/api/v1/clusters/{id}"} 0.02`,
		`cls_publish_total{result="ok",topic="cluster-events"} 1`,
		`cls_publish_duration_seconds_sum{topic="cluster-events"} 0.02`,
		`cls_events_set_aside_total{topic="cluster-events"} 0`,
		`cls_events_set_aside_total{topic="nodepool-events"} 1`,
		`cls_scheduler_pass_duration_seconds_sum 0.02`,
		`cls_scheduler_batch_size_sum 7`,
		`cls_scheduler_lateness_seconds_sum 4`,
		`cls_scheduler_lateness_seconds_count 2`,
		`cls_scheduler_last_pass_timestamp_seconds 1`,
		`cls_aggregation_duration_seconds_sum 0.001`,
		`cls_aggregated_statuses_total 5`,
		`cls_db_pool_max_connections 25`,
		`cls_db_pool_open_connections 6`,
		`cls_db_pool_connections{state="idle"} 4`,
		`cls_db_pool_connections{state="in_use"} 2`,
		`cls_db_pool_waits_total 9`,
		`cls_db_pool_wait_seconds_total 1.5`,
		`cls_db_pool_canceled_total 1`,
		`cls_backlog_up 1`,
		`cls_outbox_unpublished_events 3`,
		`cls_outbox_set_aside_events 1`,
		`cls_outbox_oldest_age_seconds 2.5`,
		`cls_clusters{phase="Failed"} 1`,
		`cls_clusters{phase="Ready"} 8`,
		`cls_dirty_rows 4`,
		`go_goroutines `,
		`process_start_time_seconds `,
	)
}

func TestFailedBacklogIsVisibleAndFailsNothingElse(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.RegisterBacklog(func(context.Context) (Backlog, error) { return Backlog{DirtyRows: 4}, errors.New("database away") })
	text := scrape(t, m)
	holds(t, text, "cls_backlog_up 0", "cls_scheduler_batch_size_count 0")
	if strings.Contains(text, "cls_dirty_rows") {
		t.Error("a figure that was not read is shown")
	}
}

func TestHungBacklogEndsAfterTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMetrics()
		m.RegisterBacklog(func(ctx context.Context) (Backlog, error) {
			<-ctx.Done()
			return Backlog{}, ctx.Err()
		})
		start := time.Now()
		holds(t, scrape(t, m), "cls_backlog_up 0")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the scrape took %s, want 2s", took)
		}
	})
}

func TestNothingIsRegisteredTwiceOrGlobally(t *testing.T) {
	t.Parallel()
	a, b := NewMetrics(), NewMetrics()
	a.EventSetAside("cluster-events")
	if strings.Contains(scrape(t, b), "cls_events_set_aside_total{") {
		t.Error("two servers share a counter")
	}
	for _, most := range []int32{1, 2} {
		a.RegisterPool(func() PoolStats { return PoolStats{Max: most} })
	}
	holds(t, scrape(t, a), "cls_db_pool_max_connections 2")
}

func TestMetricsAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				m.ObserveHTTP("/health", "GET", 200, time.Millisecond)
				m.PublishDone("cluster-events", "retry", time.Millisecond)
				m.EventSetAside("cluster-events")
				m.PassDone(time.Millisecond, 1, []time.Duration{time.Second})
				m.AggregationDone(time.Millisecond, 1)
			}
			m.RegisterPool(func() PoolStats { return PoolStats{} })
			m.RegisterBacklog(func(context.Context) (Backlog, error) { return Backlog{}, nil })
			scrape(t, m)
		})
	}
	all.Wait()
	holds(t, scrape(t, m), `cls_http_requests_total{method="GET",route="/health",status="200"} 400`,
		`cls_events_set_aside_total{topic="cluster-events"} 400`)
}
