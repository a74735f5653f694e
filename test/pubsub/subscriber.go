// Package pubsub is what the rigs need of Pub/Sub beside the server: topics, a subscriber that is fast on Google's fake
// too, and Google's emulator as a process.
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The project of the rigs, and the topic of clusters' events in it.
const (
	Project       = "cls-local"
	ClusterEvents = "cluster-events"
)

const (
	// ackSeconds is how long what was pulled may be in hand.
	ackSeconds = 60
	// pulled is how many messages are taken at once.
	pulled = 500
	// workers is how many messages of a pull are in hand at once where their order does not count.
	workers = 6
)

// pauses are those before messages are asked for again, which double while none come.
type pauses struct{ first, last time.Duration }

// frugal is for those whom the wait for a message does not matter, watchful for those who measure it.
func frugal() pauses   { return pauses{5 * time.Millisecond, 40 * time.Millisecond} }
func watchful() pauses { return pauses{time.Millisecond, time.Millisecond} }

func topics() []string { return []string{ClusterEvents, "nodepool-events"} }

// TopicName is the full name of a topic of the project.
func TopicName(topic string) string { return "projects/" + Project + "/topics/" + topic }

func subscriptionName(name string) string { return "projects/" + Project + "/subscriptions/" + name }

// CreateTopics creates both topics, as soon as the server answers.
func CreateTopics(ctx context.Context, conn *grpc.ClientConn) error {
	client := pb.NewPublisherClient(conn)
	for _, topic := range topics() {
		if _, err := client.CreateTopic(ctx, &pb.Topic{Name: TopicName(topic)}, grpc.WaitForReady(true)); err != nil {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	return nil
}

// Handler does what a message asks for. An error has it given again.
type Handler func(context.Context, *pb.PubsubMessage) error

// Subscribe has messages of both topics handled, by goroutines of its own, until the returned func is called, which waits
// for them. What is not handled is given again. In order, one message is handled after the other, as they came.
func Subscribe(ctx context.Context, conn *grpc.ClientConn, name string, ordered bool, handle Handler) (end func() error, err error) {
	client := pb.NewSubscriberClient(conn)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var ended []chan error
	end = func() error {
		cancel()
		var errs []error
		for _, e := range ended {
			errs = append(errs, <-e)
		}
		return errors.Join(errs...)
	}
	for _, topic := range topics() {
		subscription := subscriptionName(name + "-" + topic)
		_, err := client.CreateSubscription(ctx, &pb.Subscription{
			Name: subscription, Topic: TopicName(topic), EnableMessageOrdering: ordered, AckDeadlineSeconds: ackSeconds,
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("subscribe to %s: %w", topic, err), end())
		}
		e := make(chan error, 1)
		ended = append(ended, e)
		atOnce := workers
		if ordered {
			atOnce = 1
		}
		go func() { e <- pull(running, client, subscription, atOnce, frugal(), handle) }()
	}
	return end, nil
}

// Watch has messages of a topic handled, one after the other as they came, for those who measure how long they take: it asks
// every millisecond, and that is what it adds. The returned func waits for the end of it, and removes the subscription:
// what nobody takes any more would be in the server's way.
func Watch(ctx context.Context, conn *grpc.ClientConn, name, topic string, handle Handler) (end func() error, err error) {
	client := pb.NewSubscriberClient(conn)
	subscription := subscriptionName(name)
	_, err = client.CreateSubscription(ctx, &pb.Subscription{
		Name: subscription, Topic: TopicName(topic), AckDeadlineSeconds: ackSeconds,
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- pull(running, client, subscription, 1, watchful(), handle) }()
	return func() error {
		cancel()
		_, err := client.DeleteSubscription(context.WithoutCancel(ctx), &pb.DeleteSubscriptionRequest{Subscription: subscription})
		return errors.Join(<-ended, err)
	}, nil
}

// pull takes what there is until ctx ends. It asks instead of listening: the server feeds a stream a hundred messages a
// second and no more.
func pull(ctx context.Context, client pb.SubscriberClient, subscription string, atOnce int, p pauses, handle Handler) error {
	for wait := p.first; ; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		//nolint:staticcheck // ReturnImmediately is deprecated; without it this server waits for half a second
		got, err := client.Pull(ctx, &pb.PullRequest{Subscription: subscription, MaxMessages: pulled, ReturnImmediately: true})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("pull from %s: %w", subscription, err)
		}
		if wait = min(2*wait, p.last); len(got.GetReceivedMessages()) > 0 {
			wait = p.first
		}
		handled, failed := inHand(ctx, got.GetReceivedMessages(), atOnce, handle)
		if len(handled) > 0 {
			_, err = client.Acknowledge(ctx, &pb.AcknowledgeRequest{Subscription: subscription, AckIds: handled})
		}
		if err == nil && len(failed) > 0 {
			_, err = client.ModifyAckDeadline(ctx, &pb.ModifyAckDeadlineRequest{Subscription: subscription, AckIds: failed})
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("settle messages of %s: %w", subscription, err)
		}
	}
}

// inHand has messages handled and returns how to settle them.
func inHand(ctx context.Context, list []*pb.ReceivedMessage, atOnce int, handle Handler) (handled, failed []string) {
	errs := make([]chan error, len(list))
	limit := make(chan struct{}, atOnce)
	for i, m := range list {
		errs[i] = make(chan error, 1)
		limit <- struct{}{}
		go func() {
			errs[i] <- handle(ctx, m.GetMessage())
			<-limit
		}()
	}
	for i, m := range list {
		if status.Code(<-errs[i]) == codes.OK {
			handled = append(handled, m.GetAckId())
		} else {
			failed = append(failed, m.GetAckId())
		}
	}
	return handled, failed
}
