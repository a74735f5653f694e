package outbox_test

import (
	"context"
	"slices"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/outbox"
)

func TestAPassPublishesAndMarks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.relay(t, outbox.Options{})
	c := w.create(t)
	w.mustUpdate(t, c.ID)
	for pass, want := range []outbox.Result{
		{Claimed: 1, Published: 1, More: true}, // the oldest change only
		{Claimed: 1, Published: 1},
		{},
	} {
		if got, err := r.RunOnce(t.Context()); err != nil || got != want {
			t.Errorf("pass %d: %+v, %v; want %+v", pass, got, err, want)
		}
	}
	if n := w.verify(t); n != 0 {
		t.Errorf("%d duplicates of nothing", n)
	}
}

// A nudge makes it quick, and without one the poll does.
func TestRunPublishesWhatIsCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.relay(t, outbox.Options{})
	run(t, r)
	for range 5 {
		w.create(t)
		r.Nudge()
		r.Nudge() // more of them do not block
	}
	w.create(t) // no nudge
	w.awaitDrained(t)
	w.verify(t)
}

// A failed publish is tried again, and its key goes on by itself.
func TestAKeyThatFailsResumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	failing, healthy := w.create(t), w.create(t)
	w.mustUpdate(t, failing.ID)
	tries := 0
	w.server.when(func(_ context.Context, m *pb.PubsubMessage) error {
		if m.GetOrderingKey() != failing.ID {
			return nil
		}
		if tries++; tries <= 3 {
			return status.Error(codes.Unavailable, "not now")
		}
		return nil
	})
	w.drive(t, w.relay(t, atOnce))
	w.verify(t)
	if place := slices.Index(w.keys(), healthy.ID); place != 0 {
		t.Errorf("the healthy cluster's event is number %d on record, want the first", place)
	}
}

// keys lists the ordering keys on record.
func (w *world) keys() []string {
	var keys []string
	for _, m := range w.server.fake.Messages() {
		keys = append(keys, m.OrderingKey)
	}
	return keys
}

// An event that Pub/Sub refuses for good is given up after its tries, is counted, and
// makes way for its successors.
func TestARefusedEventIsSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.create(t)
	bad := w.rows(t)[0].ID
	w.mustUpdate(t, c.ID)
	w.mustUpdate(t, c.ID)
	w.server.when(func(_ context.Context, m *pb.PubsubMessage) error {
		if m.GetAttributes()["ce-id"] == bad {
			return status.Error(codes.InvalidArgument, "never")
		}
		return nil
	})
	seen := &counter{}
	w.drive(t, outbox.New(w.db, openPubSub(t, w.server.addr), seen, quiet(), atOnce))
	rows := w.rows(t)
	if r := rows[0]; !r.SetAside || r.Published || r.Attempts != models.MaxAttempts || r.LastError == "" {
		t.Errorf("the refused event: %+v", r)
	}
	if got, want := w.server.published(), []string{rows[1].ID, rows[2].ID}; !slices.Equal(got, want) {
		t.Errorf("on record %v, want its successors %v", got, want)
	}
	if seen.count("refused") != models.MaxAttempts || seen.setAside != 1 || seen.count("ok") != 2 {
		t.Errorf("counted %v and %d set aside", seen.results, seen.setAside)
	}
}

// What is about the project and not about the event never sets one aside.
func TestWhatTheOperatorMendsIsTriedOn(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.NotFound, codes.PermissionDenied, codes.FailedPrecondition, codes.Unauthenticated} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(t)
			tries := 0
			w.server.when(func(context.Context, *pb.PubsubMessage) error {
				if tries++; tries <= 2*models.MaxAttempts {
					return status.Error(code, "mend me")
				}
				return nil
			})
			w.drive(t, w.relay(t, atOnce))
			w.verify(t)
		})
	}
}

