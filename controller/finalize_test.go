package controller_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// builder is a finalizer that needs some calls to take something down: one that fails, one that waits, one that succeeds.
type builder struct {
	*journal

	ends atomic.Int64
}

func (f *builder) Finalize(context.Context, controller.Request) (controller.Result, error) {
	switch f.ends.Add(1) {
	case 1:
		return controller.Result{}, errors.New("busy")
	case 2:
		return controller.Result{Waiting: true, RequeueAfter: 10 * time.Millisecond}, nil
	}
	return controller.Result{}, nil
}

func TestADeletionWaitsForTheFinalizer(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	f, bystander := &builder{journal: newJournal(nil)}, newJournal(nil)
	registry := prometheus.NewPedanticRegistry()
	b.Run(f, controller.Options{Name: "f", FirstRetry: 10 * time.Millisecond, Metrics: registry})
	b.Run(bystander, controller.Options{Name: "bystander"})
	c := b.Create("one", gcp)
	b.WaitReady(c.ID)
	b.WaitReport(c.ID, "bystander", func(v1.ControllerStatus) bool { return true })
	b.Delete(c.ID)
	b.WaitGone(c.ID)
	if f.ends.Load() != 3 || slices.ContainsFunc(bystander.seen(), controller.Request.Deleting) {
		t.Errorf("taken down by %d calls; the bystander, who takes nothing down, was called for %+v", f.ends.Load(), bystander.seen())
	}
	for outcome, want := range map[string]float64{"ok": 2, "error": 1} {
		if n, _ := sample(t, registry, "cls_controller_call_duration_seconds", "finalize", "f", outcome); n != want {
			t.Errorf("%v calls to take it down are counted as %s", n, outcome)
		}
	}
}

// TestADeletionBeforeTheFirstReport waits for the finalizer too: it may have built something already.
func TestADeletionBeforeTheFirstReport(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	hold := make(chan struct{})
	f := &builder{journal: newJournal(func(ctx context.Context, _ int, _ controller.Request) (controller.Result, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return controller.Result{}, ctx.Err()
	})}
	b.Run(f, controller.Options{Name: "f", ProgressAfter: time.Hour, FirstRetry: 10 * time.Millisecond})
	c := b.Create("one", gcp)
	b.Await("its call", func() bool { return f.count(c.ID) == 1 })
	b.Delete(c.ID)
	close(hold)
	b.WaitGone(c.ID)
	if n := f.ends.Load(); n != 3 {
		t.Errorf("taken down by %d calls", n)
	}
}

// TestWhatHasLeftThePlatformIsTakenDown when it is deleted: the deletion waits for who has built it.
func TestWhatHasLeftThePlatformIsTakenDown(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	f, other := &builder{journal: newJournal(nil)}, &builder{journal: newJournal(nil)}
	b.Run(f, controller.Options{Name: "f", Platforms: []string{"gcp"}, FirstRetry: 10 * time.Millisecond})
	b.Run(other, controller.Options{Name: "other", Platforms: []string{"azure"}})
	c := b.Create("one", gcp)
	b.WaitReady(c.ID)
	b.SetSpec(c.ID, `{"platform":{"type":"aws"}}`)
	b.Delete(c.ID)
	b.WaitGone(c.ID)
	if f.ends.Load() != 3 || other.ends.Load() != 0 || f.count(c.ID) != 1 {
		t.Errorf("taken down by %d calls, and by %d of one who never had it; reconciled by %d", f.ends.Load(), other.ends.Load(), f.count(c.ID))
	}
}
