package controller_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
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

// seen are the calls so far.
func (j *journal) seen() []controller.Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.calls)
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

// subscriber asks a backend's Pub/Sub itself.
func subscriber(t *testing.T, b *clstest.Backend) pb.SubscriberClient {
	t.Helper()
	conn, err := grpc.NewClient(b.PubSub().EmulatorHost, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return pb.NewSubscriberClient(conn)
}

// outcomes are what has become of events, as a controller counts it.
func outcomes(t *testing.T, from prometheus.Gatherer) map[string]int {
	t.Helper()
	families, err := from.Gather()
	must(t, err)
	counts := map[string]int{}
	for _, f := range families {
		if f.GetName() != "cls_controller_events_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" {
					counts[l.GetValue()] = int(m.GetCounter().GetValue())
				}
			}
		}
	}
	return counts
}

func total(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// anew is an event as another one, of something else.
func anew(e v1.Event, kind, by string) v1.Event {
	e.ID, e.Type, e.Metadata.TriggeredBy = uuid.NewString(), kind, by
	return e
}

// TestTheSubscription asks Pub/Sub itself what was created.
func TestTheSubscription(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	b.Run(newJournal(nil), controller.Options{
		Name: "both", Platforms: []string{"GCP", "aws"}, Kinds: []controller.Kind{controller.KindCluster, controller.KindNodePool}, DeliveryAttempts: 7,
	})
	subscriptions := subscriber(t, b)
	for name, filter := range map[string]string{
		"both":           `attributes.event_type = "cluster.deleted" OR attributes.platform = "gcp" OR attributes.platform = "aws"`,
		"both-nodepools": `attributes.event_type = "nodepool.deleted" OR attributes.platform = "" OR attributes.platform = "gcp" OR attributes.platform = "aws"`,
	} {
		sub, err := subscriptions.GetSubscription(t.Context(), &pb.GetSubscriptionRequest{
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
	j, registry := newJournal(nil), prometheus.NewPedanticRegistry()
	b.Run(j, controller.Options{Name: "nodes", Platforms: []string{"gcp"}, Kinds: []controller.Kind{controller.KindNodePool}, Metrics: registry})
	elsewhere := b.Create("elsewhere", `{"platform":{"type":"aws"}}`)
	unsaid := b.CreateNodePool(elsewhere.ID, "unsaid", `{}`)
	c := b.SetSpec(b.Create("one", gcp).ID, `{"platform":{"type":"gcp"},"n":2}`) // Its generation is not that of its pools.
	p := b.CreateNodePool(c.ID, "workers", `{}`)
	away := b.CreateNodePool(c.ID, "away", `{"platform":{"type":"aws"}}`)
	ctx, cancel := context.WithTimeout(t.Context(), clstest.Patience)
	defer cancel()
	_, err := b.Client(clstest.User).WaitForNodePool(ctx, p.ID, client.Condition{Type: v1.ConditionReady})
	must(t, err)
	b.Await("the pool of the other cluster", func() bool { return outcomes(t, registry)["foreign"] == 1 })
	if j.count(away.ID) != 0 || j.count(unsaid.ID) != 0 || j.calls[0].Cluster.ID != c.ID || j.calls[0].NodePool.Name != "workers" {
		t.Errorf("called for %+v", j.calls)
	}
}
