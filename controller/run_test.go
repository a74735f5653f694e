package controller_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// running is a controller that receives events, and that a test stops itself.
func running(t *testing.T, b *clstest.Backend, r controller.Reconciler, o controller.Options) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	o.PubSub, o.Log = b.PubSub(), slog.New(slog.DiscardHandler)
	if o.Client == nil {
		o.Client = b.Client(clstest.Controller)
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	o.Ready = func() { close(ready) }
	go func() { ended <- controller.Run(ctx, r, o) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("it ended with %v", err)
	}
	return func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(clstest.Patience):
			return errors.New("it does not end")
		}
	}
}

// TestCodeThatDoesNotEnd is left behind when the controller is to stop.
func TestCodeThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	begun, hold := make(chan struct{}), make(chan struct{})
	defer close(hold)
	stop := running(t, b, newJournal(func(context.Context, int, controller.Request) (controller.Result, error) {
		close(begun)
		<-hold
		return controller.Result{}, nil
	}), controller.Options{Name: "c", DrainTimeout: time.Millisecond})
	b.Create("one", gcp)
	<-begun
	if err := stop(); err == nil || !strings.Contains(err.Error(), "has not ended") {
		t.Errorf("ended with %v", err)
	}
}

// TestCodeIsToEndWithItsContext, which outlives the stop by the time to drain.
func TestCodeIsToEndWithItsContext(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	begun := make(chan struct{})
	stop := running(t, b, newJournal(func(ctx context.Context, _ int, _ controller.Request) (controller.Result, error) {
		close(begun)
		<-ctx.Done()
		return controller.Result{}, ctx.Err()
	}), controller.Options{Name: "c", DrainTimeout: 100 * time.Millisecond, ProgressAfter: time.Hour})
	b.Create("one", gcp)
	<-begun
	began := time.Now()
	must(t, stop())
	if took := time.Since(began); took < 100*time.Millisecond || took >= 10*time.Second { // 10 s is the default.
		t.Errorf("stopped after %v", took)
	}
}

// TestAReconcileInHandComesToItsEnd when the controller is to stop, and is reported.
func TestAReconcileInHandComesToItsEnd(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	begun := make(chan struct{})
	stop := running(t, b, newJournal(func(ctx context.Context, _ int, _ controller.Request) (controller.Result, error) {
		close(begun)
		select {
		case <-time.After(300 * time.Millisecond): // It is at work.
		case <-ctx.Done():
		}
		return controller.Result{}, ctx.Err()
	}), controller.Options{Name: "c", ProgressAfter: time.Hour})
	c := b.Create("one", gcp)
	<-begun
	must(t, stop())
	b.WaitReady(c.ID)
}

// TestConcurrency is how many resources are worked on at once: no more and no fewer.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	j := newJournal(func(ctx context.Context, _ int, _ controller.Request) (controller.Result, error) {
		<-ctx.Done()
		return controller.Result{}, ctx.Err()
	})
	registry := prometheus.NewPedanticRegistry()
	b.Run(j, controller.Options{Name: "c", Concurrency: 2, DrainTimeout: time.Millisecond, Metrics: registry, ProgressAfter: time.Hour})
	for i := range 3 {
		b.Create(fmt.Sprint("c-", i), gcp)
	}
	b.Await("two at work and one that waits", func() bool {
		n, _ := sample(t, registry, "cls_controller_queue_length", "c")
		return n == 1 && len(j.seen()) == 2
	})
}

func TestOptionsThatAreWrong(t *testing.T) {
	t.Parallel()
	err := controller.Run(t.Context(), newJournal(nil), controller.Options{
		Kinds: []controller.Kind{"volcano"}, DeliveryAttempts: 3, Needs: []controller.Need{{}}, PubSub: controller.PubSub{EmulatorHost: "127.0.0.1:1"},
		Concurrency: -1, FirstRetry: -1, LongestRetry: -1, ProgressAfter: -1, DrainTimeout: -1,
	})
	for _, fault := range []string{
		"Name", "volcano", "DeliveryAttempts", "Needs", "Concurrency", "FirstRetry", "LongestRetry", "ProgressAfter", "DrainTimeout",
	} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s is not named: %v", fault, err)
		}
	}
}

