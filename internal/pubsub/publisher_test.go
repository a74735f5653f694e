package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

func TestPublishPutsAnEventOnTheTopicOfItsKind(t *testing.T) {
	t.Parallel()
	fake := startFake(t, nil, nil)
	s := ready(t, fake, options{})
	cluster, pool := event("c1"), event("c1")
	pool.Kind, pool.Event.NodePoolID = models.KindNodePool, "p1"
	must(t, s.Publish(t.Context(), cluster))
	must(t, s.Publish(t.Context(), pool))
	var got []string
	for _, m := range fake.Messages() {
		got = append(got, strings.TrimPrefix(m.Topic, "projects/p/topics/")+" "+m.OrderingKey)
	}
	if want := []string{clusterTopic + " c1", nodePoolTopic + " c1"}; !slices.Equal(got, want) {
		t.Errorf("topics and keys %v, want %v", got, want)
	}
	if a, b := s.Topic(models.KindCluster), s.Topic(models.KindNodePool); a != clusterTopic || b != nodePoolTopic {
		t.Errorf("labels %q and %q", a, b)
	}
}

func TestWhichErrorsAreForGood(t *testing.T) {
	t.Parallel()
	for code, refused := range map[codes.Code]bool{
		codes.InvalidArgument:    true,
		codes.OutOfRange:         true,
		codes.NotFound:           false, // the topic can be made
		codes.PermissionDenied:   false, // and granted
		codes.Unauthenticated:    false,
		codes.FailedPrecondition: false, // billing, the encryption key, the region
		codes.ResourceExhausted:  false, // a quota
		codes.Unavailable:        false,
		codes.Internal:           false,
		codes.Unknown:            false,
		codes.DeadlineExceeded:   false,
		codes.Aborted:            false,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			tries := atomic.Int64{}
			fake := startFake(t, func(any) error {
				tries.Add(1)
				return status.Error(code, "no")
			}, nil)
			s := open(t, fake.Addr, options{})
			err := s.Publish(t.Context(), event("c1"))
			_, isRefused := errors.AsType[*pubsub.RefusedError](err)
			if isRefused != refused || status.Code(err) != code {
				t.Errorf("%v: refused %v, want %v", err, isRefused, refused)
			}
			if n := tries.Load(); n != 1 {
				t.Errorf("one call made %d attempts: the outbox is what tries again", n)
			}
			if ok, why := s.Health(); ok != refused || (why == "") != refused {
				t.Errorf("health %v %q: an event that is refused is no fault of Pub/Sub's, anything else is", ok, why)
			}
		})
	}
	t.Run("a kind without a topic", func(t *testing.T) {
		t.Parallel()
		q := event("c1")
		q.Kind = "volcano"
		err := open(t, "127.0.0.1:1", options{}).Publish(t.Context(), q)
		if _, refused := errors.AsType[*pubsub.RefusedError](err); !refused {
			t.Errorf("%v", err)
		}
	})
}

// A key on which a publish failed is as good as new.
func TestTrap04_AKeyIsNeverPaused(t *testing.T) {
	t.Parallel()
	failures := atomic.Int64{}
	failures.Store(3)
	fake := startFake(t, func(any) error {
		if failures.Add(-1) >= 0 {
			return status.Error(codes.Unavailable, "not now")
		}
		return nil
	}, nil)
	s := ready(t, fake, options{})
	q := event("c1")
	for try := range 4 {
		if err := s.Publish(t.Context(), q); (err == nil) != (try == 3) {
			t.Errorf("try %d: %v", try, err)
		}
	}
	if n := len(fake.Messages()); n != 1 {
		t.Errorf("%d messages on record", n)
	}
}

// A server that hangs costs the publish timeout or what is left of the context, and no
// more.
func TestAPublishIsBounded(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	fake := startFake(t, func(any) error {
		<-hang
		return nil
	}, nil)
	t.Cleanup(func() { close(hang) }) // before the server is closed
	start := time.Now()
	s := open(t, fake.Addr, options{timeout: 100 * time.Millisecond})
	if err := s.Publish(t.Context(), event("c1")); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("after the timeout: %v", err)
	}
	if ok, why := s.Health(); ok || !strings.Contains(why, "DeadlineExceeded") {
		t.Errorf("health %v %q", ok, why)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := open(t, fake.Addr, options{}).Publish(ctx, event("c1")); status.Code(err) != codes.Canceled {
		t.Errorf("after the end of its context: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// Health is that of the latest publish.
func TestHealthFollowsThePublishes(t *testing.T) {
	t.Parallel()
	var code atomic.Uint32
	fake := startFake(t, func(any) error { return status.Error(codes.Code(code.Load()), "as told") }, nil)
	s := ready(t, fake, options{})
	for step, c := range []struct {
		code codes.Code
		ok   bool
		why  string
	}{
		{codes.OK, true, ""},
		{codes.Unavailable, false, "publishing to cluster-events fails: Unavailable"},
		{codes.InvalidArgument, true, ""}, // it answers
		{codes.PermissionDenied, false, "publishing to cluster-events fails: PermissionDenied"},
		{codes.OK, true, ""},
	} {
		code.Store(uint32(c.code))
		_ = s.Publish(t.Context(), event("c1"))
		if ok, why := s.Health(); ok != c.ok || why != c.why {
			t.Errorf("step %d, %v: %v %q", step, c.code, ok, why)
		}
	}
}

// With tracing on a publish is a span of the caller's trace, and the message's parent is
// that span; what no call caused begins no trace.
func TestTraceOfTheCallerGoesOn(t *testing.T) {
	t.Parallel()
	const (
		trace  = "4bf92f3577b34da6a3ce929d0e0e4736"
		parent = "00-" + trace + "-00f067aa0ba902b7-01"
	)
	spans := tracetest.NewSpanRecorder()
	fake := startFake(t, nil, nil)
	traced := ready(t, fake, options{tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	plain := open(t, fake.Addr, options{})
	call, wake := event("c1"), event("c1")
	call.Traceparent = parent
	must(t, traced.Publish(t.Context(), call))
	must(t, traced.Publish(t.Context(), wake))
	must(t, plain.Publish(t.Context(), call))

	ended := spans.Ended()
	if len(ended) != 1 || ended[0].Parent().SpanID().String() != "00f067aa0ba902b7" || ended[0].SpanContext().TraceID().String() != trace {
		t.Fatalf("spans %v, want one, a child of the caller's", ended)
	}
	own := fmt.Sprintf("00-%s-%s-01", trace, ended[0].SpanContext().SpanID())
	for i, want := range []string{own, "", parent} {
		if got := fake.Messages()[i].Attributes["traceparent"]; got != want {
			t.Errorf("message %d has traceparent %q, want %q", i, got, want)
		}
	}
}
