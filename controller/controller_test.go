package controller_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const gcp = `{"platform":{"type":"gcp"}}`

// journal keeps what an author's code is asked, and answers by a func.
type journal struct {
	mu      sync.Mutex
	calls   []controller.Request
	running map[string]int
	overlap atomic.Int64 // reconciles of one resource at once
	answer  func(ctx context.Context, n int, req controller.Request) (controller.Result, error)
}

func newJournal(answer func(ctx context.Context, n int, req controller.Request) (controller.Result, error)) *journal {
	return &journal{running: map[string]int{}, answer: answer}
}

func (j *journal) Reconcile(ctx context.Context, req controller.Request) (controller.Result, error) {
	j.mu.Lock()
	j.calls = append(j.calls, req)
	n := j.of(req.ID())
	if j.running[req.ID()]++; j.running[req.ID()] > 1 {
		j.overlap.Add(1)
	}
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		j.running[req.ID()]--
		j.mu.Unlock()
	}()
	if j.answer == nil {
		return controller.Result{}, nil
	}
	return j.answer(ctx, n, req)
}

// of counts the calls for a resource; the caller holds the lock.
func (j *journal) of(id string) (n int) {
	for _, c := range j.calls {
		if c.ID() == id {
			n++
		}
	}
	return n
}

func (j *journal) count(id string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.of(id)
}

func TestAClusterBecomesReady(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	j := newJournal(func(context.Context, int, controller.Request) (controller.Result, error) {
		return controller.Result{
			Message: "built", Metadata: map[string]int{"nodes": 3},
			Conditions: []v1.ReportedCondition{{Type: "Backup", Status: v1.ConditionUnknown}},
		}, nil
	})
	b.Run(j, controller.Options{Name: "builder", Platforms: []string{"GCP"}, Required: true})
	mine, other := b.Create("mine", gcp), b.Create("other", `{"platform":{"type":"aws"}}`)
	b.WaitReady(mine.ID)
	r := b.WaitReport(mine.ID, "builder", func(v1.ControllerStatus) bool { return true })
	if r.ObservedGeneration != 1 || string(r.Metadata) != `{"nodes":3}` || len(r.Conditions) != 2 || r.Conditions[0].Message != "built" {
		t.Errorf("reported %+v", r)
	}
	b.SetSpec(mine.ID, `{"platform":{"type":"gcp"},"size":2}`)
	if c := b.WaitReady(mine.ID); c.Generation != 2 {
		t.Errorf("ready is %+v", c)
	}
	if n := j.count(other.ID); n != 0 {
		t.Errorf("another platform's cluster was reconciled %d times", n)
	}
	registered, err := b.Client(clstest.Admin).GetController(t.Context(), "builder")
	if must(t, err); !registered.Required || registered.Finalizes || !slices.Equal(registered.Platforms, []string{"gcp"}) || !slices.Equal(registered.Kinds, []string{"cluster"}) {
		t.Errorf("registered %+v", registered)
	}
}

