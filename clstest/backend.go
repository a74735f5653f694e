package clstest

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/controller"
	"github.com/cls-backend/cls-backend/internal/app"
	"github.com/cls-backend/cls-backend/internal/config"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/dev"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// The identities that a Backend knows.
const (
	// Admin may do everything but report.
	Admin = "admin@example.com"
	// Controller may report.
	Controller = "controller@system.local"
	// User owns what [Backend.Create] declares.
	User = "user@example.com"
)

// Patience is how long a Backend waits for what must happen before it fails the test.
const Patience = time.Minute

// Backend is a running service. Its methods fail the test when they cannot do what they are for, so they are called from
// the goroutine of the test; those that say so are safe for others.
type Backend struct {
	t       testing.TB
	api     *faulty
	pubsub  *dev.PubSub
	clients *clients
}

// clients are those of a backend, one for each identity.
type clients struct {
	mu sync.Mutex
	of map[string]*client.Client
}

// shared says that the tests of this process share a PostgreSQL, which Main ends.
var shared atomic.Bool //nolint:gochecknoglobals // TestMain has no other way to tell the tests

// Main runs the tests of a package, which then share one PostgreSQL, and ends the process with their result.
func Main(m *testing.M) {
	shared.Store(true)
	dbtest.Main(m)
}

// NewBackend starts a service that ends with the test. It has its defaults, but reacts within a tenth of a second to what
// it otherwise reacts to within two. Settings, such as RECONCILIATION_ATTENTION_INTERVAL=1s, are those of its environment.
func NewBackend(t testing.TB, settings ...string) *Backend {
	t.Helper()
	ps, err := dev.StartPubSub(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatalf("clstest: %v", err)
	}
	t.Cleanup(ps.Close)
	cfg, err := config.Load(append([]string{
		"DATABASE_URL=" + database(t), "PUBSUB_EMULATOR_HOST=" + ps.Addr(), "HOST=127.0.0.1", "PORT=0", "METRICS_PORT=0",
		"ADMIN_IDENTITIES=" + Admin, "REACTIVE_RECONCILIATION_DEBOUNCE=100ms", "RECONCILIATION_CHECK_INTERVAL=100ms",
	}, settings...))
	if err != nil {
		t.Fatalf("clstest: the settings are wrong:\n%v", err)
	}
	b := &Backend{t: t, pubsub: ps, clients: &clients{of: map[string]*client.Client{}}}
	b.api = newFaulty(t, b.start(cfg))
	t.Cleanup(func() {
		for _, c := range b.clients.of {
			c.Close()
		}
	})
	return b
}

// database is a fresh one for a test, on the server that all share or on one of its own.
func database(t testing.TB) string {
	t.Helper()
	if shared.Load() {
		return dbtest.New(t)
	}
	return dbtest.NewServer(t).URL()
}

// start runs the service until the test ends, and returns its address.
func (b *Backend) start(cfg config.Config) string {
	b.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	serving, ended := make(chan app.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, cfg, app.Options{
			Build: app.Build{Version: "clstest"}, Log: slog.New(slog.DiscardHandler),
			Serving: func(at app.Addresses) { serving <- at },
		})
	}()
	b.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.t.Errorf("clstest: the service ended with %v", err)
		}
	})
	select {
	case at := <-serving:
		return at.API
	case err := <-ended:
		ended <- err
		b.t.Fatalf("clstest: the service does not start: %v", err)
		return ""
	}
}

// For is the same backend for a subtest, whose controllers end with it.
func (b *Backend) For(t testing.TB) *Backend {
	t.Helper()
	of := *b
	of.t = t
	return &of
}

// URL is the address of the API. It is safe for concurrent use.
func (b *Backend) URL() string { return b.api.server.URL }

// PubSub is where the service publishes. It is safe for concurrent use.
func (b *Backend) PubSub() controller.PubSub {
	return controller.PubSub{ProjectID: config.EmulatorProject, EmulatorHost: b.pubsub.Addr()}
}

// Client is the one that calls as somebody, and ends with the backend. It is safe for concurrent use.
func (b *Backend) Client(identity string) *client.Client {
	b.clients.mu.Lock()
	defer b.clients.mu.Unlock()
	if c := b.clients.of[identity]; c != nil {
		return c
	}
	c, err := client.New(b.URL(), client.Options{Identity: identity})
	if err != nil { // The address is ours.
		panic("clstest: " + err.Error())
	}
	b.clients.of[identity] = c
	return c
}

// Run runs a controller until the test ends, and returns once it receives events. Where o names no service and no Pub/Sub,
// it uses those of the backend.
func (b *Backend) Run(r controller.Reconciler, o controller.Options) {
	b.t.Helper()
	if o.Client == nil {
		o.Client = b.Client(Controller)
	}
	if o.PubSub == (controller.PubSub{}) {
		o.PubSub = b.PubSub()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(b.t.Output(), nil))
	}
	ready, told := make(chan struct{}), o.Ready
	o.Ready = func() {
		if told != nil {
			told()
		}
		close(ready)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- controller.Run(ctx, r, o) }()
	b.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.t.Errorf("clstest: controller %s ended with %v", o.Name, err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		b.t.Fatalf("clstest: controller %s does not start: %v", o.Name, err)
	case <-time.After(Patience):
		b.t.Fatalf("clstest: controller %s does not receive events within %v", o.Name, Patience)
	}
}

// Create declares a cluster of User's with a spec, a JSON object.
func (b *Backend) Create(name, spec string) v1.Cluster {
	b.t.Helper()
	c, err := b.Client(User).CreateCluster(b.t.Context(), v1.CreateCluster{Name: name, Spec: v1.Object(spec)})
	if err != nil {
		b.t.Fatalf("clstest: create cluster %s: %v", name, err)
	}
	return c
}

