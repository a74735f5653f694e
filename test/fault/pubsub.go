package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/dev"
)

const (
	project = "projects/cls-local/"
	// ackSeconds is how long what was pulled may be in hand.
	ackSeconds = 60
	// pulled is how many messages are taken at once.
	pulled = 500
)

func topics() []string { return []string{"cluster-events", "nodepool-events"} }

// pubSub is Google's Pub/Sub server in this process, or its emulator, and our own way to it.
type pubSub struct {
	address string
	end     func() // of the server
	conn    *grpc.ClientConn
	// fault is asked before each publish; its error is the answer. nil for none. The emulator does not ask.
	fault atomic.Pointer[func(context.Context) error]
}

// startPubSub starts a server that has the topics. After an error it is ended.
func startPubSub(ctx context.Context, emulated bool) (*pubSub, error) {
	p := &pubSub{}
	begin := p.serve
	if emulated {
		begin = p.emulate
	}
	if err := begin(ctx); err != nil {
		return nil, err
	}
	var err error
	p.conn, err = grpc.NewClient(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		p.end()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for _, topic := range topics() {
		client := pb.NewPublisherClient(p.conn)
		_, err := client.CreateTopic(ctx, &pb.Topic{Name: project + "topics/" + topic}, grpc.WaitForReady(true))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("create topic %s: %w", topic, err), p.close())
		}
	}
	return p, nil
}

// serve starts the server in this process.
func (p *pubSub) serve(ctx context.Context) error {
	server, err := dev.StartPubSub(ctx, "127.0.0.1:0", p.intercept)
	if err != nil {
		return err
	}
	p.address, p.end = server.Addr(), server.Close
	return nil
}

func (p *pubSub) close() error {
	err := p.conn.Close()
	p.end()
	return err
}

// intercept lets a fault answer instead of the server.
func (p *pubSub) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if _, publishes := req.(*pb.PublishRequest); publishes {
		if fault := p.fault.Load(); fault != nil {
			if err := (*fault)(ctx); err != nil {
				return nil, err
			}
		}
	}
	return handle(ctx, req)
}

// refuse answers every publish with a code; codes.OK ends that.
func (p *pubSub) refuse(code codes.Code) {
	if code == codes.OK {
		p.fault.Store(nil)
		return
	}
	refuse := func(context.Context) error { return status.Error(code, "refused by a fault") }
	p.fault.Store(&refuse)
}

// handler does what a message asks for. An error has it given again.
type handler func(context.Context, *pb.PubsubMessage) error

// subscribe has messages of both topics handled, by goroutines of its own, until the returned func is called. What is
// not handled is given again. In order, one message is handled after the other, as they came.
func (p *pubSub) subscribe(ctx context.Context, name string, ordered bool, handle handler) (func() error, error) {
	client := pb.NewSubscriberClient(p.conn)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var ended []chan error
	end := func() error {
		cancel()
		var errs []error
		for _, e := range ended {
			errs = append(errs, <-e)
		}
		return errors.Join(errs...)
	}
	for _, topic := range topics() {
		subscription := project + "subscriptions/" + name + "-" + topic
		_, err := client.CreateSubscription(ctx, &pb.Subscription{
			Name: subscription, Topic: project + "topics/" + topic, EnableMessageOrdering: ordered, AckDeadlineSeconds: ackSeconds,
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
		go func() { e <- pull(running, client, subscription, atOnce, handle) }()
	}
	return end, nil
}

// The pause before messages are asked for again, which doubles while none come.
const (
	firstPull = 5 * time.Millisecond
	lastPull  = 40 * time.Millisecond
)

// pull takes what there is until ctx ends. It asks instead of listening: the server feeds a stream a hundred messages a
// second and no more.
func pull(ctx context.Context, client pb.SubscriberClient, subscription string, atOnce int, handle handler) error {
	for wait := firstPull; pause(ctx, wait) == nil; {
		//nolint:staticcheck // ReturnImmediately is deprecated; without it this server waits for half a second
		got, err := client.Pull(ctx, &pb.PullRequest{Subscription: subscription, MaxMessages: pulled, ReturnImmediately: true})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("pull from %s: %w", subscription, err)
		}
		if wait = min(2*wait, lastPull); len(got.GetReceivedMessages()) > 0 {
			wait = firstPull
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
	return nil
}

// workers is how many messages of a pull are in hand at once where their order does not count.
const workers = 6

// inHand has messages handled and returns how to settle them.
func inHand(ctx context.Context, list []*pb.ReceivedMessage, atOnce int, handle handler) (handled, failed []string) {
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
