package pubsub_test

import (
	"context"
	"sync"
	"testing"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// What is observed is the message as it was published, and the subscription is gone afterwards.
func TestObserve(t *testing.T) {
	t.Parallel()
	fake := startFake(t, nil, nil)
	s := ready(t, fake, options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := event("c1")
	var seen []pubsub.Message
	var mu sync.Mutex
	err := s.Observe(ctx, pubsub.Subscription{Name: "observer", Kind: models.KindCluster}, func() {
		must(t, s.Publish(ctx, sent))
	}, func(m pubsub.Message) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, m)
		cancel()
	})
	must(t, err)
	if len(seen) != 1 {
		t.Fatalf("observed %d messages", len(seen))
	}
	r, err := pubsub.Decode(seen[0].Data, seen[0].Attributes)
	must(t, err)
	if r.Event.ID != sent.Event.ID || seen[0].OrderingKey != "c1" || seen[0].Attributes["ce-id"] != sent.Event.ID {
		t.Errorf("observed %+v", seen[0])
	}
	_, err = fake.GServer.GetSubscription(t.Context(), &pb.GetSubscriptionRequest{Subscription: "projects/p/subscriptions/observer"})
	if err == nil {
		t.Error("the subscription is still there")
	}
}

func TestObserveWithoutATopicFails(t *testing.T) {
	t.Parallel()
	s := open(t, startFake(t, nil, nil).Addr, options{})
	observe := func(kind models.Kind) error {
		return s.Observe(t.Context(), pubsub.Subscription{Name: "observer", Kind: kind},
			func() { t.Error("ready") }, func(pubsub.Message) { t.Error("a message") })
	}
	for _, kind := range []models.Kind{models.KindCluster, "volcano"} {
		if observe(kind) == nil {
			t.Errorf("%s: no error", kind)
		}
	}
}