// A name that Pub/Sub has no subscription for, and an address that is none, are said before anything is tried.
func TestNamesAndAddressesThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, o := range []controller.Options{
		{Name: "my hello"},
		{Name: "1hello"},
		{Name: "google"},
		{Name: "h/ello"},
		{Name: "h" + strings.Repeat("o", 200)},
		{Name: "hello", PubSub: controller.PubSub{EmulatorHost: "http://127.0.0.1:8085"}},
		{Name: "hello", PubSub: controller.PubSub{EmulatorHost: "127.0.0.1"}},
	} {
		fault := cmp.Or(o.PubSub.EmulatorHost, o.Name)
		o.PubSub.EmulatorHost = cmp.Or(o.PubSub.EmulatorHost, "127.0.0.1:1")
		if err := controller.Run(t.Context(), newJournal(nil), o); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", fault)) {
			t.Errorf("%q: %v", fault, err)
		}
	}
}

// TestWhoIsNoControllerIsTold ends at once.
func TestWhoIsNoControllerIsTold(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	ctx, cancel := context.WithTimeout(t.Context(), clstest.Patience)
	defer cancel()
	err := controller.Run(ctx, newJournal(nil), controller.Options{Name: "c", Client: b.Client(clstest.User), PubSub: b.PubSub()})
	if !errors.Is(err, client.ErrForbidden) {
		t.Errorf("ended with %v", err)
	}
}

// away answers some calls as a service that is away: not at all, or by a status.
type away struct {
	calls  atomic.Int64
	status int
}

func (a *away) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case a.calls.Add(-1) < 0:
		return http.DefaultTransport.RoundTrip(r)
	case a.status == 0:
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// TestAServiceThatIsAwayIsWaitedFor at the start.
func TestAServiceThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	for name, status := range map[string]int{
		"silent": 0, "busy": http.StatusTooManyRequests, "broken": http.StatusInternalServerError, "leaving": http.StatusServiceUnavailable,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, transport := b.For(t), &away{status: status}
			transport.calls.Store(3)
			to, err := client.New(b.URL(), client.Options{
				Identity: clstest.Controller, HTTP: &http.Client{Transport: transport}, Retry: client.Retry{Attempts: 1},
			})
			must(t, err)
			b.Run(newJournal(nil), controller.Options{Name: name, Platforms: []string{name}, Client: to})
			b.WaitReady(b.Create(name, `{"platform":{"type":"`+name+`"}}`).ID)
		})
	}
}

// TestAPubSubThatGivesNothing is named in the log, with the setting that chose it.
func TestAPubSubThatGivesNothing(t *testing.T) {
	t.Parallel()
	b, log := clstest.NewBackend(t, alone), &records{}
	from := b.PubSub()
	from.ClusterTopic = "nobodys-topic"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- controller.Run(ctx, newJournal(nil), controller.Options{
			Name: "c", PubSub: from, Client: b.Client(clstest.Controller), Log: slog.New(slog.NewTextHandler(log, nil)),
		})
	}()
	b.Await("a warning", func() bool {
		return log.count("the emulator at "+from.EmulatorHost+" (PUBSUB_EMULATOR_HOST)") > 0 && log.count("nobodys-topic") > 0
	})
	cancel()
	must(t, <-ended)
}

// TestMetrics looks at what is counted and what waits. They are gone with the controller, so that another one may run.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	registry := prometheus.NewPedanticRegistry()
	for run := range 2 {
		hold, began := make(chan struct{}), time.Now()
		j := newJournal(func(ctx context.Context, _ int, _ controller.Request) (controller.Result, error) {
			select {
			case <-hold:
				return controller.Result{}, controller.Terminal("No", nil)
			case <-ctx.Done():
				return controller.Result{}, ctx.Err()
			}
		})
		stop := running(t, b, j, controller.Options{Name: "c", Concurrency: 1, Metrics: registry, ProgressAfter: time.Hour})
		for i := range 3 {
			b.Create(fmt.Sprintf("c-%d-%d", run, i), gcp)
		}
		waiting := func() float64 { n, _ := sample(t, registry, "cls_controller_queue_length", "c"); return n }
		called := func() (n, seconds float64) {
			return sample(t, registry, "cls_controller_call_duration_seconds", "reconcile", "c", "error")
		}
		b.Await("one at work and two that wait", func() bool { return waiting() == 2 })
		close(hold)
		b.Await("three calls", func() bool { n, _ := called(); return n == 3 })
		if _, took := called(); took <= 0 || took > time.Since(began).Seconds() { // They came one after the other.
			t.Errorf("calls of %v s within %v", took, time.Since(began))
		}
		b.Await("an empty queue", func() bool { return waiting() == 0 })
		must(t, stop())
		left, err := registry.Gather()
		if must(t, err); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// sample is a metric with these values of labels, in the order of the labels' names: a gauge, or how many calls took how many
// seconds in all.
func sample(t *testing.T, from prometheus.Gatherer, name string, labels ...string) (n, seconds float64) {
	t.Helper()
	families, err := from.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetValue())
			}
			if slices.Equal(has, labels) {
				return m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()), m.GetHistogram().GetSampleSum()
			}
		}
	}
	return 0, 0
}

