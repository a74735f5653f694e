package outbox_test

import (
	"context"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/outbox"
)

// createUnder creates a cluster under the lease that the relay offers. The event is to be handed over.
func (w *world) createUnder(t *testing.T, r *outbox.Relay) (*models.Resource, *models.QueuedEvent) {
	t.Helper()
	e := change(v1.ClusterCreated)
	e.Lease = r.Lease()
	return w.createWith(t, e)
}

// createAt creates a cluster as a request to the replica of the relay does.
func (w *world) createAt(t *testing.T, r *outbox.Relay) *models.Resource {
	t.Helper()
	c, born := w.createUnder(t, r)
	if born == nil {
		r.Nudge()
		return c
	}
	r.Hand(*born)
	return c
}

// offering runs a relay and waits until it offers leases. It stops at the end of the test, or before.
func offering(t *testing.T, r *outbox.Relay) (stop func()) {
	t.Helper()
	stop = run(t, r)
	await(t, "the relay to run", func() bool { return r.Lease().Claim != "" })
	return stop
}

// What is born under a lease is published without ever being claimed; what comes while it is
// not marked yet is claimed after it.
func TestWhatIsHandedOverIsNotClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &countingStore{DB: w.db.DB}
	r := outbox.New(store, openPubSub(t, w.server.addr), &counter{}, quiet(), outbox.Options{})
	offering(t, r)
	for range 20 {
		w.createAt(t, r)
		w.awaitDrained(t)
	}
	if n := store.claimed.Load(); n != 0 {
		t.Errorf("%d of 20 events were claimed, though each was handed over", n)
	}
	first, born := w.createUnder(t, r)
	w.mustUpdate(t, first.ID)
	r.Nudge()
	r.Hand(*born)
	w.awaitDrained(t)
	if n := store.claimed.Load(); n != 1 {
		t.Errorf("%d events were claimed, want the one that had to wait", n)
	}
	if n := w.verify(t); n != 0 {
		t.Errorf("%d duplicates", n)
	}
}

// An event whose hand-over was lost with its process is claimed by another relay when the lease is over.
func TestAHandOverThatWasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dead := w.relay(t, outbox.Options{Lease: 300 * time.Millisecond})
	stop := offering(t, dead)
	c, born := w.createUnder(t, dead)
	if born == nil || born.Event.ClusterID != c.ID {
		t.Fatalf("born: %+v", born)
	}
	w.mustUpdate(t, c.ID)
	stop()
	if lease := dead.Lease(); lease != (models.Lease{}) {
		t.Errorf("a relay that has stopped offers %+v", lease)
	}
	dead.Hand(*born) // In vain.
	other := w.relay(t, outbox.Options{})
	if got, err := other.RunOnce(t.Context()); err != nil || got.Claimed != 0 {
		t.Errorf("under the lease another relay got %+v, %v", got, err)
	}
	w.drive(t, other)
	if n := w.verify(t); n != 0 {
		t.Errorf("%d duplicates", n)
	}
}

// While Pub/Sub is away nothing is born claimed: what waits would take a place from what can be tried.
func TestNoLeaseWhilePubSubIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.relay(t, outbox.Options{})
	offering(t, r)
	w.server.when(func(context.Context, *pb.PubsubMessage) error { return status.Error(codes.Unavailable, "away") })
	await(t, "the relay to see it", func() bool {
		w.createAt(t, r)
		return r.Lease().Claim == ""
	})
	w.server.when(nil)
	await(t, "the relay to see it is back", func() bool { return r.Lease().Claim != "" })
	w.awaitDrained(t)
	w.verify(t)
}

// While Pub/Sub hangs, what is on its way is bounded, and the rest waits in the outbox.
func TestNoLeaseWhileManyAreOnTheirWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.relay(t, outbox.Options{})
	offering(t, r)
	release := make(chan struct{})
	w.server.when(func(ctx context.Context, _ *pb.PubsubMessage) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	_, born := w.createUnder(t, r)
	for n := range 1000 { // The same event; a duplicate is on its way as well as others.
		if r.Lease().Claim == "" {
			t.Fatalf("no lease is offered while %d events are on their way", n)
		}
		r.Hand(*born)
	}
	if lease := r.Lease(); lease.Claim != "" {
		t.Errorf("%+v is offered while 1,000 events are on their way", lease)
	}
	w.create(t)
	close(release)
	await(t, "room for others", func() bool { return r.Lease().Claim != "" })
	w.awaitDrained(t)
	w.verify(t)
}
