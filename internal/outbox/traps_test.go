package outbox_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/outbox"
)

// A Pub/Sub that hangs does not touch a commit; an event of a transaction that rolled
// back is never out; and a delete whose publish failed reaches everybody in the end.
func TestTrap01_PublishingIsApartFromCommitting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var hang atomic.Bool
	hang.Store(true)
	w.server.when(func(ctx context.Context, _ *pb.PubsubMessage) error {
		if !hang.Load() {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	})
	r := w.relay(t, outbox.Options{Lease: time.Second}) // so a hung publish ends sooner
	run(t, r)
	start := time.Now()
	c := w.create(t)
	r.Nudge()
	must(t, w.remove(t.Context(), c.ID))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("two commits took %v", took)
	}
	undo := errors.New("undo")
	rolledBack := newCluster()
	err := w.db.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
		locked, err := tx.Lock(ctx, w.create(t).ID, "")
		if err != nil {
			return err
		}
		rolledBack.ID = locked.ID
		if _, err := tx.Delete(ctx, locked.ID, time.Minute, change(v1.ClusterDeleted)); err != nil {
			return err
		}
		return undo
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	hang.Store(false)
	w.awaitDrained(t)
	w.verify(t) // among others: nothing on record that was not committed
	if got := w.typesOf(rolledBack.ID); !slices.Equal(got, []string{v1.ClusterCreated}) {
		t.Errorf("the cluster whose deletion was undone: %v", got)
	}
	if got := slices.Compact(w.typesOf(c.ID)); !slices.Equal(got, []string{v1.ClusterCreated, v1.ClusterDeleted}) {
		t.Errorf("the deleted cluster: %v", got)
	}
}

// typesOf lists the types of the events on record of a cluster.
func (w *world) typesOf(id string) []string {
	var types []string
	for _, m := range w.server.fake.Messages() {
		if m.OrderingKey == id {
			types = append(types, m.Attributes["event_type"])
		}
	}
	return types
}

// After an outage that left thousands of wake-ups, a change is not behind them.
func TestTrap18_ChangesGoBeforeWakeUps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const clusters = 1200
	w.fill(t, clusters)
	r := w.relay(t, outbox.Options{})
	w.drive(t, r)

	due := make([]models.Wake, clusters)
	for i, row := range w.rows(t) {
		due[i] = models.Wake{ID: row.Resource, Event: wake(), Next: time.Now()}
	}
	must(t, w.db.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error { return tx.Wake(ctx, due) }))
	changed := w.mustUpdate(t, due[0].ID)
	if n := w.backlog(t).Unpublished; n != clusters+1 {
		t.Fatalf("%d events wait, want %d", n, clusters+1)
	}
	got, err := r.RunOnce(t.Context())
	must(t, err)
	await(t, "the batch to be out", func() bool { return len(w.server.published()) == clusters+got.Claimed })
	if !slices.Contains(w.server.published(), changed) {
		t.Errorf("the change is not among the first %d of %d events", got.Claimed, clusters+1)
	}
	w.drive(t, r)
	w.verify(t)
}

// fill creates clusters, several at a time.
func (w *world) fill(t *testing.T, n int) {
	t.Helper()
	results := make(chan error)
	for range n {
		go func() {
			_, err := w.db.Insert(t.Context(), newCluster(), time.Minute, change(v1.ClusterCreated))
			results <- err
		}()
	}
	for range n {
		must(t, <-results)
	}
}

// Publishes overlap and statements are few: 1,200 events at 20 ms each would be 24 s one
// after the other.
func TestTrap20_EventsAreSentInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const clusters = 1200
	w.fill(t, clusters)
	w.server.when(func(ctx context.Context, _ *pb.PubsubMessage) error {
		select {
		case <-time.After(20 * time.Millisecond): // the way to Google
		case <-ctx.Done():
		}
		return nil
	})
	store := &countingStore{DB: w.db.DB}
	r := outbox.New(store, openPubSub(t, w.server.addr), &counter{}, quiet(), outbox.Options{})
	start := time.Now()
	run(t, r)
	w.awaitDrained(t)
	took, statements := time.Since(start), store.calls.Load()
	t.Logf("%d events in %v with %d statements", clusters, took, statements)
	if took > 8*time.Second || statements > clusters/10 {
		t.Errorf("%d events took %v and %d statements", clusters, took, statements)
	}
	w.verify(t)
}

// countingStore counts what is asked of the database.
type countingStore struct {
	*database.DB

	calls   atomic.Int64
	claimed atomic.Int64 // events
}

func (s *countingStore) ClaimEvents(ctx context.Context, claim string, lease time.Duration, limit int) ([]models.QueuedEvent, error) {
	s.calls.Add(1)
	events, err := s.DB.ClaimEvents(ctx, claim, lease, limit)
	s.claimed.Add(int64(len(events)))
	return events, err
}

func (s *countingStore) MarkPublished(ctx context.Context, events []models.QueuedEvent) (bool, error) {
	s.calls.Add(1)
	return s.DB.MarkPublished(ctx, events)
}
