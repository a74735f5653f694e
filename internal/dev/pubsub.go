package dev

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

const (
	// maxRecorded is how many messages the server may have on record before it
	// forgets the settled ones: about 60 MB of our events.
	maxRecorded = 20_000
	// pubsubRetention is how long pstest keeps what nobody takes from a
	// subscription; an older message is delivered to no one.
	pubsubRetention = 10 * time.Minute
	// maxRequest is above Pub/Sub's own limit of 10 MB a publish request.
	maxRequest = 16 << 20
	// minPing lets through the keepalives of Google's clients in other
	// languages, Python's every 30 s; the default of five minutes cuts them off.
	minPing = 10 * time.Second
)

// PubSub is a Pub/Sub server in this process: Google's own fake, served on a
// TCP address so that other programs can use it with PUBSUB_EMULATOR_HOST.
//
// It differs from the real service as that fake does: a stream is fed about a
// hundred messages a second, retry and dead-letter policies do nothing, a message
// that nobody takes is dropped after ten minutes, and nothing outlives Close.
//
// The fake records every message for ever. Here, whenever 20,000 are on record,
// those that every subscription has acknowledged or lost to retention are
// forgotten, and the others are published anew in their order: a duplicate with
// a new message id, which at-least-once delivery allows, but never a loss. A test
// that judges by the record of more messages than that uses pstest itself.
//
// Its methods are safe for concurrent use.
type PubSub struct {
	fake   *pstest.Server
	server *grpc.Server
	addr   string
	served chan struct{}
	close  sync.Once

	mu       sync.Mutex // held by each publish, so that none falls into a forget
	recorded int        // messages on record
	limit    int
}

// StartPubSub serves Pub/Sub on addr, such as "127.0.0.1:0" for a free port.
// ctx bounds the start only. The caller ends it with Close. Interceptors come before the
// server, so that a test can have it fail.
func StartPubSub(ctx context.Context, addr string, interceptors ...grpc.UnaryServerInterceptor) (*PubSub, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for Pub/Sub: %w", err)
	}
	p := &PubSub{
		// The fake's own listener stays unused: it has no room for a limit, and
		// panics where its port is taken.
		fake:   pstest.NewServerWithAddress(net.JoinHostPort(loopback, "0")),
		addr:   l.Addr().String(),
		served: make(chan struct{}),
		limit:  maxRecorded,
	}
	p.server = grpc.NewServer(
		grpc.ChainUnaryInterceptor(append(interceptors, p.bound)...),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
	)
	pb.RegisterPublisherServer(p.server, &p.fake.GServer)
	pb.RegisterSubscriberServer(p.server, &p.fake.GServer)
	pb.RegisterSchemaServiceServer(p.server, &p.fake.GServer)
	go func() {
		defer close(p.served)
		_ = p.server.Serve(l) // ends with Close, and only then
	}()
	return p, nil
}

// Addr is the host and port for PUBSUB_EMULATOR_HOST.
func (p *PubSub) Addr() string { return p.addr }

// Server is the fake behind the address, for tests that look at its record.
func (p *PubSub) Server() *pstest.Server { return p.fake }

// Close cuts off all clients and ends the server; more than once is harmless.
func (p *PubSub) Close() {
	p.close.Do(func() {
		p.server.Stop()
		<-p.served
		_ = p.fake.Close() // its error is always nil
	})
}

// bound counts what is published, and makes room when the limit is reached.
func (p *PubSub) bound(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	publish, ok := req.(*pb.PublishRequest)
	if !ok {
		return handle(ctx, req)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recorded += len(publish.GetMessages()); p.recorded > p.limit {
		if err := p.forget(ctx); err != nil {
			return nil, err
		}
		p.recorded += len(publish.GetMessages())
	}
	return handle(ctx, req)
}

// forget drops the record and publishes anew what somebody may still wait for,
// at most half the limit of it, the newest. Nothing can be published meanwhile:
// the caller holds mu.
func (p *PubSub) forget(ctx context.Context) error {
	pending, err := p.pending(ctx)
	if err != nil {
		return err
	}
	pending = pending[max(0, len(pending)-p.limit/2):]
	p.fake.ClearMessages()
	p.recorded = len(pending)
	for _, m := range pending {
		_, err := p.fake.GServer.Publish(ctx, &pb.PublishRequest{
			Topic:    m.Topic,
			Messages: []*pb.PubsubMessage{{Data: m.Data, Attributes: m.Attributes, OrderingKey: m.OrderingKey}},
		})
		if err != nil && status.Code(err) != codes.NotFound { // the topic was deleted
			return fmt.Errorf("publish anew: %w", err)
		}
	}
	return nil
}

// pending lists the messages that some subscription may still deliver, in the
// order of their publishing. A subscription's filter does not show here: what it
// held back counts as pending until retention ends.
func (p *PubSub) pending(ctx context.Context) ([]*pstest.Message, error) {
	readers := map[string]int{} // subscriptions of each topic
	var pending []*pstest.Message
	for _, m := range p.fake.Messages() {
		n, known := readers[m.Topic]
		if !known {
			subs, err := p.fake.GServer.ListTopicSubscriptions(ctx, &pb.ListTopicSubscriptionsRequest{Topic: m.Topic})
			if err != nil {
				return nil, fmt.Errorf("list the subscriptions of a topic: %w", err)
			}
			n = len(subs.GetSubscriptions())
			readers[m.Topic] = n
		}
		if m.Acks < n && time.Since(m.PublishTime) < pubsubRetention {
			pending = append(pending, m)
		}
	}
	return pending, nil
}
