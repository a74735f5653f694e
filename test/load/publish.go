package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	library "cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/pubsub"
)

// rawTopic is that of the floor.
const rawTopic = "raw"

// publisher does for copies of a message what the service does for its events, and nothing else: one a call, each with an
// ordering key of its own, by the same library on the same server. It is the floor of everything that is published.
type publisher struct {
	conn    *grpc.ClientConn
	client  *library.Client
	message *pb.PubsubMessage
}

// publisher has a message of the service's own to copy: the first of a type that comes once cause has been called. The
// caller closes it.
func (r *rig) publisher(ctx context.Context, event string, cause func(context.Context) error) (*publisher, error) {
	conn, err := grpc.NewClient(r.pubAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("address of Pub/Sub: %w", err)
	}
	p := &publisher{conn: conn}
	if p.client, err = library.NewClient(ctx, pubsub.Project, option.WithGRPCConn(conn), option.WithTelemetryDisabled()); err != nil {
		return nil, errors.Join(fmt.Errorf("open a Pub/Sub client: %w", err), conn.Close())
	}
	_, err = p.client.TopicAdminClient.CreateTopic(ctx, &pb.Topic{Name: pubsub.TopicName(rawTopic)})
	if err == nil || status.Code(err) == codes.AlreadyExists {
		err = p.find(ctx, event, cause)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find a message to copy: %w", err), p.close())
	}
	return p, nil
}

func (p *publisher) find(ctx context.Context, event string, cause func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	found := make(chan *pb.PubsubMessage, 1)
	end, err := pubsub.Watch(ctx, p.conn, "specimen", pubsub.ClusterEvents, func(_ context.Context, m *pb.PubsubMessage) error {
		if m.GetAttributes()["event_type"] == event {
			select {
			case found <- m:
			default: // One is enough.
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := cause(ctx); err != nil {
		return errors.Join(err, end())
	}
	select {
	case p.message = <-found:
		return end()
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("no %s came: %w", event, ctx.Err()), end())
	}
}

// size is that of a message as it is sent, in bytes.
func (p *publisher) size() int { return proto.Size(p.copied(0)) }

func (p *publisher) copied(k int) *pb.PubsubMessage {
	return &pb.PubsubMessage{Data: p.message.GetData(), Attributes: p.message.GetAttributes(), OrderingKey: clusterID(k)}
}

func (p *publisher) publish(ctx context.Context, k int) error {
	_, err := p.client.TopicAdminClient.Publish(ctx, &pb.PublishRequest{
		Topic: pubsub.TopicName(rawTopic), Messages: []*pb.PubsubMessage{p.copied(k)},
	})
	return err
}

// open publishes a message whenever one is due, and returns how long each took until it was acknowledged, from when it was
// due, and when due counts from.
func (p *publisher) open(ctx context.Context, due []time.Duration) (began time.Time, samples []sample, err error) {
	clock, err := newAlarm()
	if err != nil {
		return began, nil, err
	}
	defer clock.close()
	samples = make([]sample, len(due))
	group, ctx := errgroup.WithContext(ctx)
	began = time.Now()
	for k, at := range due {
		if err := clock.wait(at - time.Since(began)); err != nil {
			return began, nil, errors.Join(err, group.Wait())
		}
		if ctx.Err() != nil {
			break // One has failed.
		}
		group.Go(func() error {
			err := p.publish(ctx, k)
			samples[k] = sample{at: at, took: time.Since(began) - at}
			return err
		})
	}
	return began, samples, group.Wait()
}

// atOnce is how many messages are on their way at a time when they are published as fast as it goes.
const atOnce = 64

// flood publishes n messages as fast as it goes, and returns how many were acknowledged a second.
func (p *publisher) flood(ctx context.Context, n int) (float64, error) {
	var count atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range atOnce {
		group.Go(func() error {
			for k := int(count.Add(1)); k <= n; k = int(count.Add(1)) {
				if err := p.publish(ctx, k); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(n) / time.Since(began).Seconds(), err
}

// close may be called on nil.
func (p *publisher) close() error {
	if p == nil {
		return nil
	}
	if p.client == nil {
		return p.conn.Close()
	}
	return p.client.Close() // The connection too.
}

// arrivalTimes are when the first message with a key came.
type arrivalTimes struct {
	mu sync.Mutex
	at map[string]time.Time
}

// What messages are known by: their ordering keys, those of creations alone, or the ids of their events.
func orderingKey(m *pb.PubsubMessage) string { return m.GetOrderingKey() }
func eventID(m *pb.PubsubMessage) string     { return m.GetAttributes()["ce-id"] }
func createdKey(m *pb.PubsubMessage) string {
	if m.GetAttributes()["event_type"] != v1.ClusterCreated {
		return ""
	}
	return m.GetOrderingKey()
}

// watchArrivals notes when messages of a topic come that have a key, until end is called.
func watchArrivals(
	ctx context.Context, conn *grpc.ClientConn, topic string, key func(*pb.PubsubMessage) string,
) (a *arrivalTimes, end func() error, err error) {
	a = &arrivalTimes{at: map[string]time.Time{}}
	end, err = pubsub.Watch(ctx, conn, "arrivals", topic, func(_ context.Context, m *pb.PubsubMessage) error {
		now, k := time.Now(), key(m)
		a.mu.Lock()
		defer a.mu.Unlock()
		if _, again := a.at[k]; !again && k != "" {
			a.at[k] = now
		}
		return nil
	})
	return a, end, err
}
