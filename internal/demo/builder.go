package demo

import (
	"context"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/controller"
)

// builder pretends to build what there is of one platform.
type builder struct {
	platform string
	work     time.Duration
}

// demolisher also takes it down.
type demolisher struct{ builder }

func newBuilder(platform string, work time.Duration) controller.Reconciler {
	b := builder{platform, work}
	if platform == finalizing {
		return demolisher{b}
	}
	return b
}

// Reconcile implements [controller.Reconciler]. What is built already is only looked at.
func (b builder) Reconcile(ctx context.Context, req controller.Request) (controller.Result, error) {
	if !b.built(req) {
		if err := rest(ctx, b.work); err != nil {
			return controller.Result{}, err
		}
	}
	done := controller.Result{Reason: "Provisioned", Message: "the " + noun(req) + " runs on " + b.platform}
	if req.Kind == controller.KindCluster {
		done.Metadata = map[string]string{"endpoint": "https://" + req.Name() + "." + b.platform + ".example.com:6443"}
	}
	return done, nil
}

// built reports whether the controller has said so of this generation.
func (b builder) built(req controller.Request) bool {
	own, _ := req.Report(name(b.platform))
	return own.ObservedGeneration == req.Generation() && len(own.Conditions) > 0 && own.Conditions[0].Status == v1.ConditionTrue
}

// Finalize implements [controller.Finalizer].
func (d demolisher) Finalize(ctx context.Context, req controller.Request) (controller.Result, error) {
	err := rest(ctx, d.work)
	return controller.Result{Reason: "Deprovisioned", Message: "the " + noun(req) + " is gone from " + d.platform}, err
}

func noun(req controller.Request) string {
	if req.Kind == controller.KindNodePool {
		return "node pool"
	}
	return "cluster"
}

// rest is the work.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
