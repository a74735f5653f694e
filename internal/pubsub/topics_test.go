package pubsub_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// A start does not wait for Pub/Sub, and does not fail without it.
func TestOpenDoesNotConnect(t *testing.T) {
	t.Parallel()
	start := time.Now()
	s := open(t, "127.0.0.1:1", options{})
	run(t, s)
	if ok, why := s.Health(); !ok && why == "" {
		t.Error("ill without a reason")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	await(t, "the fault to show", func() bool { ok, why := s.Health(); return !ok && why != "" })
}

// A topic that cannot be created is tried again, logged once, and shows in the health.
func TestTopicsAreCreatedInTheEnd(t *testing.T) {
	t.Parallel()
	failures, ill := atomic.Int64{}, make(chan struct{})
	fake := startFake(t, nil, func(request any) error {
		topic, ok := request.(*pb.Topic)
		if !ok || topic.GetName() != "projects/p/topics/"+clusterTopic || failures.Add(1) > 2 {
			return nil
		}
		if failures.Load() == 2 {
			<-ill
		}
		return status.Error(codes.Unavailable, "not now")
	})
	log := &journal{}
	s := open(t, fake.Addr, options{log: log.logger()})
	run(t, s)
	await(t, "the fault to show", func() bool { ok, _ := s.Health(); return !ok })
	if _, why := s.Health(); why != "creating topic cluster-events fails: Unavailable" {
		t.Errorf("health: %s", why)
	}
	close(ill)
	awaitTopics(t, s)
	await(t, "the health to return", func() bool { ok, _ := s.Health(); return ok })
	if n := log.count("cannot be created"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.text.String())
	}
	must(t, s.Publish(t.Context(), event("c1")))
}

// Where we may not create topics somebody else has: nothing is wrong, and it is said
// once.
func TestDeniedCreationIsTakenToExist(t *testing.T) {
	t.Parallel()
	denials := atomic.Int64{}
	fake := startFake(t, nil, func(any) error {
		denials.Add(1)
		return status.Error(codes.PermissionDenied, "no")
	})
	log := &journal{}
	s := open(t, fake.Addr, options{log: log.logger()})
	run(t, s)
	await(t, "both denials", func() bool { return log.count("taken to exist") == 2 })
	if ok, why := s.Health(); !ok {
		t.Errorf("health: %s", why)
	}
	// It does not exist after all: that is the publish's fault, and still not news.
	before := denials.Load()
	if err := s.Publish(t.Context(), event("c1")); status.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
	await(t, "another try", func() bool { return denials.Load() > before })
	if n := log.count("taken to exist"); n != 2 {
		t.Errorf("logged %d times", n)
	}
	if ok, _ := s.Health(); ok {
		t.Error("healthy, though nothing can be published")
	}
}

// A topic that goes missing, as with an emulator that is restarted, is made again.
func TestAMissingTopicIsCreatedAgain(t *testing.T) {
	t.Parallel()
	fake := startFake(t, nil, nil)
	s := ready(t, fake, options{})
	must(t, s.Publish(t.Context(), event("c1")))
	_, err := fake.GServer.DeleteTopic(t.Context(), &pb.DeleteTopicRequest{Topic: "projects/p/topics/" + clusterTopic})
	must(t, err)
	await(t, "the topic to be there again", func() bool { return s.Publish(t.Context(), event("c1")) == nil })
}

func TestSubscriptionsAreMadeOnce(t *testing.T) {
	t.Parallel()
	s := ready(t, startFake(t, nil, nil), options{})
	for range 2 {
		must(t, s.EnsureSubscription(t.Context(), pubsub.Subscription{Name: "s", Kind: models.KindCluster}))
	}
	if err := s.EnsureSubscription(t.Context(), pubsub.Subscription{Name: "s", Kind: "volcano"}); err == nil {
		t.Error("a subscription on no topic")
	}
}

// Where we may not create subscriptions somebody else has, as is usual with Google's roles.
func TestADeniedSubscriptionIsTakenToExist(t *testing.T) {
	t.Parallel()
	var denied atomic.Bool
	fake := startReacting(t, map[string]reactor{"CreateSubscription": func(any) error {
		if denied.Load() {
			return status.Error(codes.PermissionDenied, "no")
		}
		return nil
	}})
	log := &journal{}
	s := ready(t, fake, options{log: log.logger()})
	made := pubsub.Subscription{Name: "made", Kind: models.KindCluster}
	must(t, s.EnsureSubscription(t.Context(), made))
	denied.Store(true)
	must(t, s.EnsureSubscription(t.Context(), made))
	must(t, s.EnsureSubscription(t.Context(), pubsub.Subscription{Name: "missing", Kind: models.KindCluster}))
	if n := log.count("taken to exist"); n != 2 {
		t.Errorf("logged %d times", n)
	}
	if err := s.Receive(t.Context(), "missing", func(pubsub.Delivery) {}); status.Code(err) != codes.NotFound {
		t.Errorf("received from nowhere: %v", err)
	}
	sent := event("c1")
	must(t, s.Publish(t.Context(), sent))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var got string
	must(t, s.Receive(ctx, "made", func(d pubsub.Delivery) {
		got = d.Event.ID
		d.Ack()
		cancel()
	}))
	if got != sent.Event.ID {
		t.Errorf("received %q", got)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	fake := startFake(t, nil, nil)
	s := ready(t, fake, options{})
	const aws, deleted = `attributes.platform = "aws"`, `attributes.event_type = `
	for name, row := range map[string]struct {
		kind      models.Kind
		platforms []string
		want      string
	}{
		"all":      {models.KindCluster, nil, ""},
		"cluster":  {models.KindCluster, []string{"AWS", "gcp"}, deleted + `"cluster.deleted" OR ` + aws + ` OR attributes.platform = "gcp"`},
		"nodepool": {models.KindNodePool, []string{"aws"}, deleted + `"nodepool.deleted" OR attributes.platform = "" OR ` + aws},
		"too-long": {models.KindCluster, strings.Split("a23456789 b23456789 c23456789 d23456789 e23456789 f23456789", " "), ""},
	} {
		must(t, s.EnsureSubscription(t.Context(), pubsub.Subscription{Name: name, Kind: row.kind, Platforms: row.platforms}))
		made, err := fake.GServer.GetSubscription(t.Context(), &pb.GetSubscriptionRequest{Subscription: "projects/p/subscriptions/" + name})
		if must(t, err); made.GetFilter() != row.want {
			t.Errorf("%s: %s, want %s", name, made.GetFilter(), row.want)
		}
	}
}
