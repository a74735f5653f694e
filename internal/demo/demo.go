package demo

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// Options configure the demo controllers. The zero value of each field but APIURL and
// ProjectID has a default.
type Options struct {
	// APIURL is the root of the service's API, such as http://127.0.0.1:8080.
	APIURL string
	// ProjectID is the Google Cloud project of the topic.
	ProjectID string
	// PubSubEndpoint is the host and port of an emulator; default is Google's service.
	PubSubEndpoint string
	// ClusterTopic and NodePoolTopic are the topics of events; default cluster-events and nodepool-events.
	ClusterTopic  string
	NodePoolTopic string
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
	o.ClusterTopic = cmp.Or(o.ClusterTopic, "cluster-events")
	o.NodePoolTopic = cmp.Or(o.NodePoolTopic, "nodepool-events")
	if len(o.Platforms) == 0 {
		o.Platforms = []string{"gcp", "aws", "azure"}
	}
	if o.Work == 0 {
		o.Work = 1500 * time.Millisecond
	}
	if o.Ready == nil {
		o.Ready = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Run runs the controllers until ctx ends and every event in hand has been let go, and
// returns nil then. It waits for a topic that is not there yet and outlives outages of
// the API and of Pub/Sub; it fails at the start only, when Pub/Sub cannot be used at all.
func Run(ctx context.Context, o Options) error {
	o.setDefaults()
	events, err := pubsub.Open(ctx, pubsub.Options{
		ProjectID: o.ProjectID, EmulatorHost: o.PubSubEndpoint, Log: o.Log,
		Topics: map[models.Kind]string{models.KindCluster: o.ClusterTopic, models.KindNodePool: o.NodePoolTopic},
	})
	if err != nil {
		return fmt.Errorf("open Pub/Sub for the demo controllers: %w", err)
	}
	defer func() { _ = events.Close() }() // nothing of ours is on its way any more

	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	defer transport.CloseIdleConnections()
	api := apiClient{
		http: &http.Client{Transport: transport, Timeout: callTimeout},
		root: strings.TrimSuffix(o.APIURL, "/") + "/api/v1",
	}
	var all, subscribing sync.WaitGroup
	subscribing.Add(len(o.Platforms) * len(models.Kinds()))
	for _, platform := range o.Platforms {
		for _, kind := range models.Kinds() {
			c := controller{
				name: "demo-" + platform, kind: kind, platform: platform, finalizes: platform == finalizing,
				work: o.Work, api: api, log: o.Log, subscribed: sync.OnceFunc(subscribing.Done),
			}
			all.Go(func() { c.run(ctx, events) })
		}
	}
	all.Go(func() {
		if subscribing.Wait(); ctx.Err() == nil {
			o.Ready()
		}
	})
	all.Wait()
	return nil
}
