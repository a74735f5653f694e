package demo

import (
	"context"
	"log/slog"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

// controller looks after what one kind of resource there is of one platform.
type controller struct {
	name     string // in its reports, whatever the kind
	kind     models.Kind
	platform string
	// finalizes says that it takes down what it has built, and that a deletion waits for that.
	finalizes bool
	work      time.Duration
	api       apiClient
	log       *slog.Logger
	// subscribed is called when it has its subscription, or never will.
	subscribed func()
}

// subscription is the name of the one that it has on the topic of its kind.
func (c controller) subscription() string {
	if c.kind == models.KindCluster {
		return c.name
	}
	return c.name + "-" + string(c.kind) + "s"
}

// run receives events until ctx ends. Whatever goes wrong before is tried again: the
// topic may be yet to be created, and an emulator forgets subscriptions when it restarts.
func (c controller) run(ctx context.Context, events *pubsub.Service) {
	defer c.subscribed()
	var pause backoff
	for ctx.Err() == nil {
		err := events.EnsureSubscription(ctx, c.subscription(), c.kind)
		if err == nil {
			c.log.InfoContext(ctx, "demo controller receives events", "subscription", c.subscription())
			c.subscribed()
			pause = backoff{}
			err = events.Receive(ctx, c.subscription(), c.handle)
		}
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "demo controller receives no events; trying again", "subscription", c.subscription(), "error", err)
		}
		pause.wait(ctx)
	}
}

// handle does what an event asks for. Once it returns nil, which is when the report is
// stored, the event is acknowledged; it returns an error only when ctx ends before that.
func (c controller) handle(ctx context.Context, r pubsub.Received) error {
	if r.Event.Type == c.kind.Event(models.Deleted) && !c.finalizes {
		return nil // nothing to tear down
	}
	err := c.reconcile(ctx, r)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case isGone(err): // deleted since: its last event says so too
	case err != nil:
		c.log.ErrorContext(ctx, "demo controller was refused", "controller", c.name, "at", c.at(r.Event), "error", err)
	}
	return nil // what was refused will be refused again; the next wake-up looks at it anew
}

// at is the path of what an event is about.
func (c controller) at(e v1.Event) string {
	if c.kind == models.KindNodePool {
		return "/nodepools/" + e.NodePoolID
	}
	return "/clusters/" + e.ClusterID
}

// concerns reports whether an event is about the controller's platform. A node pool that names
// none is where its cluster is.
func (c controller) concerns(ctx context.Context, r pubsub.Received) (bool, error) {
	if r.Platform != "" || c.kind == models.KindCluster {
		return r.Platform == c.platform, nil
	}
	cluster, err := c.api.resource(ctx, "/clusters/"+r.Event.ClusterID)
	return strings.EqualFold(platformOf(cluster), c.platform), err
}

// reconcile brings one resource to what its spec says, or down. The event only says where to look.
func (c controller) reconcile(ctx context.Context, r pubsub.Received) error {
	if mine, err := c.concerns(ctx, r); err != nil || !mine {
		return err
	}
	at := c.at(r.Event)
	status, err := c.api.status(ctx, at)
	if err != nil {
		return err
	}
	mine := c.own(status)
	switch {
	case status.Status.Phase == v1.PhaseDeleting:
		return c.finalize(ctx, at, status.Generation, mine)
	case mine.ObservedGeneration > r.Event.Generation:
		return nil // late: something newer has been handled
	case mine.ObservedGeneration == status.Generation && models.AvailableStatus(mine) == v1.ConditionTrue:
		return c.api.report(ctx, at, mine) // still as it was: a heartbeat
	}
	return c.provision(ctx, at)
}

// own returns this controller's stored report; one of generation 0 when it has none.
func (c controller) own(status v1.NodePoolStatus) v1.StatusReport {
	for _, s := range status.ControllerStatus {
		if s.ControllerName == c.name {
			return v1.StatusReport{
				ControllerName: c.name, ObservedGeneration: s.ObservedGeneration,
				Conditions: s.Conditions, Metadata: s.Metadata, LastError: s.LastError,
			}
		}
	}
	return v1.StatusReport{ControllerName: c.name}
}

// provision pretends to build the resource, and reports before and after.
func (c controller) provision(ctx context.Context, at string) error {
	r, err := c.api.resource(ctx, at)
	if err != nil {
		return err
	}
	if platform := platformOf(r); r.DeletionTimestamp != nil || platform != "" && !strings.EqualFold(platform, c.platform) {
		return nil // not any more: an event that says so is on its way
	}
	c.log.InfoContext(ctx, "demo controller provisions", "controller", c.name, c.kind.Noun(), r.Name, "generation", r.Generation)
	if err := c.api.report(ctx, at, c.saying(r.Generation, v1.ConditionFalse, "Provisioning", "is being built")); err != nil {
		return err
	}
	if !rest(ctx, c.work) {
		return ctx.Err()
	}
	done := c.saying(r.Generation, v1.ConditionTrue, "Provisioned", "runs")
	if c.kind == models.KindCluster {
		done.Metadata = v1.Object(`{"endpoint":"https://` + r.Name + "." + c.platform + `.example.com:6443"}`)
	}
	return c.api.report(ctx, at, done)
}

// finalize pretends to take the resource down, and lets go of it then. A deletion waits for that
// because of the condition Finalized, which is in every report.
func (c controller) finalize(ctx context.Context, at string, generation int64, mine v1.StatusReport) error {
	if !c.finalizes || mine.ObservedGeneration == generation && models.SaysFinalized(mine) {
		return nil
	}
	c.log.InfoContext(ctx, "demo controller takes down", "controller", c.name, "at", at)
	if err := c.api.report(ctx, at, c.saying(generation, v1.ConditionFalse, "Deprovisioning", "is being taken down")); err != nil {
		return err
	}
	if !rest(ctx, c.work) {
		return ctx.Err()
	}
	last := c.saying(generation, v1.ConditionFalse, "Deprovisioned", "is gone")
	last.Conditions[len(last.Conditions)-1].Status = v1.ConditionTrue
	return c.api.report(ctx, at, last)
}

// saying is a report of a generation, which is that of what was read, whatever the event's was. Who
// finalizes says besides that it has not let go.
func (c controller) saying(generation int64, available v1.ConditionStatus, reason, does string) v1.StatusReport {
	message := "the " + c.kind.Noun() + " " + does + " on " + c.platform
	r := v1.StatusReport{ControllerName: c.name, ObservedGeneration: generation, Conditions: []v1.ReportedCondition{
		{Type: v1.ConditionAvailable, Status: available, Reason: reason, Message: message},
	}}
	if c.finalizes {
		r.Conditions = append(r.Conditions, v1.ReportedCondition{
			Type: v1.ConditionFinalized, Status: v1.ConditionFalse, Reason: reason, Message: message,
		})
	}
	return r
}