// beats lets a controller look at its own entry when it is told to, and counts its registrations.
type beats struct {
	turn  chan struct{}
	wrote atomic.Int64
}

func (b *beats) RoundTrip(r *http.Request) (*http.Response, error) {
	entry := strings.HasSuffix(r.URL.Path, "/controllers/c")
	if entry && r.Method == http.MethodGet {
		select {
		case <-b.turn:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if entry && r.Method == http.MethodPut {
		b.wrote.Add(1)
	}
	return answer, err
}

// next lets it look once more.
func (b *beats) next(t *testing.T) {
	t.Helper()
	select {
	case b.turn <- struct{}{}:
	case <-time.After(clstest.Patience):
		t.Fatal("it does not look at its entry")
	}
}

// TestAControllerIsHeardOf though it has no cluster, until it is retired: that stands, and it is told that it works in vain.
func TestAControllerIsHeardOf(t *testing.T) {
	t.Parallel()
	b, log := clstest.NewBackend(t, alone), &records{}
	registry, beats := prometheus.NewPedanticRegistry(), &beats{turn: make(chan struct{})}
	to, err := client.New(b.URL(), client.Options{Identity: clstest.Controller, HTTP: &http.Client{Transport: beats}})
	must(t, err)
	b.Run(newJournal(nil), controller.WithHeartbeat(controller.Options{
		Name: "c", Client: to, Metrics: registry, Log: slog.New(slog.NewTextHandler(log, nil)),
	}, time.Millisecond))
	admin := b.Client(clstest.Admin)
	for range 2 {
		beats.next(t)
	}
	b.Await("a registration and two heartbeats", func() bool { return beats.wrote.Load() == 3 })
	entry, err := admin.GetController(t.Context(), "c")
	if must(t, err); entry.LastHeartbeat == nil || entry.RetiredAt != nil {
		t.Errorf("known as %+v", entry)
	}
	must(t, admin.RetireController(t.Context(), "c"))
	for range 3 { // Two have come to their end then.
		beats.next(t)
	}
	for _, name := range []string{"one", "two"} {
		b.Create(name, gcp)
	}
	b.Await("reports in vain", func() bool { return outcomes(t, registry)["retired"] == 2 })
	if entry, err = admin.GetController(t.Context(), "c"); err != nil || entry.RetiredAt == nil || beats.wrote.Load() != 3 {
		t.Errorf("known as %+v, %v, after %d registrations", entry, err, beats.wrote.Load())
	}
	if n := log.count("is retired"); n != 1 {
		t.Errorf("warned %d times", n)
	}
}

// lost has a controller look for its entry in vain, and counts its registrations.
type lost struct{ wrote atomic.Int64 }

func (l *lost) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/controllers/c") {
		if r.Method == http.MethodPut {
			l.wrote.Add(1)
		} else {
			r = r.Clone(r.Context())
			r.URL = r.URL.JoinPath("../nobody")
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestAControllerWhoseEntryIsLost registers again: the service's database may have been restored.
func TestAControllerWhoseEntryIsLost(t *testing.T) {
	t.Parallel()
	b, entry := clstest.NewBackend(t, alone), &lost{}
	to, err := client.New(b.URL(), client.Options{Identity: clstest.Controller, HTTP: &http.Client{Transport: entry}})
	must(t, err)
	b.Run(newJournal(nil), controller.WithHeartbeat(controller.Options{Name: "c", Client: to}, time.Millisecond))
	b.Await("a registration and another", func() bool { return entry.wrote.Load() >= 2 })
}

// records is what is logged.
type records struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *records) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(text)
}

func (r *records) count(words string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), words)
}
