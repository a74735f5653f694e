package pubsub_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

func TestContractOfTheFake(t *testing.T) {
	t.Parallel()
	checkContract(t, startFake(t, nil, nil).Addr)
}

// checkContract checks what controllers are promised against a Pub/Sub server: each event
// arrives, those of one cluster for the first time in order, and one whose handling
// failed again, with the same id.
func checkContract(t *testing.T, addr string) {
	t.Helper()
	const clusters, events = 5, 8
	log := &journal{}
	s := open(t, addr, options{log: log.logger()})
	run(t, s)
	awaitTopics(t, s)
	must(t, s.EnsureSubscription(t.Context(), pubsub.Subscription{Name: "controller", Kind: models.KindCluster}))

	want := map[string][]string{}
	for i := range events {
		for c := range clusters {
			q := event(fmt.Sprint("cluster-", c))
			q.Event.Generation = int64(i)
			must(t, s.Publish(t.Context(), q))
			want[q.Event.ClusterID] = append(want[q.Event.ClusterID], q.Event.ID)
		}
	}
	got := receive(t, s, clusters*events, want["cluster-0"][3])
	for cluster, ids := range want {
		if first := firsts(got[cluster]); !slices.Equal(first, ids) {
			t.Errorf("%s: received %v, published %v", cluster, first, ids)
		}
	}
}

// receive takes events until n different ones were handled, and returns the deliveries of
// each cluster. The handling of bad fails twice.
func receive(t *testing.T, s *pubsub.Service, n int, bad string) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var mu sync.Mutex
	got, handled, failures := map[string][]string{}, map[string]bool{}, 0
	err := s.Receive(ctx, "controller", func(r pubsub.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		if r.Platform != "gcp" || r.CreatedBy != "a@example.com" {
			t.Errorf("received %+v", r.Received)
		}
		got[r.Event.ClusterID] = append(got[r.Event.ClusterID], r.Event.ID)
		if r.Event.ID == bad && failures < 2 {
			failures++
			r.Nack()
			return
		}
		r.Ack()
		if handled[r.Event.ID] = true; len(handled) == n {
			cancel()
		}
	})
	must(t, err)
	if len(handled) != n || failures != 2 {
		t.Errorf("%d of %d events were handled, %d failures", len(handled), n, failures)
	}
	return got
}

// firsts drops duplicates: an event is delivered at least once.
func firsts(ids []string) []string {
	var first []string
	for _, id := range ids {
		if !slices.Contains(first, id) {
			first = append(first, id)
		}
	}
	return first
}

func TestAMessageThatIsNoEventIsDropped(t *testing.T) {
	t.Parallel()
	fake, log := startFake(t, nil, nil), &journal{}
	s := ready(t, fake, options{log: log.logger()})
	must(t, s.EnsureSubscription(t.Context(), pubsub.Subscription{Name: "controller", Kind: models.KindCluster}))
	id := fake.Publish("projects/p/topics/"+clusterTopic, []byte("hello"), nil)
	must(t, s.Publish(t.Context(), event("c1")))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	handled, done := make(chan struct{}, 1), make(chan error)
	go func() {
		done <- s.Receive(ctx, "controller", func(d pubsub.Delivery) {
			d.Ack()
			handled <- struct{}{}
		})
	}()
	<-handled
	await(t, "it to be acknowledged", func() bool { return fake.Message(id).Acks == 1 })
	cancel()
	must(t, <-done)
	if n := log.count("not an event"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestReceiveWithoutASubscriptionFails(t *testing.T) {
	t.Parallel()
	s := ready(t, startFake(t, nil, nil), options{})
	err := s.Receive(t.Context(), "nobody", func(d pubsub.Delivery) { d.Ack() })
	if err == nil {
		t.Error("no error")
	}
}
