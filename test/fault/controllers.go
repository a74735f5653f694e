package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/test/fault/history"
	"github.com/cls-backend/cls-backend/test/pubsub"
)

// robot is whom controllers call as.
const robot = "controller@system.local"

// platforms are those that controllers work on. What is of another is nobody's.
func platforms() []string { return []string{"gcp", "aws"} }

// expected are the controllers: all are required, one of them for a platform alone, and one finalizes.
func expected() []history.Controller {
	return []history.Controller{
		{Name: "network", Platforms: platforms()},
		{Name: "dns", Platforms: []string{"gcp"}},
		{Name: "storage", Platforms: platforms(), Finalizes: true},
	}
}

// controller works on what events tell it of, with the public client, and at once: it is the service that is to be
// slow. It handles many resources at a time.
type controller struct {
	history.Controller

	client *client.Client

	mu   sync.Mutex
	done map[string]int64 // the generation that was reported on, by resource
	woke map[string]int   // wake-ups since then
}

// lookEvery is how many wake-ups of what it has reported on already a controller lets pass before it looks again.
const lookEvery = 3

// startControllers registers the controllers and lets them work to the end of the world.
func (w *world) startControllers(ctx context.Context) error {
	w.record.h.Expected = expected()
	for _, of := range expected() {
		c := &controller{Controller: of, client: w.client(of.Name, robot), done: map[string]int64{}, woke: map[string]int{}}
		_, err := c.client.RegisterController(ctx, of.Name, v1.RegisterController{
			Platforms: of.Platforms, Kinds: of.Kinds, Finalizes: of.Finalizes, Required: true,
		})
		if err != nil {
			return err
		}
		end, err := pubsub.Subscribe(ctx, w.pubsub.conn, of.Name, false, c.handle)
		if err != nil {
			return err
		}
		w.atEnd(end)
	}
	return nil
}

// handle does what an event asks for. An error has it delivered again.
func (c *controller) handle(ctx context.Context, m *pb.PubsubMessage) error {
	var e v1.Event
	if err := json.Unmarshal(m.GetData(), &e); err != nil {
		return err
	}
	kind, id := "cluster", e.ClusterID
	if e.NodePoolID != "" {
		kind, id = "nodepool", e.NodePoolID
	}
	if platform := m.GetAttributes()["platform"]; !slices.Contains(c.Platforms, platform) || c.passes(e, id) {
		return nil
	}
	generation, deleting, err := c.read(ctx, kind, id)
	if errors.Is(err, client.ErrNotFound) {
		c.forget(id)
		return nil
	}
	if err != nil || deleting && !c.Finalizes {
		return err
	}
	if err := c.report(ctx, kind, id, generation, deleting); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[id], c.woke[id] = max(c.done[id], generation), 0
	return nil
}

// passes reports whether an event says nothing that was not reported on.
func (c *controller) passes(e v1.Event, id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Generation > c.done[id] {
		return false
	}
	if strings.HasSuffix(e.Type, ".reconcile") || strings.HasSuffix(e.Type, ".deleted") {
		c.woke[id]++
		return c.woke[id]%lookEvery != 0
	}
	return true
}

func (c *controller) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.done, id)
	delete(c.woke, id)
}

func (c *controller) read(ctx context.Context, kind, id string) (generation int64, deleting bool, err error) {
	if kind == "nodepool" {
		p, err := c.client.GetNodePool(ctx, id)
		return p.Generation, p.DeletionTimestamp != nil, err
	}
	k, err := c.client.GetCluster(ctx, id)
	return k.Generation, k.DeletionTimestamp != nil, err
}

func (c *controller) report(ctx context.Context, kind, id string, generation int64, deleting bool) error {
	report := v1.StatusReport{ControllerName: c.Name, ObservedGeneration: generation, Conditions: []v1.ReportedCondition{
		{Type: v1.ConditionAvailable, Status: v1.ConditionTrue, Reason: "Done"},
	}}
	if deleting {
		report.Conditions[0].Status = v1.ConditionFalse
		report.Conditions = append(report.Conditions, v1.ReportedCondition{Type: v1.ConditionFinalized, Status: v1.ConditionTrue, Reason: "Done"})
	}
	var err error
	if kind == "nodepool" {
		_, err = c.client.ReportNodePoolStatus(ctx, id, report)
	} else {
		_, err = c.client.ReportClusterStatus(ctx, id, report)
	}
	if errors.Is(err, client.ErrNotFound) {
		return nil
	}
	return err
}
