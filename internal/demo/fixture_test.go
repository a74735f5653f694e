package demo_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"go.uber.org/goleak"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/demo"
	"github.com/cls-backend/cls-backend/internal/dev"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

const (
	project = "p"
	// patience is how long a test waits for what must happen.
	patience = 20 * time.Second
)

// backend is the API as far as the controllers see it, with the clusters of a test.
type backend struct {
	*httptest.Server

	reports chan v1.StatusReport // as they are stored

	mu       sync.Mutex
	clusters map[string]v1.Cluster
	slots    map[string]map[string]v1.ControllerStatus // by cluster and controller
	failures map[string]int                            // by method: how many calls fail before one works
	callers  map[string]bool                           // X-User-Email of all calls
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{
		reports: make(chan v1.StatusReport, 100), clusters: map[string]v1.Cluster{},
		slots: map[string]map[string]v1.ControllerStatus{}, failures: map[string]int{}, callers: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/clusters/{id}", b.answer(func(c v1.Cluster, _ *http.Request) any { return c }))
	mux.HandleFunc("GET /api/v1/clusters/{id}/status", b.answer(func(c v1.Cluster, _ *http.Request) any {
		s := v1.ClusterStatus{ClusterID: c.ID, Generation: c.Generation}
		for _, slot := range b.slots[c.ID] {
			s.ControllerStatus = append(s.ControllerStatus, slot)
		}
		return s
	}))
	mux.HandleFunc("PUT /api/v1/clusters/{id}/status", b.answer(func(c v1.Cluster, r *http.Request) any {
		var report v1.StatusReport
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
			t.Errorf("report: %v", err)
		}
		b.store(c.ID, report)
		b.reports <- report
		return v1.ReportResult{Applied: true}
	}))
	b.Server = httptest.NewServer(mux)
	t.Cleanup(b.Close)
	return b
}

// answer serves a cluster of the backend: 503 while a failure is left, 404 for one that is not there.
func (b *backend) answer(of func(v1.Cluster, *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.callers[r.Header.Get("X-User-Email")] = true
		c, found := b.clusters[r.PathValue("id")]
		switch {
		case b.failures[r.Method] > 0:
			b.failures[r.Method]--
			w.WriteHeader(http.StatusServiceUnavailable)
		case !found:
			w.WriteHeader(http.StatusNotFound)
		default:
			_ = json.NewEncoder(w).Encode(of(c, r))
		}
	}
}

// store keeps a report in its slot; the caller holds the lock or is alone.
func (b *backend) store(id string, r v1.StatusReport) {
	if b.slots[id] == nil {
		b.slots[id] = map[string]v1.ControllerStatus{}
	}
	b.slots[id][r.ControllerName] = v1.ControllerStatus{
		ClusterID: id, ControllerName: r.ControllerName, ObservedGeneration: r.ObservedGeneration,
		Conditions: r.Conditions, Metadata: r.Metadata,
	}
}

// ever is more failures than a test sees.
const ever = 1 << 30

// fail makes the next n calls of a method fail.
func (b *backend) fail(method string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures[method] = n
}

func (b *backend) failuresLeft(method string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures[method]
}

func (b *backend) add(id, platform string, generation int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clusters[id] = v1.Cluster{ID: id, Name: id, Generation: generation, Spec: v1.Object(`{"platform":{"type":"` + platform + `"}}`)}
}

// world is a backend, a Pub/Sub, and the demo controllers between them.
type world struct {
	*backend

	t      *testing.T
	server *dev.PubSub
	events *pubsub.Service
	seq    int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{backend: newBackend(t), t: t}
	var err error
	if w.server, err = dev.StartPubSub(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Close)
	w.events, err = pubsub.Open(t.Context(), pubsub.Options{
		ProjectID: project, EmulatorHost: w.server.Addr(), Topics: map[models.Kind]string{models.KindCluster: "cluster-events"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.events.Close() })
	return w
}

// start creates the topic and runs the controllers until the test ends.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- demo.Run(ctx, demo.Options{
			APIURL: w.URL, ProjectID: project, PubSubEndpoint: w.server.Addr(), Work: time.Millisecond,
			Ready: func() { close(ready) },
		})
	}()
	w.t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			w.t.Error("Run does not end with its context")
		}
	})
	go func() { _ = w.events.Run(ctx) }()
	select {
	case <-ready:
	case <-time.After(patience):
		w.t.Fatal("the controllers do not become ready")
	}
	subs, err := w.server.Server().GServer.ListSubscriptions(ctx, &pb.ListSubscriptionsRequest{Project: "projects/" + project})
	if err != nil || len(subs.GetSubscriptions()) != 3 {
		w.t.Fatalf("ready with the subscriptions %v, %v; want one for each of three", subs.GetSubscriptions(), err)
	}
}

// until polls what another goroutine of a server does, which has no signal for it.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("still waiting for %s", what)
		}
	}
}

// send publishes an event and waits until all three subscriptions have acknowledged it.
func (w *world) send(eventType, cluster, platform string, generation int64) {
	w.t.Helper()
	m := w.publish(eventType, cluster, platform, generation)
	w.until("acknowledgement by all", func() bool { return w.acks(m) == 3 })
}

func (w *world) publish(eventType, cluster, platform string, generation int64) *pstest.Message {
	w.t.Helper()
	w.seq++
	err := w.events.Publish(w.t.Context(), models.QueuedEvent{
		Seq: w.seq, Kind: models.KindCluster, Platform: strings.ToLower(platform),
		Event: v1.Event{ID: "event", Type: eventType, ClusterID: cluster, Generation: generation, Source: v1.Source},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	all := w.server.Server().Messages()
	return all[len(all)-1]
}

func (w *world) acks(m *pstest.Message) int { return w.server.Server().Message(m.ID).Acks }

// stored returns the reports that have been stored so far.
func (w *world) stored() []v1.StatusReport {
	var all []v1.StatusReport
	for {
		select {
		case r := <-w.reports:
			all = append(all, r)
		default:
			return all
		}
	}
}

func provisioned(platform, cluster string, generation int64) []v1.StatusReport {
	return []v1.StatusReport{
		{
			ControllerName: "demo-" + platform, ObservedGeneration: generation,
			Conditions: []v1.ReportedCondition{{
				Type: "Available", Status: v1.ConditionFalse, Reason: "Provisioning", Message: "the cluster is being built on " + platform,
			}},
		},
		{
			ControllerName: "demo-" + platform, ObservedGeneration: generation,
			Metadata: v1.Object(`{"endpoint":"https://` + cluster + "." + platform + `.example.com:6443"}`),
			Conditions: []v1.ReportedCondition{{
				Type: "Available", Status: v1.ConditionTrue, Reason: "Provisioned", Message: "the cluster runs on " + platform,
			}},
		},
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Google's client: a worker of the process, and a ticker that notices the end of
		// its stream within ten seconds.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		goleak.IgnoreTopFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"))
}
