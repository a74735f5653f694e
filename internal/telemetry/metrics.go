package telemetry

import (
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is every metric of one server, in a registry of its own. Names begin
// with cls_; no label holds an id or anything else that a caller can make up, so
// the number of series is bounded. All methods are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	build    *prometheus.GaugeVec
	http     httpMetrics
	publish  publishMetrics
	passes   passMetrics
	statuses statusMetrics
	pool     poolCollector
	backlog  backlogCollector
}

type httpMetrics struct {
	requests *prometheus.CounterVec
	elapsed  *prometheus.HistogramVec
}

type publishMetrics struct {
	results  *prometheus.CounterVec
	elapsed  *prometheus.HistogramVec
	setAside *prometheus.CounterVec
}

type passMetrics struct {
	elapsed  prometheus.Histogram
	due      prometheus.Histogram
	lateness prometheus.Histogram
	last     prometheus.Gauge
}

type statusMetrics struct {
	elapsed prometheus.Histogram
	rows    prometheus.Counter
}

// NewMetrics returns metrics that have counted nothing yet, together with those
// of the Go runtime and the process.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		build:    gaugeVec("cls_build_info", "What this binary was built from; always 1.", "version", "git_commit", "go_version"),
		http:     newHTTPMetrics(),
		publish:  newPublishMetrics(),
		passes:   newPassMetrics(),
		statuses: newStatusMetrics(),
	}
	m.pool.describe()
	m.backlog.describe()
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.build, m.http.requests, m.http.elapsed,
		m.publish.results, m.publish.elapsed, m.publish.setAside,
		m.passes.elapsed, m.passes.due, m.passes.lateness, m.passes.last,
		m.statuses.elapsed, m.statuses.rows, &m.pool, &m.backlog,
	)
	return m
}

// Handler serves the metrics in the Prometheus text format. What cannot be
// collected is left out and the rest is served.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// SetBuild publishes cls_build_info. It is called once, at start.
func (m *Metrics) SetBuild(version, commit string) {
	m.build.WithLabelValues(version, commit, runtime.Version()).Set(1)
}

// ObserveHTTP counts one answered request. The route is the pattern that
// matched, never the path, and "" where none did; an unknown method counts as
// "other".
func (m *Metrics) ObserveHTTP(route, method string, status int, elapsed time.Duration) {
	if route == "" {
		route = "unmatched"
	}
	if !slices.Contains(knownMethods(), method) {
		method = "other"
	}
	m.http.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.http.elapsed.WithLabelValues(route, method).Observe(elapsed.Seconds())
}

// PublishDone counts one attempt to publish an event: "ok", "retry" when it will
// be tried again, "refused" when it failed for good.
func (m *Metrics) PublishDone(topic, result string, elapsed time.Duration) {
	m.publish.results.WithLabelValues(topic, result).Inc()
	m.publish.elapsed.WithLabelValues(topic).Observe(elapsed.Seconds())
	// An alert on an increase misses the first one of a series that was not
	// there before, so the series of the topic begins at 0.
	m.publish.setAside.WithLabelValues(topic)
}

// EventSetAside counts an event that was given up after its last try. Any
// increase is worth an alert: somebody has to look at the event.
func (m *Metrics) EventSetAside(topic string) {
	m.publish.setAside.WithLabelValues(topic).Inc()
}

// PassDone counts one pass of the scheduler: how long it took, how many
// resources were due, and how late each of them (or a sample) was served.
func (m *Metrics) PassDone(elapsed time.Duration, due int, lateness []time.Duration) {
	m.passes.elapsed.Observe(elapsed.Seconds())
	m.passes.due.Observe(float64(due))
	for _, late := range lateness {
		m.passes.lateness.Observe(late.Seconds())
	}
	m.passes.last.SetToCurrentTime()
}

// AggregationDone counts one calculation of n statuses together.
func (m *Metrics) AggregationDone(elapsed time.Duration, n int) {
	m.statuses.elapsed.Observe(elapsed.Seconds())
	m.statuses.rows.Add(float64(n))
}

func newHTTPMetrics() httpMetrics {
	return httpMetrics{
		requests: counterVec("cls_http_requests_total", "Requests answered.", "route", "method", "status"),
		elapsed: histogramVec("cls_http_request_duration_seconds", "Time to answer a request.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, "route", "method"),
	}
}

func newPublishMetrics() publishMetrics {
	return publishMetrics{
		results: counterVec("cls_publish_total", "Attempts to publish an event, by result: ok, retry, refused.", "topic", "result"),
		elapsed: histogramVec("cls_publish_duration_seconds", "Time of an attempt to publish.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, "topic"),
		setAside: counterVec("cls_events_set_aside_total", "Events given up after their last try.", "topic"),
	}
}

func newPassMetrics() passMetrics {
	return passMetrics{
		elapsed: histogram("cls_scheduler_pass_duration_seconds", "Time of a pass of the scheduler.",
			[]float64{.001, .005, .01, .05, .1, .5, 1, 5, 10}),
		due: histogram("cls_scheduler_batch_size", "Resources that were due in a pass.",
			[]float64{0, 1, 5, 10, 50, 100, 500, 1000, 5000}),
		lateness: histogram("cls_scheduler_lateness_seconds", "Time from when a resource was due to when it was served.",
			[]float64{.1, .5, 1, 2, 5, 10, 30, 60, 300, 1800}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cls_scheduler_last_pass_timestamp_seconds", Help: "When the last pass ended, in Unix time.",
		}),
	}
}

func newStatusMetrics() statusMetrics {
	return statusMetrics{
		elapsed: histogram("cls_aggregation_duration_seconds", "Time to calculate and store a status, or a batch of them.",
			[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5, 1}),
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cls_aggregated_statuses_total", Help: "Statuses calculated.",
		}),
	}
}

func knownMethods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
}

func counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

func histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}
