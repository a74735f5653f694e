package controller_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// TestAnEventIsKeptUntilItsReportIsStored loses reports, and the event comes again.
func TestAnEventIsKeptUntilItsReportIsStored(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	b.FailReports(7) // More than a call is repeated.
	b.Run(newJournal(nil), controller.Options{Name: "c", FirstRetry: time.Hour})
	b.WaitReady(b.Create("one", gcp).ID)
}

// TestWhatIsUnreportedIsTriedAgain by the process itself, though Pub/Sub would take its time.
func TestWhatIsUnreportedIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	registry := prometheus.NewPedanticRegistry()
	b.Run(newJournal(nil), controller.Options{Name: "c", FirstRetry: 10 * time.Millisecond, Metrics: registry})
	b.FailReports(7)
	b.WaitReady(b.Create("one", gcp).ID)
	if n := outcomes(t, registry)["unreported"]; n != 1 {
		t.Errorf("%d were not reported", n)
	}
}

// TestEventsThatAreOldOrKnown are dropped, and a burst is one reconcile.
func TestEventsThatAreOldOrKnown(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	hold := make(chan struct{})
	j := newJournal(func(ctx context.Context, n int, _ controller.Request) (controller.Result, error) {
		if n == 1 {
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		return controller.Result{}, nil
	})
	registry := prometheus.NewPedanticRegistry()
	b.Run(j, controller.Options{Name: "c", Metrics: registry, ProgressAfter: time.Hour})
	c := b.Create("one", gcp)
	b.Await("the first reconcile", func() bool { return j.count(c.ID) == 1 })
	for i := range 5 { // While the first is at work.
		b.SetSpec(c.ID, fmt.Sprintf(`{"platform":{"type":"gcp"},"n":%d}`, i))
	}
	b.Await("their events", func() bool { return len(b.Events()) == 6 })
	close(hold)
	b.WaitReady(c.ID)
	b.Await("all of them to be settled", func() bool { return total(outcomes(t, registry)) == 6 })
	before := j.count(c.ID)
	if before > 3 {
		t.Errorf("6 events were %d reconciles", before)
	}
	events := b.Events()
	slices.Reverse(events)
	b.Inject(append(events, anew(events[5], v1.ClusterUpdated, v1.TriggeredByUser))...) // The last is of the first generation.
	b.Wake(c.ID)                                                                        // Comes after them.
	var wake string
	b.Await("the wake-up", func() bool {
		if all := b.Events(); all[len(all)-1].Reason == v1.ReasonManual {
			wake = all[len(all)-1].ID
		}
		return slices.ContainsFunc(j.seen(), func(r controller.Request) bool { return r.Event.ID == wake })
	})
	if n := j.count(c.ID); n != before+1 {
		t.Errorf("old events were reconciled: %d calls more", n-before-1)
	}
}

// TestADuplicateEndsNoPause that the reconcile of the first one has asked for.
func TestADuplicateEndsNoPause(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	registry := prometheus.NewPedanticRegistry()
	b.Run(newJournal(func(_ context.Context, n int, _ controller.Request) (controller.Result, error) {
		return controller.Result{Waiting: n == 1, RequeueAfter: time.Second / time.Duration(n*n*n*n)}, nil
	}), controller.Options{Name: "c", Metrics: registry})
	c := b.Create("one", gcp)
	b.Await("the reconcile", func() bool { return outcomes(t, registry)["done"] == 1 })
	b.Inject(b.Events()...)
	b.Await("the duplicate", func() bool { return outcomes(t, registry)["stale"] == 1 })
	b.WaitReady(c.ID)
}

// TestAnEventOfWhatIsGone is settled.
func TestAnEventOfWhatIsGone(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	registry := prometheus.NewPedanticRegistry()
	b.Run(newJournal(nil), controller.Options{Name: "c", Metrics: registry, FirstRetry: time.Millisecond})
	c := b.Create("one", gcp)
	b.WaitReady(c.ID)
	created := b.Events()[0]
	b.Delete(c.ID)
	b.WaitGone(c.ID)
	b.Inject(anew(created, v1.ClusterReconcile, v1.TriggeredByScheduler))
	b.Await("a late one", func() bool { return total(outcomes(t, registry)) >= 3 })
	if o := outcomes(t, registry); o["gone"] != 2 || o["done"] != 1 {
		t.Errorf("of its creation, its deletion and a late one became %v", o)
	}
}

// TestASubscriptionWithoutAFilter delivers the events of all platforms, which are dropped.
func TestASubscriptionWithoutAFilter(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	subscribe(t, b, &pb.Subscription{Name: "c", EnableMessageOrdering: true})
	j, registry := newJournal(nil), prometheus.NewPedanticRegistry()
	b.Run(j, controller.Options{Name: "c", Platforms: []string{"gcp"}, Metrics: registry})
	b.Create("away", `{"platform":{"type":"aws"}}`)
	b.Create("nowhere", `{}`)
	b.WaitReady(b.Create("here", gcp).ID)
	b.Await("the others", func() bool { return outcomes(t, registry)["foreign"] == 2 })
	if calls := j.seen(); len(calls) != 1 {
		t.Errorf("called for %+v", calls)
	}
}

// subscribe makes a subscription to clusters before a controller does.
func subscribe(t *testing.T, b *clstest.Backend, s *pb.Subscription) {
	t.Helper()
	project := "projects/" + b.PubSub().ProjectID
	s.Name, s.Topic = project+"/subscriptions/"+s.GetName(), project+"/topics/cluster-events"
	subscriptions := subscriber(t, b)
	b.Await("the topic", func() bool {
		_, err := subscriptions.CreateSubscription(t.Context(), s)
		return err == nil
	})
}

// TestProcessesOfOneNameShareTheWork: each event goes to one of them.
func TestProcessesOfOneNameShareTheWork(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	var counts []*prometheus.Registry
	for range 2 {
		registry := prometheus.NewPedanticRegistry()
		b.Run(newJournal(nil), controller.Options{Name: "c", Metrics: registry})
		counts = append(counts, registry)
	}
	for i := range 10 {
		b.Create(fmt.Sprint("c-", i), gcp)
	}
	b.Await("both to have worked", func() bool {
		one, other, sent := total(outcomes(t, counts[0])), total(outcomes(t, counts[1])), b.Events()
		if len(sent) < 10 || one+other < len(sent) {
			return false
		}
		if one > 0 && other > 0 {
			return one+other == len(sent)
		}
		for _, e := range sent[:10] { // Too few at once to be shared.
			b.Inject(anew(e, v1.ClusterReconcile, v1.TriggeredByScheduler))
		}
		return false
	})
	all, err := subscriber(t, b).ListSubscriptions(t.Context(), &pb.ListSubscriptionsRequest{Project: "projects/" + b.PubSub().ProjectID})
	if must(t, err); len(all.GetSubscriptions()) != 1 {
		t.Errorf("they have the subscriptions %v", all.GetSubscriptions())
	}
}
