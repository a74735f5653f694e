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

// backend is the API as far as the controllers see it, with the clusters and node pools of a test.
type backend struct {
	*httptest.Server

	reports chan v1.StatusReport // as they are stored

	mu       sync.Mutex
	all      map[string]v1.Cluster                     // clusters and node pools, by path
	slots    map[string]map[string]v1.ControllerStatus // by path and controller
	failures map[string]int                            // by method: how many calls fail before one works
	callers  map[string]bool                           // X-User-Email of all calls
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{
		reports: make(chan v1.StatusReport, 100), all: map[string]v1.Cluster{},
		slots: map[string]map[string]v1.ControllerStatus{}, failures: map[string]int{}, callers: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/{kind}/{id}", b.answer(func(r v1.Cluster, _ string, _ *http.Request) any { return r }))
	mux.HandleFunc("GET /api/v1/{kind}/{id}/status", b.answer(func(r v1.Cluster, at string, _ *http.Request) any {
		s := v1.NodePoolStatus{Generation: r.Generation}
		if r.DeletionTimestamp != nil {
			s.Status.Phase = v1.PhaseDeleting
		}
		for _, slot := range b.slots[at] {
			s.ControllerStatus = append(s.ControllerStatus, slot)
		}
		return s
	}))
	mux.HandleFunc("PUT /api/v1/{kind}/{id}/status", b.answer(func(_ v1.Cluster, at string, r *http.Request) any {
		var report v1.StatusReport
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
			t.Errorf("report: %v", err)
		}
		b.store(at, report)
		b.reports <- report
		return v1.ReportResult{Applied: true}
	}))
	b.Server = httptest.NewServer(mux)
	t.Cleanup(b.Close)
	return b
}

// answer serves what is at a path: 503 while a failure is left, 404 for one that is not there.
func (b *backend) answer(of func(r v1.Cluster, at string, req *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.callers[r.Header.Get("X-User-Email")] = true
		at := r.PathValue("kind") + "/" + r.PathValue("id")
		c, found := b.all[at]
		switch {
		case b.failures[r.Method] > 0:
			b.failures[r.Method]--
			w.WriteHeader(http.StatusServiceUnavailable)
		case !found:
			w.WriteHeader(http.StatusNotFound)
		default:
			_ = json.NewEncoder(w).Encode(of(c, at, r))
		}
	}
}

// store keeps a report in its slot; the caller holds the lock or is alone.
func (b *backend) store(at string, r v1.StatusReport) {
	if b.slots[at] == nil {
		b.slots[at] = map[string]v1.ControllerStatus{}
	}
	b.slots[at][r.ControllerName] = v1.ControllerStatus{
		ControllerName: r.ControllerName, ObservedGeneration: r.ObservedGeneration,
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

// add puts a resource at a path; one without a platform names none.
func (b *backend) add(at, platform string, generation int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, name, _ := strings.Cut(at, "/")
	spec := `{"platform":{"type":"` + platform + `"}}`
	if platform == "" {
		spec = `{}`
	}
	b.all[at] = v1.Cluster{ID: name, Name: name, Generation: generation, Spec: v1.Object(spec)}
}

// end begins the deletion of what is at a path.
func (b *backend) end(at string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.all[at]
	r.DeletionTimestamp = new(time.Time)
	r.Generation++
	b.all[at] = r
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
		ProjectID: project, EmulatorHost: w.server.Addr(),
		Topics: map[models.Kind]string{models.KindCluster: "cluster-events", models.KindNodePool: "nodepool-events"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.events.Close() })
	return w
}

// start creates the topics and runs the controllers until the test ends.
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
	if err != nil || len(subs.GetSubscriptions()) != 6 {
		w.t.Fatalf("ready with the subscriptions %v, %v; want one for each of three on either topic", subs.GetSubscriptions(), err)
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
func (w *world) send(eventType, id, platform string, generation int64) {
	w.t.Helper()
	m := w.publish(eventType, id, platform, generation)
	w.until("acknowledgement by all", func() bool { return w.acks(m) == 3 })
}

// home is the cluster of every node pool.
const home = "home"

// publish publishes an event of a cluster, or of a node pool of home.
func (w *world) publish(eventType, id, platform string, generation int64) *pstest.Message {
	w.t.Helper()
	w.seq++
	q := models.QueuedEvent{
		Seq: w.seq, Kind: models.KindCluster, Platform: strings.ToLower(platform),
		Event: v1.Event{ID: "event", Type: eventType, ClusterID: id, Generation: generation, Source: v1.Source},
	}
	if strings.HasPrefix(eventType, "nodepool.") {
		q.Kind, q.Event.ClusterID, q.Event.NodePoolID = models.KindNodePool, home, id
	}
	if err := w.events.Publish(w.t.Context(), q); err != nil {
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

// provisioned are the reports on a cluster that is built.
func provisioned(platform, cluster string, generation int64) []v1.StatusReport {
	all := []v1.StatusReport{
		saying(platform, generation, v1.ConditionFalse, "Provisioning", "the cluster is being built on "+platform, v1.ConditionFalse),
		saying(platform, generation, v1.ConditionTrue, "Provisioned", "the cluster runs on "+platform, v1.ConditionFalse),
	}
	all[1].Metadata = v1.Object(`{"endpoint":"https://` + cluster + "." + platform + `.example.com:6443"}`)
	return all
}

// poolProvisioned are the reports on a node pool that is built.
func poolProvisioned(platform string, generation int64) []v1.StatusReport {
	return []v1.StatusReport{
		saying(platform, generation, v1.ConditionFalse, "Provisioning", "the node pool is being built on "+platform, v1.ConditionFalse),
		saying(platform, generation, v1.ConditionTrue, "Provisioned", "the node pool runs on "+platform, v1.ConditionFalse),
	}
}

// finalized are the reports on what is taken down.
func finalized(noun string, generation int64) []v1.StatusReport {
	return []v1.StatusReport{
		saying("azure", generation, v1.ConditionFalse, "Deprovisioning", "the "+noun+" is being taken down on azure", v1.ConditionFalse),
		saying("azure", generation, v1.ConditionFalse, "Deprovisioned", "the "+noun+" is gone on azure", v1.ConditionTrue),
	}
}

// saying is a report; only the controller of azure says whether it has let go.
func saying(platform string, generation int64, available v1.ConditionStatus, reason, message string, letGo v1.ConditionStatus) v1.StatusReport {
	r := v1.StatusReport{ControllerName: "demo-" + platform, ObservedGeneration: generation, Conditions: []v1.ReportedCondition{
		{Type: "Available", Status: available, Reason: reason, Message: message},
	}}
	if platform == "azure" {
		r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: "Finalized", Status: letGo, Reason: reason, Message: message})
	}
	return r
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Google's client: a worker of the process, and a ticker that notices the end of
		// its stream within ten seconds.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		goleak.IgnoreTopFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"))
}
