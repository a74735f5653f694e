package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// claim leases up to 100 events for ten seconds.
func (f fixture) claim(t *testing.T) []models.QueuedEvent {
	t.Helper()
	events, err := f.ClaimEvents(t.Context(), newID(), 10*time.Second, 100)
	must(t, err)
	return events
}

// mark marks events as published, and reports whether others can be claimed now.
func (f fixture) mark(t *testing.T, events []models.QueuedEvent) (more bool) {
	t.Helper()
	more, err := f.MarkPublished(t.Context(), events)
	must(t, err)
	return more
}

// change begins a generation of a cluster, within a transaction.
func change(ctx context.Context, tx *database.Tx, id string) error {
	c, err := tx.Lock(ctx, id, "")
	if err != nil {
		return err
	}
	c.Spec = v1.Object(`{"changed":true}`)
	_, err = tx.Update(ctx, c, models.Change{Spec: true}, pull, event(tx.Kind().Event(models.Updated), v1.ReasonSpecChanged))
	return err
}

func (f fixture) change(t *testing.T, id string) {
	t.Helper()
	must(t, f.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error { return change(ctx, tx, id) }))
}

// resourceOf is the id of what an event is about.
func resourceOf(e models.QueuedEvent) string {
	if e.Kind == models.KindNodePool {
		return e.Event.NodePoolID
	}
	return e.Event.ClusterID
}

// generations lists the events of a claim by their clusters' generations.
func generations(events []models.QueuedEvent) []int64 {
	list := []int64{}
	for _, e := range events {
		list = append(list, e.Event.Generation)
	}
	return list
}

// TestTrap02_ALateCommitIsNotSkipped: a relay that reads "greater than the last number"
// passes over a transaction that has its number and commits after a later one.
func TestTrap02_ALateCommitIsNotSkipped(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		slow, quick := f.create(t, "slow"), f.create(t, "quick")
		f.mark(t, f.claim(t))
		numbered, commit, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			done <- f.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
				err := change(ctx, tx, slow.ID)
				close(numbered)
				<-commit
				return err
			})
		}()
		<-numbered
		f.change(t, quick.ID)
		first := f.claim(t)
		if len(first) != 1 || resourceOf(first[0]) != quick.ID {
			t.Fatalf("claimed %+v while the other is not committed", first)
		}
		f.mark(t, first)
		close(commit)
		must(t, <-done)
		late := f.claim(t)
		if len(late) != 1 || resourceOf(late[0]) != slow.ID || late[0].Seq > first[0].Seq {
			t.Fatalf("claimed %+v; want the late commit with its smaller number", late)
		}
	})
}

// TestOneChangeOfAResourceAtATime: the next is out of reach until the one before is
// published, whoever asks, so that two relays cannot turn them round.
func TestOneChangeOfAResourceAtATime(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		id := f.create(t, "one").ID
		f.change(t, id)
		f.change(t, id)
		f.create(t, "other")
		first := f.claim(t)
		if diff := cmp.Diff([]int64{1, 1}, generations(first)); diff != "" {
			t.Fatalf("first claim: %s", diff)
		}
		if again := f.claim(t); len(again) > 0 {
			t.Fatalf("a second relay claimed %+v", again)
		}
		if !f.mark(t, first) {
			t.Error("nothing waited for the first, it is said")
		}
		for _, want := range []int64{2, 3} {
			next := f.claim(t)
			if diff := cmp.Diff([]int64{want}, generations(next)); diff != "" {
				t.Fatalf("next claim: %s", diff)
			}
			if more := f.mark(t, next); more != (want == 2) {
				t.Errorf("after generation %d: more %v", want, more)
			}
		}
		if len(f.claim(t)) > 0 {
			t.Error("something is left")
		}
	})
}

// TestBornUnderALease: an event that was offered a lease is out of reach until that is over, and is then
// claimed as exactly what was to be handed over at its birth.
func TestBornUnderALease(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		c := &models.Resource{
			ID: newID(), ClusterID: f.home(t, "alice@example.com"), Name: "c", CreatedBy: "alice@example.com", Spec: v1.Object(`{"platform":{"type":"GCP"}}`),
		}
		e := f.event(models.Created, v1.ReasonCreated)
		e.Lease = models.Lease{Claim: newID(), Length: 10 * time.Second}
		e.RequestID, e.Traceparent = "r-1", "00-1-2-01"
		snap, err := f.Insert(t.Context(), c, pull, e)
		must(t, err)
		f.change(t, c.ID)
		if early := f.claim(t); len(early) > 0 {
			t.Fatalf("claimed under the lease: %+v", early)
		}
		if value[bool](t, f, `SELECT max(leased_until) > now() + interval '10 s' FROM outbox`) {
			t.Error("the lease is longer than was offered")
		}
		f.exec(t, `UPDATE outbox SET leased_until = now()`) // ten seconds later
		late := f.claim(t)
		if len(late) != 1 {
			t.Fatalf("claimed %+v after the lease", late)
		}
		if diff := cmp.Diff(*snap.Event, late[0], cmpopts.IgnoreFields(models.QueuedEvent{}, "Claim", "LeasedUntil")); diff != "" {
			t.Errorf("what was handed over is another than what was claimed:\n%s", diff)
		}
	})
}

