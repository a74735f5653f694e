package outbox_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/outbox"
)

// Two and three relays at once, on 2,000 clusters that are created, changed twice and
// in part deleted meanwhile, with a Pub/Sub that fails now and then: half of the
// failures after it took the message, as a connection does that breaks.
func TestTrap02_TwoRelaysKeepTheOrderOfACluster(t *testing.T) {
	t.Parallel()
	for _, relays := range []int{2, 3} {
		t.Run(fmt.Sprint(relays, " relays"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.server.when(w.failSometimes(0.02))
			replicas := make([]*outbox.Relay, relays)
			for i := range replicas {
				replicas[i] = w.relay(t, atOnce)
				run(t, replicas[i])
			}
			w.changeMany(t, 2000, replicas)
			w.awaitDrained(t)
			rows, duplicates := len(w.rows(t)), w.verify(t)
			t.Logf("%d events, %d duplicates", rows, duplicates)
			if rows < 6000 || duplicates == 0 {
				t.Error("too little happened to show anything")
			}
		})
	}
}

// failSometimes takes a share of the messages before it fails, and fails for as many
// without.
func (w *world) failSometimes(share float64) func(context.Context, *pb.PubsubMessage) error {
	return func(ctx context.Context, m *pb.PubsubMessage) error {
		switch u := rand.Float64(); {
		case u < share/2:
			_, err := w.server.fake.GServer.Publish(ctx, &pb.PublishRequest{
				Topic:    "projects/" + project + "/topics/" + topic,
				Messages: []*pb.PubsubMessage{{Data: m.GetData(), Attributes: m.GetAttributes(), OrderingKey: m.GetOrderingKey()}},
			})
			if err != nil {
				return err
			}
			fallthrough
		case u < share:
			return status.Error(codes.Unavailable, "the connection broke")
		}
		return nil
	}
}

// changeMany creates n clusters, changes each twice, and deletes every tenth, eight at a
// time, as requests of the replicas do in turn.
func (w *world) changeMany(t *testing.T, n int, replicas []*outbox.Relay) {
	t.Helper()
	var writers sync.WaitGroup
	numbers := make(chan int)
	for range 8 {
		writers.Go(func() {
			for i := range numbers {
				id := w.createAt(t, replicas[i%len(replicas)]).ID
				for n := range 2 {
					if _, err := w.update(t.Context(), id); err != nil {
						t.Error(err)
					}
					replicas[(i+n)%len(replicas)].Nudge()
				}
				if i%10 == 0 {
					if err := w.remove(t.Context(), id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	writers.Wait()
}

// A transaction that commits late is not passed over, though later numbers are out.
func TestTrap02_ALateCommitIsNotSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	late, other := w.create(t), w.create(t)
	r := w.relay(t, outbox.Options{})
	w.drive(t, r)
	written, commit := make(chan struct{}), make(chan struct{})
	committed := make(chan error)
	go func() {
		_, err := w.update(t.Context(), late.ID, func() {
			close(written)
			<-commit
		})
		committed <- err
	}()
	<-written // its event has a number now
	w.mustUpdate(t, other.ID)
	w.drive(t, r) // the later number is published
	if n := len(w.server.published()); n != 3 {
		t.Errorf("%d events on record, want 3: nothing may be published before its commit", n)
	}
	close(commit)
	must(t, <-committed)
	w.drive(t, r)
	w.verify(t)
}
