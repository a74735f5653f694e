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

// controller looks after the clusters of one platform.
type controller struct {
	name     string // in its reports, and of its subscription
	platform string
	work     time.Duration
	api      apiClient
	log      *slog.Logger
	// subscribed is called when it has its subscription, or never will.
	subscribed func()
}

// run receives events until ctx ends. Whatever goes wrong before is tried again: the
// topic may be yet to be created, and an emulator forgets subscriptions when it restarts.
func (c controller) run(ctx context.Context, events *pubsub.Service) {
	defer c.subscribed()
	var pause backoff
	for ctx.Err() == nil {
		err := events.EnsureSubscription(ctx, c.name, models.KindCluster)
		if err == nil {
			c.log.InfoContext(ctx, "demo controller receives events", "controller", c.name)
			c.subscribed()
			pause = backoff{}
			err = events.Receive(ctx, c.name, c.handle)
		}
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "demo controller receives no events; trying again", "controller", c.name, "error", err)
		}
		pause.wait(ctx)
	}
}

// handle does what an event asks for. Once it returns nil, which is when the report is
// stored, the event is acknowledged; it returns an error only when ctx ends before that.
func (c controller) handle(ctx context.Context, r pubsub.Received) error {
	if r.Platform != c.platform || r.Event.Type == v1.ClusterDeleted {
		return nil // another's; or nothing to tear down
	}
	err := c.reconcile(ctx, r.Event)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case isGone(err): // deleted since: its last event says so too
	case err != nil:
		c.log.ErrorContext(ctx, "demo controller was refused", "controller", c.name, "cluster_id", r.Event.ClusterID, "error", err)
	}
	return nil // what was refused will be refused again; the next wake-up looks at it anew
}

// reconcile brings one cluster to what its spec says. The event only says where to look.
func (c controller) reconcile(ctx context.Context, e v1.Event) error {
	status, err := c.api.status(ctx, e.ClusterID)
	if err != nil {
		return err
	}
	mine := c.own(status)
	if mine.ObservedGeneration > e.Generation {
		return nil // late: something newer has been handled
	}
	if mine.ObservedGeneration == status.Generation && models.AvailableStatus(mine) == v1.ConditionTrue {
		return c.api.report(ctx, e.ClusterID, mine) // still as it was: a heartbeat
	}
	return c.provision(ctx, e.ClusterID)
}

// own returns this controller's stored report; one of generation 0 when it has none.
func (c controller) own(status v1.ClusterStatus) v1.StatusReport {
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

// provision pretends to build the cluster, and reports before and after.
func (c controller) provision(ctx context.Context, id string) error {
	cluster, err := c.api.cluster(ctx, id)
	if err != nil || !strings.EqualFold(platformOf(cluster), c.platform) {
		return err
	}
	c.log.InfoContext(ctx, "demo controller provisions", "controller", c.name, "cluster", cluster.Name, "generation", cluster.Generation)
	if err := c.api.report(ctx, id, c.provisioning(cluster)); err != nil {
		return err
	}
	if !rest(ctx, c.work) {
		return ctx.Err()
	}
	return c.api.report(ctx, id, c.provisioned(cluster))
}

func (c controller) provisioning(cluster v1.Cluster) v1.StatusReport {
	return c.newReport(cluster, v1.ReportedCondition{
		Type: v1.ConditionAvailable, Status: v1.ConditionFalse,
		Reason: "Provisioning", Message: "the cluster is being built on " + c.platform,
	})
}

func (c controller) provisioned(cluster v1.Cluster) v1.StatusReport {
	r := c.newReport(cluster, v1.ReportedCondition{
		Type: v1.ConditionAvailable, Status: v1.ConditionTrue,
		Reason: "Provisioned", Message: "the cluster runs on " + c.platform,
	})
	r.Metadata = v1.Object(`{"endpoint":"https://` + cluster.Name + "." + c.platform + `.example.com:6443"}`)
	return r
}

// newReport echoes the generation that was read, whatever the event's was.
func (c controller) newReport(cluster v1.Cluster, available v1.ReportedCondition) v1.StatusReport {
	return v1.StatusReport{
		ControllerName: c.name, ObservedGeneration: cluster.Generation, Conditions: []v1.ReportedCondition{available},
	}
}