// TestTheSubscription asks Pub/Sub itself what was created.
func TestTheSubscription(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	b.Run(newJournal(nil), controller.Options{
		Name: "both", Platforms: []string{"GCP", "aws"}, Kinds: []controller.Kind{controller.KindCluster, controller.KindNodePool}, DeliveryAttempts: 7,
	})
	conn, err := grpc.NewClient(b.PubSub().EmulatorHost, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	defer conn.Close()
	for name, filter := range map[string]string{
		"both":           `attributes.platform = "gcp" OR attributes.platform = "aws"`,
		"both-nodepools": `attributes.platform = "" OR attributes.platform = "gcp" OR attributes.platform = "aws"`,
	} {
		sub, err := pb.NewSubscriberClient(conn).GetSubscription(t.Context(), &pb.GetSubscriptionRequest{
			Subscription: "projects/" + b.PubSub().ProjectID + "/subscriptions/" + name,
		})
		must(t, err)
		retry, dead := sub.GetRetryPolicy(), sub.GetDeadLetterPolicy()
		if sub.GetFilter() != filter || !sub.GetEnableMessageOrdering() || sub.GetAckDeadlineSeconds() != 30 ||
			retry.GetMinimumBackoff().AsDuration() != 10*time.Second || retry.GetMaximumBackoff().AsDuration() != 10*time.Minute ||
			dead.GetMaxDeliveryAttempts() != 7 || !strings.HasSuffix(dead.GetDeadLetterTopic(), "/topics/"+name+"-dead-letter") {
			t.Errorf("%s: %v", name, sub)
		}
	}
}

// TestFailures are reported for what they are, and tried again when that can help.
func TestFailures(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	broken := errors.New("no quota")
	for name, c := range map[string]struct {
		err       error
		errorType string
		code      string
		again     bool
	}{
		"passing":  {broken, v1.ErrorTransient, "ReconcileFailed", true},
		"later":    {controller.RetryAfter(time.Millisecond, broken), v1.ErrorTransient, "ReconcileFailed", true},
		"terminal": {fmt.Errorf("plan: %w", controller.Terminal("TooBig", broken)), v1.ErrorConfiguration, "TooBig", false},
		"own":      {&controller.Error{Type: v1.ErrorFatal, Code: "Lost", Err: broken}, v1.ErrorFatal, "Lost", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := b.Create(name, `{"platform":{"type":"`+name+`"}}`)
			j := newJournal(func(_ context.Context, n int, _ controller.Request) (controller.Result, error) {
				if n > 2 {
					return controller.Result{}, nil
				}
				return controller.Result{}, c.err
			})
			b := b.For(t)
			b.Run(j, controller.Options{Name: name, Platforms: []string{name}, FirstRetry: 10 * time.Millisecond})
			b.Wake(made.ID)
			r := b.WaitReport(made.ID, name, func(r v1.ControllerStatus) bool { return (r.LastError == nil) == c.again })
			if c.again {
				b.WaitReady(made.ID)
				return
			}
			if r.LastError.ErrorType != c.errorType || r.LastError.ErrorCode != c.code || !strings.Contains(r.LastError.Message, "no quota") {
				t.Errorf("reported %+v", r.LastError)
			}
			if c := b.WaitFor(made.ID, client.Condition{Type: v1.ConditionDegraded}); c.Status.Phase != v1.PhaseFailed {
				t.Errorf("it is %+v", c.Status)
			}
		})
	}
}

// TestAPanicIsOneClustersOwn has the others go on.
func TestAPanicIsOneClustersOwn(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	b.Run(newJournal(func(_ context.Context, _ int, req controller.Request) (controller.Result, error) {
		if req.Name() == "bad" {
			panic("no such zone")
		}
		return controller.Result{}, nil
	}), controller.Options{Name: "p", Concurrency: 1})
	bad, good := b.Create("bad", gcp), b.Create("good", gcp)
	b.WaitReady(good.ID)
	r := b.WaitReport(bad.ID, "p", func(r v1.ControllerStatus) bool { return r.LastError != nil })
	if r.LastError.ErrorCode != "Panic" || !strings.Contains(r.LastError.Message, "no such zone") {
		t.Errorf("reported %+v", r.LastError)
	}
}

// builder is a finalizer that needs two calls to take something down.
type builder struct {
	*journal

	ends atomic.Int64
}

func (f *builder) Finalize(context.Context, controller.Request) (controller.Result, error) {
	if f.ends.Add(1) == 1 {
		return controller.Result{Waiting: true, RequeueAfter: 10 * time.Millisecond}, nil
	}
	return controller.Result{}, nil
}

