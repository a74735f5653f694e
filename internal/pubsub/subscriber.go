package pubsub

import (
	"context"
	"fmt"

	"cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/models"
)

// ackSeconds is how long Pub/Sub waits before it delivers a message anew whose receiver
// has died. While the receiver lives its client extends the time.
const ackSeconds = 30

// EnsureSubscription creates a subscription with ordered delivery on the topic of a kind
// of resource, unless one of the name exists, which is left as it is. It fails with the
// Pub/Sub client's error while the topic is missing or Pub/Sub is away.
func (s *Service) EnsureSubscription(ctx context.Context, name string, kind models.Kind) error {
	t := s.topics[kind]
	if t == nil {
		return fmt.Errorf("create subscription %s: kind %q has no topic", name, kind)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.SubscriptionAdminClient.CreateSubscription(ctx, &pb.Subscription{
		Name:                  "projects/" + s.client.Project() + "/subscriptions/" + name,
		Topic:                 t.name,
		AckDeadlineSeconds:    ackSeconds,
		EnableMessageOrdering: true,
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("create subscription %s: %w", name, err)
	}
	return nil
}

// Receive hands the events of a subscription to handle until ctx ends, and returns nil
// then; before, it returns what makes receiving impossible, such as a missing
// subscription. Events of different clusters are handled at the same time, those of one
// cluster one after the other. A nil from handle acknowledges the event, an error has it
// delivered again; by then later events of its cluster may have been handled, as the
// client has them already. What is no event is logged and acknowledged: it never will be one.
func (s *Service) Receive(ctx context.Context, subscription string, handle func(context.Context, Received) error) error {
	sub := s.client.Subscriber(subscription)
	sub.ReceiveSettings.NumGoroutines = 1
	err := sub.Receive(ctx, func(ctx context.Context, m *pubsub.Message) {
		r, err := Decode(m.Data, m.Attributes)
		if err != nil {
			s.log.ErrorContext(ctx, "message is not an event", "subscription", subscription, "message_id", m.ID, "error", err)
			m.Ack()
			return
		}
		if err := handle(ctx, r); err != nil {
			s.log.WarnContext(ctx, "event is not handled", "subscription", subscription, "event_id", r.Event.ID, "error", err)
			m.Nack()
			return
		}
		m.Ack()
	})
	if err != nil {
		return fmt.Errorf("receive from %s: %w", subscription, err)
	}
	return nil
}
