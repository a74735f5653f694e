package demo

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/controller"
)

// Options configure the demo controllers. The zero value of each field but APIURL has a default.
type Options struct {
	// APIURL is the root of the service's API, such as http://127.0.0.1:8080.
	APIURL string
	// PubSub is where the events come from; its defaults are those of the SDK.
	PubSub controller.PubSub
	// Platforms get a controller each, named demo- and the platform; default gcp, aws and azure.
	// That of azure finalizes: a deletion waits until it has taken down what it has built.
	Platforms []string
	// Work is how long a controller works on a new generation, or on an end; default 1.5s.
	Work time.Duration
	// Ready is called once, when every controller has its subscriptions: a cluster that is
	// created from then on reaches them by its first event. Default nothing.
	Ready func()
	// Log receives what the controllers do; default none.
	Log *slog.Logger
}

// identity is who the controllers are for the API: the default of CONTROLLER_IDENTITIES.
const identity = "controller@system.local"

// finalizing is the platform on which a deletion waits.
const finalizing = "azure"

func (o *Options) setDefaults() {
	if len(o.Platforms) == 0 {
		o.Platforms = []string{"gcp", "aws", "azure"}
	}
	o.Work = cmp.Or(o.Work, 1500*time.Millisecond)
	if o.Ready == nil {
		o.Ready = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Run runs the controllers until ctx ends and what they have in hand is done, and returns nil then. It waits for a service
// or a topic that is not there yet, and fails when the service refuses them or Pub/Sub cannot be used at all.
func Run(ctx context.Context, o Options) error {
	o.setDefaults()
	api, err := client.New(o.APIURL, client.Options{Identity: identity, UserAgent: "cls-demo"})
	if err != nil {
		return fmt.Errorf("start the demo controllers: %w", err)
	}
	defer api.Close()
	var waiting atomic.Int64
	waiting.Store(int64(len(o.Platforms)))
	group, ctx := errgroup.WithContext(ctx)
	for _, platform := range o.Platforms {
		group.Go(func() error {
			return controller.Run(ctx, newBuilder(platform, o.Work), controller.Options{
				Name: name(platform), Platforms: []string{platform}, Kinds: []controller.Kind{controller.KindCluster, controller.KindNodePool},
				Client: api, PubSub: o.PubSub, Log: o.Log,
				Ready: func() {
					if waiting.Add(-1) == 0 {
						o.Ready()
					}
				},
			})
		})
	}
	return group.Wait()
}

func name(platform string) string { return "demo-" + platform }
