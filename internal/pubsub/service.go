package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/cls-backend/cls-backend/internal/models"
)

// Options configure a [Service]. The zero value of each field but ProjectID has a
// default.
type Options struct {
	// ProjectID is the Google Cloud project of topics and subscriptions.
	ProjectID string
	// EmulatorHost is the host and port of an emulator to use without credentials;
	// default is Google's service with the credentials of the environment
	// (Application Default Credentials).
	EmulatorHost string
	// Topics is the topic of each kind of resource; needed to publish.
	Topics map[models.Kind]string
	// PublishTimeout bounds one attempt to publish; default 10s.
	PublishTimeout time.Duration
	// Log receives what happens to topics and what cannot be decoded; default none.
	Log *slog.Logger
	// Tracer receives a span for each event of a call that is traced; default none.
	Tracer trace.TracerProvider
}

// What those who receive take where nothing else is named.
const (
	// EmulatorProject is the project of an emulator.
	EmulatorProject = "cls-local"
	// ClusterTopic is the topic of clusters' events.
	ClusterTopic = "cluster-events"
	// NodePoolTopic is that of node pools'.
	NodePoolTopic = "nodepool-events"
)

const (
	// callTimeout bounds every call but a publish.
	callTimeout = 10 * time.Second
	// maxReconnect is the longest pause between two tries to connect. gRPC's own grows
	// to two minutes, and an outage would last that much longer for us.
	maxReconnect = 2 * time.Second
	// A connection that has died without a word (a cut cable, a dropped NAT entry) is
	// found by a ping after probeAfter of silence, or sooner by what it leaves
	// unacknowledged for probeTimeout.
	probeAfter   = 30 * time.Second
	probeTimeout = 10 * time.Second
)

// Service is a client of Pub/Sub for one project. It is safe for concurrent use.
type Service struct {
	client  *pubsub.Client
	topics  map[models.Kind]*topic
	timeout time.Duration
	log     *slog.Logger
	tracer  trace.Tracer
	health  health
}

// Open returns a Service without connecting: Pub/Sub may be away, and a start never
// waits for it. It fails when there are no credentials for Google's service. The caller
// runs [Service.Run] and ends with [Service.Close]; ctx bounds the search for
// credentials only.
func Open(ctx context.Context, o Options) (*Service, error) {
	opts, err := clientOptions(o.EmulatorHost)
	if err != nil {
		return nil, err
	}
	client, err := pubsub.NewClient(ctx, o.ProjectID, opts...)
	if err != nil {
		return nil, fmt.Errorf("open a Pub/Sub client: %w", err)
	}
	client.TopicAdminClient.CallOptions.Publish = nil     // no retries: the outbox retries
	client.TopicAdminClient.CallOptions.CreateTopic = nil // Run retries

	s := &Service{client: client, topics: map[models.Kind]*topic{}, timeout: o.PublishTimeout, log: o.Log}
	if s.timeout == 0 {
		s.timeout = 10 * time.Second
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider()
	}
	s.tracer = o.Tracer.Tracer("github.com/cls-backend/cls-backend/internal/pubsub")
	for kind, id := range o.Topics {
		s.topics[kind] = newTopic(o.ProjectID, id)
	}
	return s, nil
}

func clientOptions(emulator string) ([]option.ClientOption, error) {
	patience := []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxReconnect},
			MinConnectTimeout: maxReconnect,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: probeAfter, Timeout: probeTimeout}),
	}
	if emulator == "" {
		opts := []option.ClientOption{option.WithTelemetryDisabled()} // the spans are our own
		for _, p := range patience {
			opts = append(opts, option.WithGRPCDialOption(p))
		}
		return opts, nil
	}
	conn, err := grpc.NewClient(emulator, append(patience, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, fmt.Errorf("address of the Pub/Sub emulator: %w", err)
	}
	return []option.ClientOption{option.WithGRPCConn(conn), option.WithTelemetryDisabled()}, nil
}

// Close cuts off what is still on its way and frees the connections.
func (s *Service) Close() error { return s.client.Close() }