// With a key that hangs, the others are as quick as ever, and the hung one goes on when
// it can.
func TestAStalledKeyHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stalled := w.create(t)
	w.mustUpdate(t, stalled.ID)
	release := make(chan struct{})
	arrived := make(chan string, 1000)
	w.server.when(func(ctx context.Context, m *pb.PubsubMessage) error {
		if m.GetOrderingKey() != stalled.ID {
			arrived <- m.GetOrderingKey()
			return nil
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	r := w.relay(t, outbox.Options{})
	run(t, r)
	var took []time.Duration
	for range 200 {
		start := time.Now()
		c := w.create(t)
		r.Nudge()
		for key := ""; key != c.ID; key = <-arrived {
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	p50, p99 := took[100], took[198]
	t.Logf("commit to publish beside a stalled key: p50 %v, p99 %v, max %v", p50, p99, took[199])
	if p50 > 100*time.Millisecond || p99 > time.Second {
		t.Errorf("p50 %v, p99 %v: held up", p50, p99)
	}
	if slices.Contains(w.keys(), stalled.ID) {
		t.Error("the stalled key did not stall")
	}
	close(release)
	w.awaitDrained(t)
	w.verify(t)
}

// While Pub/Sub is away changes are committed as ever, and soon after it is back all of
// them are out, in order.
func TestPubSubAwayAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.relay(t, outbox.Options{})
	run(t, r)
	first := w.create(t)
	w.awaitDrained(t)
	w.server.down()
	start := time.Now()
	for range 300 {
		c := w.create(t)
		w.mustUpdate(t, c.ID)
		r.Nudge()
	}
	w.mustUpdate(t, first.ID)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("601 commits took %v", took)
	}
	if n := w.backlog(t).Unpublished; n != 601 {
		t.Errorf("%d events wait, want 601", n)
	}
	start = time.Now()
	w.server.up(t)
	w.awaitDrained(t)
	t.Logf("601 events were out %v after Pub/Sub came back", time.Since(start))
	w.verify(t)
}

// A stop ends with Pub/Sub hung, and gives back what it held.
func TestStopWithPubSubHung(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hung := make(chan struct{}, 100)
	w.server.when(func(ctx context.Context, _ *pb.PubsubMessage) error {
		hung <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	stop := run(t, w.relay(t, outbox.Options{Drain: 300 * time.Millisecond}))
	for range 10 {
		w.create(t)
	}
	for range 10 {
		<-hung
	}
	start := time.Now()
	stop()
	if took := time.Since(start); took < 300*time.Millisecond || took > 3*time.Second {
		t.Errorf("the stop took %v", took)
	}
	w.server.when(nil)
	// Not after the lease of 10 s, but at once. What takes longer than a pass counts in the next.
	next, published := w.relay(t, outbox.Options{}), 0
	for i := range 100 {
		got, err := next.RunOnce(t.Context())
		if err != nil || i == 0 && got.Claimed != 10 {
			t.Fatalf("the next relay: %+v, %v", got, err)
		}
		if published += got.Published; published == 10 {
			break
		}
	}
	if published != 10 {
		t.Errorf("the next relay published %d of 10", published)
	}
	w.verify(t)
}

// A stop waits for what is on its way, and marks it.
func TestStopFinishesTheBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	w.server.when(func(context.Context, *pb.PubsubMessage) error {
		close(begun)
		<-finish
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	r := w.relay(t, outbox.Options{})
	go func() { done <- r.Run(ctx) }()
	<-begun
	cancel()
	close(finish)
	must(t, <-done)
	if n := w.backlog(t).Unpublished; n != 0 {
		t.Errorf("%d events were not marked", n)
	}
	if n := w.verify(t); n != 0 {
		t.Errorf("%d duplicates", n)
	}
}

// At most one wake-up of a resource waits, also while one is being published; that one is
// followed by the newer.
func TestOneWakeUpWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.create(t)
	r := w.relay(t, outbox.Options{})
	_, err := r.RunOnce(t.Context())
	must(t, err)
	wakeUp := func() string {
		e := wake()
		_, err := w.db.WakeNow(t.Context(), c.ID, "", e)
		must(t, err)
		if n := w.backlog(t).Unpublished; n != 1 {
			t.Errorf("%d wake-ups wait, want 1", n)
		}
		return e.ID
	}
	for range 3 {
		wakeUp()
	}
	begun, finish := make(chan struct{}, 10), make(chan struct{})
	w.server.when(func(context.Context, *pb.PubsubMessage) error {
		begun <- struct{}{}
		<-finish
		return nil
	})
	run(t, r)
	<-begun
	newest := wakeUp()
	close(finish)
	w.awaitDrained(t)
	if ids := w.server.published(); len(ids) != 3 || ids[2] != newest {
		t.Errorf("on record %v; want the creation, a wake-up, and %s", ids, newest)
	}
}
