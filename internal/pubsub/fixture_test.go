package pubsub_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

const (
	clusterTopic  = "cluster-events"
	nodePoolTopic = "nodepool-events"
	// limit is when a test that waits for something gives up.
	limit = 30 * time.Second
)

// reactor answers a call before the server does.
type reactor func(request any) error

func (f reactor) React(request any) (handled bool, reply any, err error) {
	err = f(request)
	return err != nil, nil, err
}

// startFake serves a Pub/Sub without topics; publish and create run before these calls.
func startFake(t *testing.T, publish, create reactor) *pstest.Server {
	t.Helper()
	return startReacting(t, map[string]reactor{"Publish": publish, "CreateTopic": create})
}

// startReacting serves a Pub/Sub without topics; each call runs after its reactor.
func startReacting(t *testing.T, reactors map[string]reactor) *pstest.Server {
	t.Helper()
	var opts []pstest.ServerReactorOption
	for name, f := range reactors {
		if f != nil {
			opts = append(opts, pstest.ServerReactorOption{FuncName: name, Reactor: f})
		}
	}
	fake := pstest.NewServerWithAddress("127.0.0.1:0", opts...)
	t.Cleanup(func() { _ = fake.Close() })
	return fake
}

type options struct {
	timeout time.Duration
	log     *slog.Logger
	tracer  trace.TracerProvider
}

func open(t *testing.T, addr string, o options) *pubsub.Service {
	t.Helper()
	s, err := pubsub.Open(t.Context(), pubsub.Options{
		ProjectID: "p", EmulatorHost: addr, PublishTimeout: o.timeout, Log: o.log, Tracer: o.tracer,
		Topics: map[models.Kind]string{models.KindCluster: clusterTopic, models.KindNodePool: nodePoolTopic},
	})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// run creates the topics in the background, until the test ends.
func run(t *testing.T, s *pubsub.Service) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
	})
}

// ready is a service whose topics are there.
func ready(t *testing.T, fake *pstest.Server, o options) *pubsub.Service {
	t.Helper()
	s := open(t, fake.Addr, o)
	run(t, s)
	awaitTopics(t, s)
	return s
}

// awaitTopics waits until both topics take events.
func awaitTopics(t *testing.T, s *pubsub.Service) {
	t.Helper()
	for _, kind := range []models.Kind{models.KindCluster, models.KindNodePool} {
		await(t, "the topics", func() bool {
			return s.EnsureSubscription(t.Context(), pubsub.Subscription{Name: "probe-" + string(kind), Kind: kind}) == nil
		})
	}
}

func event(cluster string) models.QueuedEvent {
	return models.QueuedEvent{
		Kind: models.KindCluster, Platform: "gcp", CreatedBy: "a@example.com",
		Event: v1.Event{
			ID: uuid.NewString(), Type: v1.ClusterUpdated, ClusterID: cluster, Generation: 3,
			Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 60_000_000, time.UTC), Source: v1.Source, Reason: v1.ReasonSpecChanged,
			Metadata: v1.EventMetadata{TriggeredBy: v1.TriggeredByUser, UserEmail: "a@example.com"},
		},
	}
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func (j *journal) count(words string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), words)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await asks until the answer is yes. What is waited for happens on the other side of a
// connection, and gives no signal.
func await(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !yes() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
