package pubsub

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// How a subscription delivers.
const (
	// ackSeconds is how long Pub/Sub waits before it delivers a message anew whose receiver
	// has died. While the receiver lives its client extends the time.
	ackSeconds = 30
	// lease is how far a client that lives extends that at a time. What a process had when it was killed is delivered
	// again within it; the client's own first lease is a minute.
	lease = 10 * time.Second
	// streams is how many connections a receiver takes events from. Google's service fills one; its fake, behind which
	// dev and tests run, feeds each a hundred events a second.
	streams = 4
	// What was given back is delivered again after a pause that grows from leastRetry to mostRetry.
	leastRetry = 10 * time.Second
	mostRetry  = 10 * time.Minute
)

// Subscription is what a controller receives by.
type Subscription struct {
	// Name is that of the subscription, and of nobody else's.
	Name string
	// Kind is what the events are about.
	Kind models.Kind
	// Platforms are those whose events are delivered; none for all. What names no platform is delivered too, if it
	// is a node pool: it is where its cluster is. So are all deletions.
	Platforms []string
	// Attempts is how often an event is delivered before it goes to the dead letter topic, which is the subscription's
	// name with -dead-letter behind it; 5 to 100, or 0 for no such topic.
	Attempts int32
}

// maxFilter is the longest filter that Pub/Sub takes, in bytes.
const maxFilter = 256

// filter is in Pub/Sub's own language (cloud.google.com/pubsub/docs/subscription-message-filter); "" for all events, also
// where it would be too long: the receiver then sorts out. The service writes platforms in lower case. Deletions are
// delivered wherever the resource is by then: one that has left a platform may have something left there.
func (s Subscription) filter() string {
	if len(s.Platforms) == 0 {
		return ""
	}
	platforms, deleted := s.Platforms, v1.ClusterDeleted
	if s.Kind == models.KindNodePool {
		platforms, deleted = append([]string{""}, platforms...), v1.NodePoolDeleted
	}
	terms := []string{fmt.Sprintf("attributes.%s = %q", attrEventType, deleted)}
	for _, p := range platforms {
		terms = append(terms, fmt.Sprintf("attributes.%s = %q", attrPlatform, strings.ToLower(p)))
	}
	filter := strings.Join(terms, " OR ")
	if len(filter) > maxFilter {
		return ""
	}
	return filter
}

// IsDeletion reports whether an event is of those that a [Subscription] delivers whatever the platform.
func IsDeletion(e v1.Event) bool { return e.Type == v1.ClusterDeleted || e.Type == v1.NodePoolDeleted }

// EnsureSubscription creates a subscription with ordered delivery on the topic of its kind, and its dead letter topic,
// unless one of the name exists, which is left as it is. Who may not create subscriptions has had one made, and is told by
// Receive when not. It fails with the Pub/Sub client's error while the topic is missing or Pub/Sub is away.
func (s *Service) EnsureSubscription(ctx context.Context, sub Subscription) error {
	t := s.topics[sub.Kind]
	if t == nil {
		return fmt.Errorf("create subscription %s: kind %q has no topic", sub.Name, sub.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	created := &pb.Subscription{
		Name:                  "projects/" + s.client.Project() + "/subscriptions/" + sub.Name,
		Topic:                 t.name,
		AckDeadlineSeconds:    ackSeconds,
		EnableMessageOrdering: true,
		Filter:                sub.filter(),
		RetryPolicy:           &pb.RetryPolicy{MinimumBackoff: durationpb.New(leastRetry), MaximumBackoff: durationpb.New(mostRetry)},
	}
	if sub.Attempts > 0 {
		dead := newTopic(s.client.Project(), sub.Name+"-dead-letter")
		if _, err := s.tryCreate(ctx, dead); err != nil && status.Code(err) != codes.PermissionDenied { // It may exist all the same.
			return err
		}
		created.DeadLetterPolicy = &pb.DeadLetterPolicy{DeadLetterTopic: dead.name, MaxDeliveryAttempts: sub.Attempts}
	}
	_, err := s.client.SubscriptionAdminClient.CreateSubscription(ctx, created)
	switch code := status.Code(err); {
	case err == nil || code == codes.AlreadyExists:
		return nil
	case code == codes.PermissionDenied:
		s.log.WarnContext(ctx, "subscription may not be created; it is taken to exist", "subscription", sub.Name, "error", err)
		return nil
	}
	return fmt.Errorf("create subscription %s: %w", sub.Name, err)
}

// Delivery is an event in the hands of a receiver, who settles it once, by Ack or by Nack, from whatever goroutine.
type Delivery struct {
	Received

	message *pubsub.Message
}

// Ack says that the event is handled.
func (d Delivery) Ack() { d.message.Ack() }

// Nack gives the event back, to be delivered again.
func (d Delivery) Nack() { d.message.Nack() }

// Receive hands the events of a subscription to take until ctx ends and every one of them is settled, and returns nil
// then; before, it returns what makes receiving impossible, such as a missing subscription. Events of different clusters
// are handed over at the same time, those of one cluster one after the other, whether or not the one before is settled.
// What is no event is logged and acknowledged: it never will be one.
func (s *Service) Receive(ctx context.Context, subscription string, take func(Delivery)) error {
	sub := s.client.Subscriber(subscription)
	sub.ReceiveSettings.NumGoroutines = streams
	sub.ReceiveSettings.MaxDurationPerAckExtension = lease
	err := sub.Receive(ctx, func(ctx context.Context, m *pubsub.Message) {
		r, err := Decode(m.Data, m.Attributes)
		if err != nil {
			s.log.ErrorContext(ctx, "message is not an event", "subscription", subscription, "message_id", m.ID, "error", err)
			m.Ack()
			return
		}
		take(Delivery{r, m})
	})
	if err != nil {
		return fmt.Errorf("receive from %s: %w", subscription, err)
	}
	return nil
}