func TestADeletionWaitsForTheFinalizer(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	f, bystander := &builder{journal: newJournal(nil)}, newJournal(nil)
	b.Run(f, controller.Options{Name: "f"})
	b.Run(bystander, controller.Options{Name: "bystander"})
	c := b.Create("one", gcp)
	b.WaitReady(c.ID)
	b.WaitReport(c.ID, "bystander", func(v1.ControllerStatus) bool { return true })
	n := bystander.count(c.ID)
	b.Delete(c.ID)
	b.WaitGone(c.ID)
	if f.ends.Load() != 2 || bystander.count(c.ID) > n {
		t.Errorf("taken down by %d calls, the bystander was called %d times more", f.ends.Load(), bystander.count(c.ID)-n)
	}
}

// TestDependencies has one controller begin when another has said what it needs.
func TestDependencies(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	go_ := make(chan struct{})
	b.Run(newJournal(func(ctx context.Context, _ int, _ controller.Request) (controller.Result, error) {
		select {
		case <-go_:
			return controller.Result{Metadata: map[string]string{"vpc": "v-1"}}, nil
		case <-ctx.Done():
			return controller.Result{}, ctx.Err()
		}
	}), controller.Options{Name: "network", ProgressAfter: time.Millisecond})
	var vpc atomic.Value
	dns := newJournal(func(_ context.Context, _ int, req controller.Request) (controller.Result, error) {
		var m struct{ VPC string }
		if found, err := req.Metadata("network", &m); !found || err != nil {
			return controller.Result{}, fmt.Errorf("found %t, %w", found, err)
		}
		vpc.Store(m.VPC)
		return controller.Result{}, nil
	})
	b.Run(dns, controller.Options{Name: "dns", Needs: []controller.Need{{Controller: "network", Metadata: "vpc"}}})
	c := b.Create("one", gcp)
	r := b.WaitReport(c.ID, "dns", func(v1.ControllerStatus) bool { return true })
	if r.Conditions[0].Reason != "WaitingForDependencies" || !strings.Contains(r.Conditions[0].Message, "network: Available with vpc") {
		t.Errorf("reported %+v", r)
	}
	b.WaitReport(c.ID, "network", func(r v1.ControllerStatus) bool { return r.Conditions[0].Reason == "InProgress" })
	if n := dns.count(c.ID); n != 0 {
		t.Errorf("called %d times before what it needs", n)
	}
	close(go_)
	b.WaitReady(c.ID)
	if vpc.Load() != "v-1" {
		t.Errorf("read %v", vpc.Load())
	}
}

func TestNodePools(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	j := newJournal(nil)
	b.Run(j, controller.Options{Name: "nodes", Platforms: []string{"gcp"}, Kinds: []controller.Kind{controller.KindNodePool}})
	c := b.Create("one", gcp)
	p := b.CreateNodePool(c.ID, "workers", `{}`)
	away := b.CreateNodePool(c.ID, "away", `{"platform":{"type":"aws"}}`)
	ctx, cancel := context.WithTimeout(t.Context(), clstest.Patience)
	defer cancel()
	_, err := b.Client(clstest.User).WaitForNodePool(ctx, p.ID, client.Condition{Type: v1.ConditionReady})
	must(t, err)
	if j.count(away.ID) != 0 || j.calls[0].Cluster.ID != c.ID || j.calls[0].NodePool.Name != "workers" {
		t.Errorf("called for %+v", j.calls)
	}
}

// TestAnEventIsKeptUntilItsReportIsStored loses reports, and the event comes again.
func TestAnEventIsKeptUntilItsReportIsStored(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, "RECONCILIATION_ENABLED=false")
	b.FailReports(7) // More than a call is repeated.
	b.Run(newJournal(nil), controller.Options{Name: "c", FirstRetry: 10 * time.Millisecond})
	b.WaitReady(b.Create("one", gcp).ID)
}

