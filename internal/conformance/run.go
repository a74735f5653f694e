package conformance

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// Options say which backend is judged, and who judges it. Only URL must be given.
type Options struct {
	// URL is the address of the backend.
	URL string
	// User, Controller and Admin are the addresses to call as. User is one that is neither of the others, and default
	// conformance@example.com; Controller is one that may report under any name, and default controller@system.local.
	// Without an Admin the checks that need one are skipped.
	User, Controller, Admin string
	// Other is a second user, by default other. and User.
	Other string
	// Tokens are bearer tokens (RFC 6750) for a gateway to judge, by the address that they speak for. That of "" is sent
	// for each address that has none, and by calls that name nobody. Default none.
	Tokens map[string]string
	// PubSub is where the backend publishes; its zero value skips the checks of events.
	PubSub PubSub
	// Only are patterns, as of [path.Match], of the names of the checks to run, such as status/*; default all.
	Only []string
	// Parallel is how many checks run at the same time; default 8.
	Parallel int
	// RequestTimeout is how long a request may take; default for ever.
	RequestTimeout time.Duration

	// prefix begins the names of controllers; default conformance. Registrations of two runs at a time would be one if
	// they had the same.
	prefix string
	// through changes how messages come; default not at all.
	through func(observer) observer
	// patience is how long an event may take; default 20 s.
	patience time.Duration
}

// PubSub is a project of Google Cloud Pub/Sub. A check makes subscriptions of its own there, and removes them.
type PubSub struct {
	// ProjectID is the project; "" for none.
	ProjectID string
	// EmulatorHost is the host and port of an emulator; default is Google's service with the credentials of the
	// environment.
	EmulatorHost string
	// ClusterTopic and NodePoolTopic are by default cluster-events and nodepool-events.
	ClusterTopic, NodePoolTopic string
}

// Run runs the checks against a backend. An error means that they could not be run; what a check finds is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	w, err := newWorld(o)
	if err != nil {
		return Report{}, err
	}
	defer w.transport.CloseIdleConnections()
	checks, err := w.selected()
	if err != nil {
		return Report{}, err
	}
	if err := w.alone(ctx); err != nil {
		return Report{}, err
	}
	began := time.Now()
	stop, err := w.listen(ctx, checks)
	if err != nil {
		return Report{}, err
	}
	defer stop()
	report := Report{URL: o.URL, Results: make([]Result, len(checks))}
	var group errgroup.Group
	group.SetLimit(cmp.Or(o.Parallel, 8))
	for i, c := range checks {
		group.Go(func() error {
			report.Results[i] = w.judge(ctx, c)
			return nil
		})
	}
	_ = group.Wait() // None fails.
	report.Took = time.Since(began)
	return report, ctx.Err()
}

// world is what the checks of one run share.
type world struct {
	Options

	transport *http.Transport
	// id is that of the run.
	id string
	// platform is that of its clusters, and of nobody else's.
	platform string
	named    atomic.Int64
	// journal is nil without Pub/Sub.
	journal *journal
}

func newWorld(o Options) (*world, error) {
	if _, err := client.New(o.URL, client.Options{}); err != nil {
		return nil, err
	}
	o.User = cmp.Or(o.User, "conformance@example.com")
	o.Controller = cmp.Or(o.Controller, "controller@system.local")
	o.Other = cmp.Or(o.Other, "other."+o.User)
	o.prefix = cmp.Or(o.prefix, "conformance")
	o.patience = cmp.Or(o.patience, 20*time.Second)
	transport, _ := http.DefaultTransport.(*http.Transport) // It is one, by its documentation.
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = 32
	id := newID()
	return &world{Options: o, transport: transport, id: id, platform: "conformance-" + id}, nil
}

// newID tells a run from all others.
func newID() string { return strings.ToLower(rand.Text()[:10]) }

// selected returns the checks that were asked for.
func (w *world) selected() ([]Check, error) {
	all := Checks()
	if len(w.Only) == 0 {
		return all, nil
	}
	var chosen []Check
	unused := slices.Clone(w.Only)
	for _, c := range all {
		wanted := false
		for _, pattern := range w.Only {
			match, err := path.Match(pattern, c.Name)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", pattern, err)
			}
			if match {
				wanted = true
				unused = slices.DeleteFunc(unused, func(p string) bool { return p == pattern })
			}
		}
		if wanted {
			chosen = append(chosen, c)
		}
	}
	if len(unused) > 0 {
		return nil, fmt.Errorf("no check is called %q", unused[0])
	}
	return chosen, nil
}

// alone fails where a controller is waited for on clusters of every platform, those of the checks too. A backend that
// does not say is judged all the same.
func (w *world) alone(ctx context.Context) error {
	list, err := (&probe{world: w}).caller(w.Controller).ListControllers(ctx)
	if _, refused := errors.AsType[*client.Error](err); err != nil && !refused {
		return fmt.Errorf("the backend cannot be reached: %w", err)
	}
	everywhere := slices.IndexFunc(list.Controllers, func(c v1.Controller) bool {
		return (c.Required || c.Finalizes) && len(c.Platforms) == 0 && c.RetiredAt == nil
	})
	if everywhere >= 0 {
		return fmt.Errorf("controller %s is waited for on every platform, so that no check of a status could tell anything",
			list.Controllers[everywhere].Name)
	}
	return nil
}

// listen has the journal written if a check reads it. What it returns ends that.
func (w *world) listen(ctx context.Context, checks []Check) (stop func(), err error) {
	if w.PubSub.ProjectID == "" || !slices.ContainsFunc(checks, Check.readsEvents) {
		return func() {}, nil
	}
	observe := subscription(w.PubSub, w.id, w.platform)
	if w.through != nil {
		observe = w.through(observe)
	}
	w.journal = newJournal()
	return w.journal.write(ctx, observe)
}

// subscription returns how messages about resources of a platform come from Pub/Sub.
func subscription(at PubSub, id, platform string) observer {
	return func(ctx context.Context, kind models.Kind, ready func(), take func(pubsub.Message)) error {
		s, err := pubsub.Open(ctx, pubsub.Options{ProjectID: at.ProjectID, EmulatorHost: at.EmulatorHost, Topics: map[models.Kind]string{
			models.KindCluster:  cmp.Or(at.ClusterTopic, "cluster-events"),
			models.KindNodePool: cmp.Or(at.NodePoolTopic, "nodepool-events"),
		}})
		if err != nil {
			return err
		}
		defer s.Close()
		return s.Observe(ctx, pubsub.Subscription{
			Name: "conformance-" + string(kind) + "-" + id, Kind: kind, Platforms: []string{platform},
		}, ready, take)
	}
}
