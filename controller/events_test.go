package controller_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
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

// TestAnEventIsKeptThoughNoCodeIsCalled: while nothing can be read, and while it cannot be said that others are waited for.
func TestAnEventIsKeptThoughNoCodeIsCalled(t *testing.T) {
	t.Parallel()
	for what, failing := range map[string]func(b *clstest.Backend, reads *away, n int){
		"read":   func(_ *clstest.Backend, reads *away, n int) { reads.calls.Store(int64(n)) },
		"report": func(b *clstest.Backend, _ *away, n int) { b.FailReports(n) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b, j, registry, reads := clstest.NewBackend(t, alone), newJournal(nil), prometheus.NewPedanticRegistry(), &away{}
			to, err := client.New(b.URL(), client.Options{
				Identity: clstest.Controller, HTTP: &http.Client{Transport: reads}, Retry: client.Retry{Attempts: 1},
			})
			must(t, err)
			needs := []controller.Need{{Controller: "another"}}
			b.Run(j, controller.Options{Name: "c", Client: to, Needs: needs, FirstRetry: time.Hour, Metrics: registry})
			failing(b, reads, math.MaxInt32)
			c := b.Create("one", gcp)
			b.Await("a failure", func() bool { return outcomes(t, registry)["unreported"] > 0 })
			failing(b, reads, 0)
			b.WaitReport(c.ID, "c", func(v1.ControllerStatus) bool { return true })
			if n := j.count(c.ID); n != 0 {
				t.Errorf("called %d times", n)
			}
		})
	}
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
	if o := outcomes(t, registry); before > 3 || o["done"] != before {
		t.Errorf("6 events were %d reconciles, and became %v", before, o)
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

// TestABurstIsOneReconcile: a subscription that keeps no order delivers all events at once.
func TestABurstIsOneReconcile(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	subscribe(t, b, &pb.Subscription{Name: "c"})
	hold := make(chan struct{})
	j := newJournal(func(ctx context.Context, _ int, _ controller.Request) (controller.Result, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return controller.Result{}, ctx.Err()
	})
	registry := prometheus.NewPedanticRegistry()
	b.Run(j, controller.Options{Name: "c", Metrics: registry, ProgressAfter: time.Hour})
	c := b.Create("one", gcp)
	b.Await("the first reconcile", func() bool { return j.count(c.ID) == 1 })
	for i := range 5 {
		b.SetSpec(c.ID, fmt.Sprintf(`{"platform":{"type":"gcp"},"n":%d}`, i))
	}
	b.Await("their events", func() bool {
		n, _ := sample(t, registry, "cls_controller_queue_length", "c")
		return len(b.Events()) == 6 && n == 1
	})
	close(hold)
	b.WaitReady(c.ID)
	b.Await("the reconciles to be counted", func() bool { return outcomes(t, registry)["done"] == j.count(c.ID) })
	if n := j.overlap.Load(); n != 0 {
		t.Errorf("%d reconciles of a cluster began while another of it ran", n)
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

// TestAReportIsOfTheGenerationThatWasRead, though there is a newer one by the time of the report.
func TestAReportIsOfTheGenerationThatWasRead(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	turn := make(chan struct{})
	j := newJournal(func(ctx context.Context, _ int, _ controller.Request) (controller.Result, error) {
		select {
		case <-turn:
		case <-ctx.Done():
		}
		return controller.Result{}, ctx.Err()
	})
	b.Run(j, controller.Options{Name: "c", ProgressAfter: time.Hour})
	c := b.Create("one", gcp)
	b.Await("the first call", func() bool { return j.count(c.ID) == 1 })
	b.SetSpec(c.ID, `{"platform":{"type":"gcp"},"n":2}`)
	turn <- struct{}{}
	b.Await("the second call", func() bool { return j.count(c.ID) == 2 })
	first := b.WaitReport(c.ID, "c", func(v1.ControllerStatus) bool { return true })
	if calls := j.seen(); first.ObservedGeneration != 1 || calls[0].Generation() != 1 || calls[1].Generation() != 2 {
		t.Errorf("called for generations %d and %d, and reported %d of the first", calls[0].Generation(), calls[1].Generation(), first.ObservedGeneration)
	}
	turn <- struct{}{}
	b.WaitReady(c.ID)
}

// TestAnEventIsOlderThanItsCluster when it comes late: what is read then is what counts.
func TestAnEventIsOlderThanItsCluster(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	subscribe(t, b, &pb.Subscription{Name: "c", Filter: `attributes.event_type = "cluster.created"`})
	c := b.Create("one", gcp)
	b.SetSpec(c.ID, `{"platform":{"type":"gcp"},"n":2}`)
	b.Run(newJournal(nil), controller.Options{Name: "c"})
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

// asked are the addresses of all calls.
type asked struct {
	mu    sync.Mutex
	paths []string
}

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.paths = append(a.paths, r.URL.Path)
	a.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

// about counts the calls about a resource.
func (a *asked) about(id string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.paths {
		if strings.Contains(p, id) {
			n++
		}
	}
	return n
}

// TestASubscriptionWithoutAFilter delivers the events of all platforms, which are dropped: they cost no call.
func TestASubscriptionWithoutAFilter(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	subscribe(t, b, &pb.Subscription{Name: "c", EnableMessageOrdering: true})
	j, registry, calls := newJournal(nil), prometheus.NewPedanticRegistry(), &asked{}
	to, err := client.New(b.URL(), client.Options{Identity: clstest.Controller, HTTP: &http.Client{Transport: calls}})
	must(t, err)
	b.Run(j, controller.Options{Name: "c", Platforms: []string{"gcp"}, Client: to, Metrics: registry})
	elsewhere, nowhere, here := b.Create("elsewhere", `{"platform":{"type":"aws"}}`), b.Create("nowhere", `{}`), b.Create("here", gcp)
	b.WaitReady(here.ID)
	b.Await("the others", func() bool { return outcomes(t, registry)["foreign"] == 2 })
	if seen := j.seen(); len(seen) != 1 {
		t.Errorf("called for %+v", seen)
	}
	if calls.about(elsewhere.ID)+calls.about(nowhere.ID) > 0 || calls.about(here.ID) == 0 {
		t.Errorf("asked for %v", calls.paths)
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