// TestEventsThatAreOldOrKnown are dropped, and a burst is one reconcile.
func TestEventsThatAreOldOrKnown(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, "RECONCILIATION_ENABLED=false")
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
	before := j.count(c.ID)
	if before > 3 {
		t.Errorf("6 events were %d reconciles", before)
	}
	events := b.Events()
	slices.Reverse(events)
	b.Inject(events...)
	b.Await("the old ones to be dropped", func() bool { return counted(t, registry, "cls_controller_events_total") > float64(before) })
	b.Inject(events...)
	b.Wake(c.ID) // Comes after them.
	b.Await("the wake-up", func() bool { return j.count(c.ID) > before })
	if n := j.count(c.ID); n != before+1 {
		t.Errorf("old events were reconciled: %d calls more", n-before-1)
	}
}

// counted adds up what a metric has counted, whatever its labels.
func counted(t *testing.T, from prometheus.Gatherer, name string) (sum float64) {
	t.Helper()
	families, err := from.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// TestStorm has every event delivered three times in any order while a tenth of all calls fail.
// It leaves no goroutine behind, so nothing runs beside it.
func TestStorm(t *testing.T) { //nolint:paralleltest // see above
	const clusters = 1000
	t.Run("start what all tests share", func(t *testing.T) { clstest.NewBackend(t) })
	before := goleak.IgnoreCurrent()
	t.Run("storm", func(t *testing.T) { storm(t, clusters) })
	// The library's own, one for each Receive: it waits for tickers that have been stopped.
	goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"))
}

func storm(t *testing.T, clusters int) {
	t.Helper()
	b := clstest.NewBackend(t)
	for i := range clusters {
		b.Create(fmt.Sprintf("c-%04d", i), gcp)
	}
	b.Await("their events", func() bool { return len(b.Events()) >= clusters })
	var thrice []v1.Event
	for range 3 {
		thrice = append(thrice, b.Events()[:clusters]...)
	}
	rand.Shuffle(len(thrice), func(i, k int) { thrice[i], thrice[k] = thrice[k], thrice[i] })
	b.FailShare(0.1)
	j := newJournal(nil)
	b.Run(j, controller.Options{Name: "c", FirstRetry: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	b.Inject(thrice...)
	user := b.Client(clstest.User)
	for ready := 10; ready <= clusters; ready += 10 {
		b.Await(fmt.Sprintf("%d clusters to be Ready", ready), func() bool {
			l, err := user.ListClusters(t.Context(), client.ListOptions{Status: v1.PhaseReady, Limit: 1})
			return err == nil && l.Total >= int64(ready)
		})
	}
	if n := j.overlap.Load(); n != 0 {
		t.Errorf("%d reconciles of a cluster began while another of it ran", n)
	}
}

// TestCodeThatDoesNotEnd is left behind when the controller is to stop.
func TestCodeThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	ctx, stop := context.WithCancel(t.Context())
	begun, hold := make(chan struct{}), make(chan struct{})
	defer close(hold)
	ended := make(chan error, 1)
	go func() {
		ended <- controller.Run(ctx, newJournal(func(context.Context, int, controller.Request) (controller.Result, error) {
			close(begun)
			<-hold
			return controller.Result{}, nil
		}), controller.Options{Name: "c", Client: b.Client(clstest.Controller), PubSub: b.PubSub(), DrainTimeout: time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	}()
	b.Create("one", gcp)
	<-begun
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "has not ended") {
		t.Errorf("ended with %v", err)
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	t.Parallel()
	err := controller.Run(t.Context(), newJournal(nil), controller.Options{
		Kinds: []controller.Kind{"volcano"}, DeliveryAttempts: 3, Needs: []controller.Need{{}}, PubSub: controller.PubSub{EmulatorHost: "127.0.0.1:1"},
	})
	for _, fault := range []string{"Name", "volcano", "DeliveryAttempts", "Needs"} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s is not named: %v", fault, err)
		}
	}
}

// TestWhoIsNoControllerIsTold ends at once.
func TestWhoIsNoControllerIsTold(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	err := controller.Run(t.Context(), newJournal(nil), controller.Options{Name: "c", Client: b.Client(clstest.User), PubSub: b.PubSub()})
	if !errors.Is(err, client.ErrForbidden) {
		t.Errorf("ended with %v", err)
	}
}