// TestALeaseEnds: what a dead relay held can be claimed again, with the same id.
func TestALeaseEnds(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.create(t, "one")
		dead := f.claim(t)
		if value[bool](t, f, `SELECT leased_until > now() + interval '10 s' FROM outbox`) {
			t.Error("the lease is longer than asked for")
		}
		f.exec(t, `UPDATE outbox SET leased_until = now()`) // ten seconds later
		again := f.claim(t)
		if len(again) != 1 || again[0].Event.ID != dead[0].Event.ID || again[0].Claim == dead[0].Claim {
			t.Fatalf("claimed %+v after the lease of %+v", again, dead)
		}
		// The dead one is late: it may not give back what is not its own any more.
		_, err := f.ReleaseEvents(t.Context(), dead[0].Claim, []models.FailedEvent{{Seq: dead[0].Seq, Error: "late", Refused: true}})
		must(t, err)
		if left := f.claim(t); len(left) > 0 {
			t.Errorf("a late release gave back another's event: %+v", left)
		}
	})
}

// TestRefusedEventsAreSetAside after ten refusals, and their successors go on. Being
// away is no refusal.
func TestRefusedEventsAreSetAside(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		id := f.create(t, "one").ID
		f.change(t, id)
		release := func(refused bool) int {
			events := f.claim(t)
			if len(events) != 1 || events[0].Event.Generation != 1 {
				t.Fatalf("claimed %+v", events)
			}
			n, err := f.ReleaseEvents(t.Context(), events[0].Claim, []models.FailedEvent{{Seq: events[0].Seq, Error: "no", Refused: refused}})
			must(t, err)
			return n
		}
		for range 2 * models.MaxAttempts {
			if release(false) != 0 {
				t.Fatal("set aside because Pub/Sub was away")
			}
		}
		for i := range models.MaxAttempts {
			if n := release(true); (n == 1) != (i == models.MaxAttempts-1) {
				t.Fatalf("refusal %d set %d aside", i+1, n)
			}
		}
		if next := f.claim(t); len(next) != 1 || next[0].Event.Generation != 2 {
			t.Errorf("after that: %+v", next)
		}
		if b, err := f.Backlog(t.Context()); err != nil || b.SetAside != 1 || b.Unpublished != 1 {
			t.Errorf("backlog %+v, %v", b, err)
		}
	})
}

// TestOneWakeUpWaits: a second one takes the place of the first, changes go before it,
// and a wake-up that was replaced while it was on its way is still to be published.
func TestOneWakeUpWaits(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		id := f.create(t, "one").ID
		ask := func() string {
			e := models.ManualWake(newID(), f.kind, models.Actor{Email: "alice@example.com"})
			_, err := f.WakeNow(t.Context(), id, "", e)
			must(t, err)
			return e.ID
		}
		ask()
		second := ask()
		events, err := f.ClaimEvents(t.Context(), newID(), 10*time.Second, 1)
		must(t, err)
		if len(events) != 1 || events[0].Wake {
			t.Fatalf("the change does not go first: %+v", events)
		}
		f.mark(t, events)
		onItsWay := f.claim(t)
		if len(onItsWay) != 1 || onItsWay[0].Event.ID != second {
			t.Fatalf("claimed %+v, want the second wake-up", onItsWay)
		}
		third := ask()
		f.mark(t, onItsWay)
		if left := f.claim(t); len(left) != 1 || left[0].Event.ID != third {
			t.Errorf("left %+v, want the third wake-up", left)
		}
	})
}

// TestPurges take what is past its retention, in batches, and nothing else.
func TestPurges(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		var ids []string
		for _, name := range []string{"a", "b", "c", "d"} {
			ids = append(ids, f.create(t, name).ID)
		}
		f.exec(t, `UPDATE outbox SET published_at = now() - interval '25 h' WHERE resource_id <> $1`, ids[0])
		f.exec(t, `UPDATE outbox SET published_at = now() - interval '23 h' WHERE resource_id = $1`, ids[1])
		f.exec(t, `UPDATE clusters SET deleted_at = now() - interval '31 days' WHERE id <> ALL ($1::uuid[])`, ids[:1])
		f.exec(t, `UPDATE clusters SET deleted_at = now() - interval '29 days' WHERE id = $1`, ids[1])
		f.exec(t, `INSERT INTO controller_status (cluster_id, controller_name) SELECT id, 'dns' FROM clusters`)
		for _, purge := range []func() (int, error){
			func() (int, error) { return f.PurgePublished(t.Context(), 24*time.Hour, 1) },
			func() (int, error) { return f.PurgeTombstones(t.Context(), 720*time.Hour, 1) },
		} {
			for _, want := range []int{1, 1, 0} {
				if n, err := purge(); err != nil || n != want {
					t.Errorf("purged %d, %v, want %d", n, err, want)
				}
			}
		}
		for table, want := range map[string]int64{"outbox": 2, "clusters": 2, "controller_status": 2, "reconciliation_schedule": 2} {
			if n := value[int64](t, f, `SELECT count(*) FROM `+table); n != want {
				t.Errorf("%d rows left in %s, want %d", n, table, want)
			}
		}
	})
}
