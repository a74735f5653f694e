package controller

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What became of events, in the label outcome of cls_controller_events_total.
const (
	outcomeDone        = "done"        // reconciled, and reported
	outcomeStale       = "stale"       // handled before, or older than what was
	outcomeForeign     = "foreign"     // of another platform
	outcomeEarly       = "early"       // a wake-up before the time that the author has named
	outcomeGone        = "gone"        // the resource does not exist any more
	outcomeRetired     = "retired"     // reconciled, but the controller is retired: the report counts nowhere
	outcomeUnreported  = "unreported"  // given back: nothing could be read or reported
	outcomeInterrupted = "interrupted" // given back: the controller was stopped
)

// metrics count what a controller does. They are used whether or not anybody looks.
type metrics struct {
	events *prometheus.CounterVec
	calls  *prometheus.HistogramVec

	registry   prometheus.Registerer // nil when nobody looks
	registered []prometheus.Collector
}

func newMetrics(o Options, q *queue) (*metrics, error) {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cls_controller_events_total", Help: "What became of bursts of events of one resource.",
		}, []string{"outcome"}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cls_controller_call_duration_seconds", Help: "How long the author's code took, by what it was asked and how it ended.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 8),
		}, []string{"call", "outcome"}),
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cls_controller_queue_length", Help: "Resources that wait to be reconciled.",
	}, func() float64 { return float64(q.length()) })
	if o.Metrics == nil {
		return m, nil
	}
	m.registry = prometheus.WrapRegistererWith(prometheus.Labels{"controller": o.Name}, o.Metrics)
	for _, c := range []prometheus.Collector{m.events, m.calls, waiting} {
		if err := m.registry.Register(c); err != nil {
			m.unregister()
			return nil, fmt.Errorf("register the metrics of controller %s: %w", o.Name, err)
		}
		m.registered = append(m.registered, c)
	}
	return m, nil
}

// unregister leaves the registry as it was, for the next who runs.
func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registry.Unregister(c)
	}
}

func (m *metrics) event(outcome string) { m.events.WithLabelValues(outcome).Inc() }

func (m *metrics) called(what string, failed bool, took time.Duration) {
	outcome := "ok"
	if failed {
		outcome = "error"
	}
	m.calls.WithLabelValues(what, outcome).Observe(took.Seconds())
}
