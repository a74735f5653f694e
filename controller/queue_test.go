package controller

import (
	"context"
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

// TestADuplicateHidesNoNewEvent of its burst: only one in which all are known is dropped.
func TestADuplicateHidesNoNewEvent(t *testing.T) {
	t.Parallel()
	q, k, m := newQueue(), key{KindCluster, "c"}, &memory{}
	m.note([]string{"old"})
	for _, id := range []string{"new", "old"} {
		q.add(k, "c", v1.Event{ID: id, Generation: 1}, &parcel{})
	}
	j, _ := q.take(t.Context())
	if m.knows(j.ids) {
		t.Error("a new event is dropped with the duplicate that came after it")
	}
	if m.note(j.ids); !m.knows(j.ids) {
		t.Error("what was handled is not known")
	}
	for range remembered {
		m.note([]string{"another"})
	}
	if len(m.events) != remembered || m.knows([]string{"old"}) {
		t.Errorf("remembers %d events", len(m.events))
	}
}

// TestAPauseRunsOut unless an event comes before.
func TestAPauseRunsOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, k := newQueue(), key{KindNodePool, "p"}
		began := time.Now()
		q.addAfter(k, "c", time.Hour)
		q.addAfter(k, "c", time.Minute) // The last one counts.
		if j, ok := q.take(t.Context()); !ok || j.clusterID != "c" || time.Since(began) != time.Minute {
			t.Errorf("took %+v after %v", j, time.Since(began))
		}
		q.done(k)
		q.addAfter(k, "c", time.Minute)
		q.add(k, "c", v1.Event{}, &parcel{})
		if _, ok := q.take(t.Context()); !ok || time.Since(began) != time.Minute {
			t.Error("an event waits for the pause")
		}
		q.done(k)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if j, ok := q.take(ctx); ok {
			t.Errorf("the pause came too: %+v", j)
		}
	})
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
