package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// Options say who a controller is and what it works on. The zero value of each field but Name has a default.
type Options struct {
	// Name is that of the controller's reports, its entry in the registry and its subscriptions. Processes of one name
	// share the work; see what the package says of several. It is an id of Pub/Sub's: a letter, then letters, digits and
	// . _ ~ + - (three characters at least for Google's service), not beginning with goog; case counts.
	Name string
	// Platforms are those that it works on, whatever the case; default all.
	Platforms []string
	// Kinds are the kinds of resources that it works on; default clusters.
	Kinds []Kind
	// Required has no resource Ready before this controller has reported on it.
	Required bool
	// Needs are what other controllers must have reported before this one begins.
	Needs []Need

	// Concurrency is how many resources are worked on at once; default 16.
	Concurrency int
	// FirstRetry and LongestRetry bound the pause after a failure that passes, which doubles with each; defaults 1s
	// and 1m.
	FirstRetry, LongestRetry time.Duration
	// ProgressAfter is how long a reconcile of a new generation may take before it is reported to be under way;
	// default 1s.
	ProgressAfter time.Duration
	// DrainTimeout is how long reconciles in hand may go on when the controller is to stop; default 10s.
	DrainTimeout time.Duration
	// DeliveryAttempts is how often an event that could not be handled is delivered before it goes to the dead letter
	// topic, NAME-dead-letter: 5 to 100; default 20. It counts when the subscription is created, and so do Platforms; one that
	// exists is left as it is, and one that may not be created is taken to exist.
	DeliveryAttempts int

	// Client calls the service. Default is one of the environment: CLS_URL (http://127.0.0.1:8080) and CLS_IDENTITY
	// (controller@system.local). One with an HTTP client of its own needs a timeout there, or a service that does not
	// answer holds up all work.
	Client *client.Client
	// PubSub is where events come from.
	PubSub PubSub
	// Log receives what happens, and the failures of reconciles; default [slog.Default].
	Log *slog.Logger
	// Metrics receives the controller's metrics while it runs, which carry its name in the label controller; default
	// none. An error to register them fails the start.
	Metrics prometheus.Registerer
	// Ready is called once, when events are received: what changes from then on is heard of. Default nothing.
	Ready func()

	heartbeat time.Duration // how often it registers again; default 1m
}

// PubSub is where events come from. The zero value of each field has a default.
type PubSub struct {
	// ProjectID is the Google Cloud project of topics and subscriptions; default GOOGLE_CLOUD_PROJECT, or cls-local
	// with an emulator.
	ProjectID string
	// EmulatorHost is the host and port of an emulator; default PUBSUB_EMULATOR_HOST, and without that Google's
	// service, with Application Default Credentials.
	EmulatorHost string
	// ClusterTopic and NodePoolTopic are the topics of events; defaults cluster-events and nodepool-events.
	ClusterTopic, NodePoolTopic string
}

// Need is something that another controller must have reported of a resource, at its current generation.
type Need struct {
	// Controller is who.
	Controller string
	// Condition is the type of a condition of its own that must be True; default Available.
	Condition string
	// Metadata is a key that must be in its metadata; "" for none.
	Metadata string
}

