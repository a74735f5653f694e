package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// backlogDeadline bounds what a scrape may ask of the database, so that a hung
// one costs a scrape two seconds and not its whole answer.
const backlogDeadline = 2 * time.Second

// PoolStats is the state of the database's connection pool. The last three are
// totals since the pool was opened.
type PoolStats struct {
	Max   int32
	Total int32
	Idle  int32
	InUse int32

	Waits    int64         // acquisitions that had to wait
	WaitTime time.Duration // their waiting time together
	Canceled int64         // acquisitions given up
}

// Backlog is the work that lies in the database.
type Backlog struct {
	OutboxUnpublished int64
	OutboxSetAside    int64
	OutboxOldest      time.Duration // age of the oldest unpublished event, 0 without one
	ClustersByPhase   map[string]int64
	NodePoolsByPhase  map[string]int64
	DirtyRows         int64
}

// RegisterPool has each scrape call stats, which must be quick and safe for
// concurrent use. A second call replaces the first.
func (m *Metrics) RegisterPool(stats func() PoolStats) { m.pool.stats.Store(&stats) }

// RegisterBacklog has each scrape call read, which must be safe for concurrent
// use and heed its context: it ends two seconds after the scrape began. When it
// fails, cls_backlog_up is 0, the figures are left out rather than stale, and the
// scrape succeeds. A second call replaces the first.
func (m *Metrics) RegisterBacklog(read func(context.Context) (Backlog, error)) {
	m.backlog.read.Store(&read)
}

type poolCollector struct {
	stats atomic.Pointer[func() PoolStats]

	most, open, connections, waits, waitTime, canceled *prometheus.Desc
}

func (c *poolCollector) describe() {
	c.most = desc("cls_db_pool_max_connections", "Most connections that the pool opens.")
	c.open = desc("cls_db_pool_open_connections", "Connections that are open or being opened.")
	c.connections = desc("cls_db_pool_connections", "Open connections by state: idle, in_use.", "state")
	c.waits = desc("cls_db_pool_waits_total", "Acquisitions that had to wait for a connection.")
	c.waitTime = desc("cls_db_pool_wait_seconds_total", "Time spent waiting for a connection.")
	c.canceled = desc("cls_db_pool_canceled_total", "Acquisitions given up before a connection was free.")
}

// Describe implements prometheus.Collector.
func (c *poolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.most, c.open, c.connections, c.waits, c.waitTime, c.canceled} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *poolCollector) Collect(ch chan<- prometheus.Metric) {
	stats := c.stats.Load()
	if stats == nil {
		return
	}
	s := (*stats)()
	ch <- gauge(c.most, float64(s.Max))
	ch <- gauge(c.open, float64(s.Total))
	ch <- gauge(c.connections, float64(s.Idle), "idle")
	ch <- gauge(c.connections, float64(s.InUse), "in_use")
	ch <- counter(c.waits, float64(s.Waits))
	ch <- counter(c.waitTime, s.WaitTime.Seconds())
	ch <- counter(c.canceled, float64(s.Canceled))
}

type backlogCollector struct {
	read atomic.Pointer[func(context.Context) (Backlog, error)]

	up, unpublished, setAside, oldest, clusters, nodepools, dirty *prometheus.Desc
}

func (c *backlogCollector) describe() {
	c.up = desc("cls_backlog_up", "Whether the backlog could be read for this scrape.")
	c.unpublished = desc("cls_outbox_unpublished_events", "Events that wait to be published.")
	c.setAside = desc("cls_outbox_set_aside_events", "Events in the outbox that were given up.")
	c.oldest = desc("cls_outbox_oldest_age_seconds", "Age of the oldest event that waits to be published.")
	c.clusters = desc("cls_clusters", "Clusters by phase.", "phase")
	c.nodepools = desc("cls_nodepools", "Node pools by phase.", "phase")
	c.dirty = desc("cls_dirty_rows", "Rows whose status is yet to be calculated.")
}

// Describe implements prometheus.Collector.
func (c *backlogCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.unpublished, c.setAside, c.oldest, c.clusters, c.nodepools, c.dirty} {
		ch <- d
	}
}

// Collect implements prometheus.Collector, whose interface brings no context of
// the scrape along.
func (c *backlogCollector) Collect(ch chan<- prometheus.Metric) {
	read := c.read.Load()
	if read == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), backlogDeadline)
	defer cancel()
	b, err := (*read)(ctx)
	if err != nil {
		ch <- gauge(c.up, 0)
		return
	}
	ch <- gauge(c.up, 1)
	ch <- gauge(c.unpublished, float64(b.OutboxUnpublished))
	ch <- gauge(c.setAside, float64(b.OutboxSetAside))
	ch <- gauge(c.oldest, b.OutboxOldest.Seconds())
	ch <- gauge(c.dirty, float64(b.DirtyRows))
	for phase, n := range b.ClustersByPhase {
		ch <- gauge(c.clusters, float64(n), phase)
	}
	for phase, n := range b.NodePoolsByPhase {
		ch <- gauge(c.nodepools, float64(n), phase)
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counter(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}
