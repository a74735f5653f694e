package controller_test

import (
	"context"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// TestAvailableStaysWhileANewSpecRollsOut: by one controller that takes long, one that says that it waits, and one that waits
// for the first. Once they are done nobody is Progressing.
func TestAvailableStaysWhileANewSpecRollsOut(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	hold := make(chan struct{})
	b.Run(newJournal(func(ctx context.Context, _ int, req controller.Request) (controller.Result, error) {
		if req.Generation() > 1 {
			select {
			case <-hold:
			case <-ctx.Done():
				return controller.Result{}, ctx.Err()
			}
		}
		return controller.Result{Message: "built"}, nil
	}), controller.Options{Name: "slow", Required: true, ProgressAfter: time.Millisecond})
	b.Run(newJournal(func(_ context.Context, _ int, req controller.Request) (controller.Result, error) {
		if req.Generation() == 1 {
			return controller.Result{}, nil
		}
		select {
		case <-hold:
			return controller.Result{}, nil
		default:
			return controller.Result{Waiting: true, Reason: "Booting", Message: "2 of 3", RequeueAfter: 10 * time.Millisecond}, nil
		}
	}), controller.Options{Name: "asking", Required: true})
	b.Run(newJournal(nil), controller.Options{Name: "next", Required: true, Needs: []controller.Need{{Controller: "slow"}}})
	c := b.Create("one", gcp)
	b.WaitReady(c.ID)
	b.SetSpec(c.ID, `{"platform":{"type":"gcp"},"n":2}`)
	for name, reason := range map[string]string{"slow": "InProgress", "asking": "Booting", "next": "WaitingForDependencies"} {
		r := b.WaitReport(c.ID, name, func(r v1.ControllerStatus) bool { return len(r.Conditions) > 1 })
		available, progressing := r.Conditions[0], r.Conditions[1]
		if r.ObservedGeneration != 1 || available.Type != v1.ConditionAvailable || available.Status != v1.ConditionTrue || available.Reason != "Reconciled" ||
			progressing.Type != v1.ConditionProgressing || progressing.Status != v1.ConditionTrue || progressing.Reason != reason {
			t.Errorf("%s reported %+v", name, r)
		}
	}
	c = b.WaitFor(c.ID, client.Condition{Type: v1.ConditionAvailable})
	if c.Status.Phase != v1.PhaseProgressing || c.Status.ObservedGeneration != 1 {
		t.Errorf("under way it is %+v", c.Status)
	}
	close(hold)
	if c := b.WaitReady(c.ID); c.Status.ObservedGeneration != 2 {
		t.Errorf("at last it is %+v", c.Status)
	}
	for _, name := range []string{"slow", "asking", "next"} {
		r := b.WaitReport(c.ID, name, func(v1.ControllerStatus) bool { return true })
		if len(r.Conditions) != 1 || r.ObservedGeneration != 2 {
			t.Errorf("%s reported %+v", name, r)
		}
	}
}
