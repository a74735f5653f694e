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

	"github.com/cls-backend/cls-backend/internal/models"
)

// How a subscription delivers.
const (
	// ackSeconds is how long Pub/Sub waits before it delivers a message anew whose receiver
	// has died. While the receiver lives its client extends the time.
	ackSeconds = 30
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
	// is a node pool: it is where its cluster is.
	Platforms []string
	// Attempts is how often an event is delivered before it goes to the dead letter topic, which is the subscription's
	// name with -dead-letter behind it; 5 to 100, or 0 for no such topic.
	Attempts int32
}

// filter is in Pub/Sub's own language (cloud.google.com/pubsub/docs/subscription-message-filter). The service writes
// platforms in lower case.
func (s Subscription) filter() string {
	if len(s.Platforms) == 0 {
		return ""
	}
	platforms := s.Platforms
	if s.Kind == models.KindNodePool {
		platforms = append([]string{""}, platforms...)
	}
	terms := make([]string, len(platforms))
	for i, p := range platforms {
		terms[i] = fmt.Sprintf("attributes.%s = %q", attrPlatform, strings.ToLower(p))
	}
	return strings.Join(terms, " OR ")
}

// EnsureSubscription creates a subscription with ordered delivery on the topic of its kind, and its dead letter topic,
// unless one of the name exists, which is left as it is. It fails with the Pub/Sub client's error while the topic is
// missing or Pub/Sub is away.
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
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("create subscription %s: %w", sub.Name, err)
	}
	return nil
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
	sub.ReceiveSettings.NumGoroutines = 1
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