// CreateNodePool declares a node pool of a cluster of User's with a spec, a JSON object.
func (b *Backend) CreateNodePool(clusterID, name, spec string) v1.NodePool {
	b.t.Helper()
	p, err := b.Client(User).CreateNodePool(b.t.Context(), v1.CreateNodePool{ClusterID: clusterID, Name: name, Spec: v1.Object(spec)})
	if err != nil {
		b.t.Fatalf("clstest: create node pool %s: %v", name, err)
	}
	return p
}

// SetSpec gives a cluster of User's another spec.
func (b *Backend) SetSpec(id, spec string) v1.Cluster {
	b.t.Helper()
	c, err := b.Client(User).UpdateCluster(b.t.Context(), id, v1.UpdateCluster{Spec: v1.Object(spec)})
	if err != nil {
		b.t.Fatalf("clstest: set the spec of cluster %s: %v", id, err)
	}
	return c
}

// Delete asks for the deletion of a cluster of User's.
func (b *Backend) Delete(id string) {
	b.t.Helper()
	if _, err := b.Client(User).DeleteCluster(b.t.Context(), id); err != nil {
		b.t.Fatalf("clstest: delete cluster %s: %v", id, err)
	}
}

// Wake has the controllers of a cluster of User's woken now.
func (b *Backend) Wake(id string) {
	b.t.Helper()
	if _, err := b.Client(User).ReconcileCluster(b.t.Context(), id); err != nil {
		b.t.Fatalf("clstest: wake the controllers of cluster %s: %v", id, err)
	}
}

// WaitReady waits until a cluster is Ready at its current generation.
func (b *Backend) WaitReady(id string) v1.Cluster {
	b.t.Helper()
	return b.WaitFor(id, client.Condition{Type: v1.ConditionReady})
}

// WaitFor waits until a cluster meets a condition.
func (b *Backend) WaitFor(id string, want client.Condition) v1.Cluster {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), Patience)
	defer cancel()
	c, err := b.Client(Admin).WaitFor(ctx, id, want)
	if err != nil {
		b.t.Fatalf("clstest: cluster %s: %v", id, err)
	}
	return c
}

// WaitGone waits until a cluster is deleted.
func (b *Backend) WaitGone(id string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), Patience)
	defer cancel()
	if err := b.Client(Admin).WaitForDeletion(ctx, id, nil); err != nil {
		b.t.Fatalf("clstest: cluster %s: %v", id, err)
	}
}

// WaitReport waits until what a controller has reported on a cluster is as a test wants it, and returns it.
func (b *Backend) WaitReport(id, controllerName string, wanted func(v1.ControllerStatus) bool) v1.ControllerStatus {
	b.t.Helper()
	var last v1.ControllerStatus
	b.Await("a report of "+controllerName, func() bool {
		s, err := b.Client(Admin).GetClusterStatus(b.t.Context(), id)
		if err != nil {
			b.t.Fatalf("clstest: the status of cluster %s: %v", id, err)
		}
		for _, r := range s.ControllerStatus {
			if r.ControllerName == controllerName {
				last = r
				return wanted(r)
			}
		}
		return false
	})
	return last
}

// Await asks until the answer is yes: for what a test is given no signal of.
func (b *Backend) Await(what string, yes func() bool) {
	b.t.Helper()
	deadline := time.After(Patience)
	for !yes() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			b.t.Fatalf("clstest: waited %v in vain for %s", Patience, what)
		}
	}
}

// Events are those that have been published so far, in order, injected ones included.
func (b *Backend) Events() []v1.Event {
	b.t.Helper()
	var all []v1.Event
	for _, m := range b.pubsub.Server().Messages() {
		var e v1.Event
		if err := json.Unmarshal(m.Data, &e); err != nil {
			b.t.Fatalf("clstest: a message that is no event: %v", err)
		}
		all = append(all, e)
	}
	return all
}

// Inject publishes events as they are: those of [Backend.Events] again are duplicates, and in another order they are late.
func (b *Backend) Inject(events ...v1.Event) {
	b.t.Helper()
	for _, e := range events {
		q := models.QueuedEvent{Event: e, Kind: models.KindCluster, Platform: b.platformOf(e), CreatedBy: User}
		topic := pubsub.ClusterTopic
		if e.NodePoolID != "" {
			q.Kind, topic = models.KindNodePool, pubsub.NodePoolTopic
		}
		m, err := pubsub.Encode(q)
		if err != nil {
			b.t.Fatalf("clstest: %v", err)
		}
		b.pubsub.Server().PublishOrdered("projects/"+config.EmulatorProject+"/topics/"+topic, m.GetData(), m.GetAttributes(), m.GetOrderingKey())
	}
}

// platformOf is that of an event as it was published; of one that never was, that of its resource now.
func (b *Backend) platformOf(e v1.Event) string {
	for _, m := range b.pubsub.Server().Messages() {
		if m.Attributes["ce-id"] == e.ID {
			return m.Attributes["platform"]
		}
	}
	c, err := b.Client(Admin).GetCluster(b.t.Context(), e.ClusterID)
	if err != nil {
		return "" // It is gone.
	}
	return c.Spec.Platform()
}

// FailReports has the next n reports answered 503, and not stored. It is safe for concurrent use.
func (b *Backend) FailReports(n int) { b.api.reports.Store(int64(n)) }

// FailShare has a share of all calls answered 503, from 0 to 1, half of them after they were carried out. It is safe for
// concurrent use.
func (b *Backend) FailShare(share float64) { b.api.share.Store(share) }