// Run runs a controller until ctx ends, lets the reconciles in hand come to their end, and returns nil then. It registers
// the controller, creates its subscriptions where there are none, and waits for a service or a topic that is away. It
// fails when the options are wrong, when the service refuses the controller, or when Pub/Sub cannot be used at all.
func Run(ctx context.Context, r Reconciler, o Options) error {
	if err := o.setDefaults(); err != nil {
		return err
	}
	events, err := pubsub.Open(ctx, pubsub.Options{
		ProjectID: o.PubSub.ProjectID, EmulatorHost: o.PubSub.EmulatorHost, Log: o.Log,
		Topics: map[models.Kind]string{models.KindCluster: o.PubSub.ClusterTopic, models.KindNodePool: o.PubSub.NodePoolTopic},
	})
	if err != nil {
		return fmt.Errorf("open Pub/Sub: %w", err)
	}
	defer func() { _ = events.Close() }() // Nothing of ours is on its way any more.
	w, err := newWorker(r, o)
	if err != nil {
		return err
	}
	defer w.metrics.unregister()
	if err := w.register(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	return w.run(ctx, events)
}

// namePattern is that of the ids of Pub/Sub's subscriptions, with room for what is added to it.
var namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._~+-]{0,199}$`)

func (o *Options) setDefaults() error {
	var faults []error
	switch {
	case o.Name == "":
		faults = append(faults, errors.New("Name is required"))
	case !namePattern.MatchString(o.Name) || strings.HasPrefix(o.Name, "goog"):
		const rule = "a letter, then up to 199 letters, digits and . _ ~ + -, and not begin with goog"
		faults = append(faults, fmt.Errorf("Name %q must be %s", o.Name, rule))
	}
	if len(o.Kinds) == 0 {
		o.Kinds = []Kind{KindCluster}
	}
	for _, k := range o.Kinds {
		if k != KindCluster && k != KindNodePool {
			faults = append(faults, fmt.Errorf("there is no kind %q for Kinds", k))
		}
	}
	for i, n := range o.Needs {
		if n.Controller == "" || n.Controller == o.Name {
			faults = append(faults, fmt.Errorf("%q is no other controller for Needs", n.Controller))
		}
		o.Needs = slices.Clone(o.Needs)
		o.Needs[i].Condition = cmp.Or(n.Condition, v1.ConditionAvailable)
	}
	o.Concurrency = cmp.Or(o.Concurrency, 16)
	o.FirstRetry = cmp.Or(o.FirstRetry, time.Second)
	o.LongestRetry = cmp.Or(o.LongestRetry, time.Minute)
	o.ProgressAfter = cmp.Or(o.ProgressAfter, time.Second)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 10*time.Second)
	o.DeliveryAttempts = cmp.Or(o.DeliveryAttempts, 20)
	o.heartbeat = cmp.Or(o.heartbeat, time.Minute)
	if o.Concurrency < 0 {
		faults = append(faults, fmt.Errorf("%d is no Concurrency", o.Concurrency))
	}
	for name, d := range map[string]time.Duration{
		"FirstRetry": o.FirstRetry, "LongestRetry": o.LongestRetry, "ProgressAfter": o.ProgressAfter, "DrainTimeout": o.DrainTimeout,
	} {
		if d < 0 {
			faults = append(faults, fmt.Errorf("%s: %v is less than nothing", name, d))
		}
	}
	if o.DeliveryAttempts < 5 || o.DeliveryAttempts > 100 {
		faults = append(faults, fmt.Errorf("DeliveryAttempts: %d is not between 5 and 100", o.DeliveryAttempts))
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Log = o.Log.With("controller", o.Name)
	if o.Ready == nil {
		o.Ready = func() {}
	}
	faults = append(faults, o.PubSub.setDefaults(), o.setClient())
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("the options of controller %q:\n%w", o.Name, err)
	}
	return nil
}

func (p *PubSub) setDefaults() error {
	p.EmulatorHost = cmp.Or(p.EmulatorHost, os.Getenv("PUBSUB_EMULATOR_HOST"))
	p.ProjectID = cmp.Or(p.ProjectID, os.Getenv("GOOGLE_CLOUD_PROJECT"))
	if p.ProjectID == "" && p.EmulatorHost != "" {
		p.ProjectID = pubsub.EmulatorProject
	}
	p.ClusterTopic = cmp.Or(p.ClusterTopic, pubsub.ClusterTopic)
	p.NodePoolTopic = cmp.Or(p.NodePoolTopic, pubsub.NodePoolTopic)
	if _, port, err := net.SplitHostPort(p.EmulatorHost); p.EmulatorHost != "" && (err != nil || port == "") {
		return fmt.Errorf("PubSub.EmulatorHost (PUBSUB_EMULATOR_HOST) %q must be a host and a port, such as 127.0.0.1:8085", p.EmulatorHost)
	}
	if p.ProjectID == "" {
		return errors.New("PubSub.ProjectID: set it or GOOGLE_CLOUD_PROJECT, or PUBSUB_EMULATOR_HOST (of make dev: 127.0.0.1:8085)")
	}
	return nil
}

// where says which Pub/Sub that is, by the settings that decide it.
func (p *PubSub) where() string {
	if p.EmulatorHost != "" {
		return "the emulator at " + p.EmulatorHost + " (PUBSUB_EMULATOR_HOST)"
	}
	return "Google's project " + p.ProjectID + " (GOOGLE_CLOUD_PROJECT)"
}

func (o *Options) setClient() error {
	if o.Client != nil {
		return nil
	}
	var err error
	o.Client, err = client.New(cmp.Or(os.Getenv("CLS_URL"), "http://127.0.0.1:8080"), client.Options{
		Identity: cmp.Or(os.Getenv("CLS_IDENTITY"), "controller@system.local"), UserAgent: "cls-controller/" + o.Name,
	})
	if err != nil {
		return fmt.Errorf("CLS_URL: %w", err)
	}
	return nil
}

// register enters the controller into the registry, as soon as the service can be reached. A refusal is an error.
func (w *worker) register(ctx context.Context) error {
	pause := backoff{first: firstPause, longest: longestPause}
	for said := false; ; said = true {
		_, err := w.options.Client.RegisterController(ctx, w.options.Name, w.registration())
		e, refused := errors.AsType[*client.Error](err)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil //nolint:nilerr // it is to stop, which is no failure
		case refused && e.Status < 500 && e.Status != http.StatusTooManyRequests:
			return fmt.Errorf("register controller %s: %w", w.options.Name, err)
		case !said:
			w.log.WarnContext(ctx, "waiting for the service", "address", w.options.Client.Address(), "error", err)
		}
		pause.wait(ctx)
	}
}

func (w *worker) registration() v1.RegisterController {
	body := v1.RegisterController{Platforms: w.options.Platforms, Finalizes: w.finalizer != nil, Required: w.options.Required}
	for _, k := range w.options.Kinds {
		body.Kinds = append(body.Kinds, string(k))
	}
	return body
}

// beat registers again now and then until ctx ends: it is heard of though it has nothing to report on, and known again
// after a restore of the service's database. Who was retired stays so.
func (w *worker) beat(ctx context.Context) {
	tick := time.NewTicker(w.options.heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		entry, err := w.options.Client.GetController(ctx, w.options.Name)
		switch {
		case err == nil && entry.RetiredAt != nil:
			w.sayRetired(ctx)
		case err == nil || errors.Is(err, client.ErrNotFound):
			_, err = w.options.Client.RegisterController(ctx, w.options.Name, w.registration())
		}
		if err != nil && ctx.Err() == nil {
			w.log.DebugContext(ctx, "the controller could not register again", "error", err)
		}
	}
}

// run receives and works until ctx ends and what is in hand is done. Author's code that does not end with its context is
// left behind, with an error.
func (w *worker) run(ctx context.Context, events *pubsub.Service) error {
	// Reconciles outlive ctx by the time to drain.
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var workers, receivers sync.WaitGroup
	for range w.options.Concurrency {
		workers.Go(func() {
			for {
				j, ok := w.queue.take(ctx)
				if !ok {
					return
				}
				w.process(working, j)
				w.queue.done(j.key)
			}
		})
	}
	receivers.Go(func() { w.beat(ctx) })
	ready := sync.WaitGroup{}
	for _, k := range w.options.Kinds {
		ready.Add(1)
		receivers.Go(func() { w.receive(ctx, events, k, sync.OnceFunc(ready.Done)) })
	}
	receivers.Go(func() {
		if ready.Wait(); ctx.Err() == nil {
			w.options.Ready()
		}
	})
	<-ctx.Done()
	w.queue.close()
	drained := make(chan struct{})
	go func() {
		workers.Wait()
		receivers.Wait()
		close(drained)
	}()
	for _, patience := range []time.Duration{w.options.DrainTimeout, giveUp} {
		select {
		case <-drained:
			return nil
		case <-time.After(patience):
			cancel()
		}
	}
	return fmt.Errorf("controller %s: a reconcile has not ended %v after its context", w.options.Name, giveUp)
}

// giveUp is how long author's code may go on after its context has ended.
const giveUp = time.Second

// receive takes events of a kind until ctx ends. Whatever goes wrong before is tried again: the topic may be yet to be
// created, and an emulator forgets subscriptions when it restarts.
func (w *worker) receive(ctx context.Context, events *pubsub.Service, kind Kind, subscribed func()) {
	defer subscribed()
	sub := pubsub.Subscription{
		Name: subscription(w.options.Name, kind), Kind: models.Kind(kind), Platforms: w.options.Platforms,
		Attempts: int32(w.options.DeliveryAttempts), //nolint:gosec // it has been bounded
	}
	pause := backoff{first: firstPause, longest: longestPause}
	for ctx.Err() == nil {
		err := events.EnsureSubscription(ctx, sub)
		if err == nil {
			w.log.InfoContext(ctx, "receiving events", "subscription", sub.Name)
			subscribed()
			began := time.Now()
			err = events.Receive(ctx, sub.Name, func(d pubsub.Delivery) { w.accept(kind, d) })
			if time.Since(began) > longestPause { // It was no subscription that is denied or missing.
				pause.reset()
			}
		}
		if err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "no events are received; trying again", "from", w.options.PubSub.where(), "subscription", sub.Name, "error", err)
		}
		pause.wait(ctx)
	}
}

// subscription is the name of a controller's one for a kind.
func subscription(name string, kind Kind) string {
	if kind == KindNodePool {
		return name + "-nodepools"
	}
	return name
}

// accept queues an event that may concern the controller.
func (w *worker) accept(kind Kind, d pubsub.Delivery) {
	id := d.Event.ClusterID
	if kind == KindNodePool {
		id = d.Event.NodePoolID
	}
	// A subscription that somebody made without a filter delivers the others' events too. A deletion may wait for this
	// controller though the resource has left its platform: what it has reported says so.
	elsewhere := d.Platform != "" && !w.mine(d.Platform) || d.Platform == "" && kind == KindCluster && len(w.options.Platforms) > 0
	if elsewhere && (w.finalizer == nil || !pubsub.IsDeletion(d.Event)) {
		w.metrics.event(outcomeForeign)
		d.Ack()
		return
	}
	w.queue.add(key{kind, id}, d.Event.ClusterID, d.Event, d)
}

func (w *worker) mine(platform string) bool {
	return len(w.options.Platforms) == 0 || slices.ContainsFunc(w.options.Platforms, func(p string) bool {
		return strings.EqualFold(p, platform)
	})
}

// The pauses between tries to reach the service and Pub/Sub.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// backoff is a pause that doubles.
type backoff struct{ first, longest, last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, b.first), b.longest)
	return b.last
}

func (b *backoff) reset() { b.last = 0 }

func (b *backoff) wait(ctx context.Context) {
	timer := time.NewTimer(b.next())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
