package pubsub

import (
	"context"
	"fmt"

	"cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// Message is a message as it was published, for those who judge its form. [Decode] reads it.
type Message struct {
	Data        []byte
	Attributes  map[string]string
	OrderingKey string
}

// Observe hands the messages of a subscription that it makes to take, and removes the subscription once ctx has ended; it
// returns nil then. ready is called when no message is missed any more. Messages of one ordering key come one after the
// other, others at the same time. It fails as [Service.EnsureSubscription] and [Service.Receive] do.
func (s *Service) Observe(ctx context.Context, sub Subscription, ready func(), take func(Message)) error {
	if err := s.EnsureSubscription(ctx, sub); err != nil {
		return err
	}
	defer s.removeSubscription(context.WithoutCancel(ctx), sub.Name)
	ready()
	receiver := s.client.Subscriber(sub.Name)
	receiver.ReceiveSettings.NumGoroutines = 1
	err := receiver.Receive(ctx, func(_ context.Context, m *pubsub.Message) {
		take(Message{m.Data, m.Attributes, m.OrderingKey})
		m.Ack()
	})
	if err != nil {
		return fmt.Errorf("receive from %s: %w", sub.Name, err)
	}
	return nil
}

// removeSubscription says in the log what it cannot remove.
func (s *Service) removeSubscription(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.client.SubscriptionAdminClient.DeleteSubscription(ctx, &pb.DeleteSubscriptionRequest{
		Subscription: "projects/" + s.client.Project() + "/subscriptions/" + name,
	})
	if err != nil {
		s.log.WarnContext(ctx, "subscription cannot be removed", "subscription", name, "error", err)
	}
}
