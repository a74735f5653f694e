package controller

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// parcel is an event that counts how often it is settled.
type parcel struct{ acks, nacks int }

func (p *parcel) Ack()  { p.acks++ }
func (p *parcel) Nack() { p.nacks++ }

func TestABurstIsOneJob(t *testing.T) {
	t.Parallel()
	q, k := newQueue(), key{KindCluster, "c"}
	var burst [3]parcel
	for i := range burst {
		q.add(k, "c", v1.Event{Generation: int64(3 - i)}, &burst[i])
	}
	j, ok := q.take(t.Context())
	if !ok || len(j.events) != 3 || j.event.Generation != 3 || q.length() != 0 {
		t.Fatalf("took %+v, %d wait", j, q.length())
	}
	late := &parcel{}
	q.add(k, "c", v1.Event{Generation: 4}, late)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if j, ok := q.take(ended); ok {
		t.Errorf("took %+v while the resource is in hand", j)
	}
	q.done(k)
	if j, ok := q.take(t.Context()); !ok || j.event.Generation != 4 {
		t.Errorf("then took %+v", j)
	}
}

// TestAQueueThatClosesGivesBack what waits, and what comes after.
func TestAQueueThatClosesGivesBack(t *testing.T) {
	t.Parallel()
	q, waits, late := newQueue(), &parcel{}, &parcel{}
	q.add(key{KindCluster, "c"}, "c", v1.Event{}, waits)
	q.close()
	q.add(key{KindCluster, "c"}, "c", v1.Event{}, late)
	if want := (parcel{nacks: 1}); *waits != want || *late != want {
		t.Errorf("what waited was settled by %+v, what came after by %+v", *waits, *late)
	}
}

// TestAPauseRunsOut whatever events come before, until somebody who looks ends it: an event may turn out to be a duplicate,
// on which nobody looks.
func TestAPauseRunsOut(t *testing.T) {
	t.Parallel()
	const soon, late = time.Minute, time.Hour
	k := key{KindNodePool, "p"}
	event := func(q *queue) { q.add(k, "c", v1.Event{Generation: 1}, &parcel{}) }
	for why, row := range map[string]struct {
		before func(q *queue)
		events int
		after  time.Duration // until the resource is due; 0 for never
	}{
		"alone":               {func(q *queue) { q.addAfter(k, "c", soon) }, 0, soon},
		"the last counts":     {func(q *queue) { q.addAfter(k, "c", soon); q.addAfter(k, "c", late) }, 0, late},
		"an earlier one":      {func(q *queue) { q.addAfter(k, "c", late); q.addAfter(k, "c", soon) }, 0, soon},
		"is ended":            {func(q *queue) { q.addAfter(k, "c", soon); q.stopPause(k) }, 0, 0},
		"ends with the queue": {func(q *queue) { q.addAfter(k, "c", soon); q.close() }, 0, 0},
		"not after its end":   {func(q *queue) { q.close(); q.addAfter(k, "c", soon) }, 0, 0},
		"an event comes": {func(q *queue) {
			q.addAfter(k, "c", soon)
			event(q)
			handle(q, k)
		}, 0, soon},
		"an event waits": {func(q *queue) {
			event(q)
			q.addAfter(k, "c", soon)
			handle(q, k)
		}, 0, soon},
		"an event waits still": {func(q *queue) {
			q.addAfter(k, "c", soon)
			q.busy[k] = true
			event(q)
			time.AfterFunc(soon+1, func() { q.done(k) })
		}, 1, soon + 1},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q, began := newQueue(), time.Now()
				row.before(q)
				ctx, cancel := context.WithTimeout(t.Context(), 2*late)
				defer cancel()
				j, ok := q.take(ctx)
				if ok != (row.after > 0) || ok && (!j.due || j.clusterID != "c" || len(j.events) != row.events || time.Since(began) != row.after) {
					t.Errorf("took %+v after %v", j, time.Since(began))
				}
				if len(q.timers) > 0 {
					t.Error("a pause is left")
				}
			})
		})
	}
}

// handle takes a job that is there and not due, and does nothing for it.
func handle(q *queue, k key) {
	if j, ok := q.take(context.Background()); !ok || j.due || len(j.events) != 1 {
		panic("took another job")
	}
	q.done(k)
}

// TestAWakeIsNotPressing, but what comes with it may be.
func TestAWakeIsNotPressing(t *testing.T) {
	t.Parallel()
	q, k := newQueue(), key{KindCluster, "c"}
	for _, row := range []struct {
		by   string
		want bool
	}{
		{v1.TriggeredByScheduler, false}, {v1.TriggeredByReactive, false}, {v1.TriggeredByManual, true}, {v1.TriggeredByReactive, true},
	} {
		q.add(k, "c", v1.Event{Metadata: v1.EventMetadata{TriggeredBy: row.by}}, &parcel{})
		if got := q.jobs[k].pressing; got != row.want {
			t.Errorf("with one by %s: %t", row.by, got)
		}
	}
}

// TestABackoffDoubles up to its longest, and begins anew.
func TestABackoffDoubles(t *testing.T) {
	t.Parallel()
	b := backoff{first: 2, longest: 10}
	var got []time.Duration
	for i := range 6 {
		if i == 4 {
			b.reset()
		}
		got = append(got, b.next())
	}
	if !slices.Equal(got, []time.Duration{2, 4, 8, 10, 2, 4}) {
		t.Errorf("pauses %v", got)
	}
}

// TestNothingIsInHandTwiceOrLost does all that can be done to a queue, in any order.
func TestNothingIsInHandTwiceOrLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q, inHand := newQueue(), map[key]job{}
		var sent []*parcel
		ended, cancel := context.WithCancel(context.Background())
		defer cancel()
		keys := rapid.SampledFrom([]key{{KindCluster, "a"}, {KindCluster, "b"}, {KindNodePool, "a"}})
		finish := func(k key) {
			inHand[k].settle(true)
			delete(inHand, k)
			q.done(k)
		}
		t.Repeat(map[string]func(*rapid.T){
			"an event comes": func(t *rapid.T) {
				p := &parcel{}
				sent = append(sent, p)
				q.add(keys.Draw(t, "key"), "c", v1.Event{Generation: rapid.Int64Range(1, 3).Draw(t, "generation")}, p)
			},
			"a worker takes": func(t *rapid.T) {
				if q.length() == 0 || len(q.waiting) == 0 {
					t.Skip("nothing to take")
				}
				j, _ := q.take(context.Background())
				if _, twice := inHand[j.key]; twice {
					t.Fatalf("%v is in hand twice", j.key)
				}
				inHand[j.key] = j
			},
			"a worker is done": func(t *rapid.T) {
				k := keys.Draw(t, "key")
				if _, ok := inHand[k]; !ok {
					t.Skip("it is not in hand")
				}
				finish(k)
			},
		})
		for k := range inHand {
			finish(k)
		}
		q.close()
		cancel()
		if j, ok := q.take(ended); ok {
			t.Fatalf("took %+v of a queue that is closed", j)
		}
		for i, p := range sent {
			if p.acks+p.nacks != 1 {
				t.Fatalf("event %d was settled %d times", i, p.acks+p.nacks)
			}
		}
	})
}
