package pubsub

import (
	"context"
	"fmt"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/models"
)

// RefusedError says that Pub/Sub will never take the event, because of what is in it.
// Any other error of [Service.Publish] may pass.
type RefusedError struct{ Err error }

// Error implements [error].
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// Refused tells a relay, which does not know this package, that trying again is in vain.
func (*RefusedError) Refused() bool { return true }

// Publish makes one attempt to publish an event on the topic of its kind, and returns
// once Pub/Sub has it. It is a [*RefusedError] when Pub/Sub will never have it; after any
// other error it may still have arrived. An attempt ends with ctx, or after the
// publish timeout.
//
// Events of one ordering key are published in order when each call is made after the
// one before has returned. Calls do not wait for each other.
func (s *Service) Publish(ctx context.Context, q models.QueuedEvent) error {
	t := s.topics[q.Kind]
	if t == nil {
		return &RefusedError{fmt.Errorf("publish event %s: kind %q has no topic", q.Event.ID, q.Kind)}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	ctx, span := s.startSpan(ctx, t, &q)
	defer span.End()

	err := s.publish(ctx, t, q)
	s.health.published(t.id, err)
	if status.Code(err) == codes.NotFound {
		t.want()
	}
	if err != nil {
		span.SetStatus(otelcodes.Error, status.Code(err).String())
		err = fmt.Errorf("publish event %s to %s: %w", q.Event.ID, t.id, err)
	}
	if isRefusal(err) {
		return &RefusedError{err}
	}
	return err
}

func (s *Service) publish(ctx context.Context, t *topic, q models.QueuedEvent) error {
	m, err := Encode(q)
	if err != nil {
		return err
	}
	_, err = s.client.TopicAdminClient.Publish(ctx, &pb.PublishRequest{Topic: t.name, Messages: []*pb.PubsubMessage{m}})
	return err
}

// isRefusal reports whether an error is about what is in the message. A missing topic, a
// denied permission or a failed precondition (billing, the encryption key, the region)
// is about the project: the operator mends it, and then every event must still be there.
func isRefusal(err error) bool {
	code := status.Code(err)
	return code == codes.InvalidArgument || code == codes.OutOfRange
}

// startSpan begins the span of a publish as a child of the call that caused the event,
// and makes it the parent of what controllers do. An event that no traced call caused
// gets none: a wake-up every few seconds would bury the traces of users.
func (s *Service) startSpan(ctx context.Context, t *topic, q *models.QueuedEvent) (context.Context, trace.Span) {
	w3c := propagation.TraceContext{}
	caller := trace.SpanContextFromContext(w3c.Extract(ctx, propagation.MapCarrier{attrTraceparent: q.Traceparent}))
	if !caller.IsValid() {
		return ctx, noop.Span{}
	}
	ctx, span := s.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, caller), "publish "+t.id, //nolint:spancheck // the caller ends it
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			attribute.String("messaging.system", "gcp_pubsub"),
			attribute.String("messaging.destination.name", t.id),
			attribute.String("cloudevents.event_id", q.Event.ID),
			attribute.String("cloudevents.event_type", q.Event.Type)))
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	q.Traceparent = carrier[attrTraceparent]
	return ctx, span //nolint:spancheck // the caller ends it
}
