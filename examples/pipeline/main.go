// Command pipeline runs three controllers that build a cluster one after the other: its network, then its control plane
// in that network, then the DNS record of that control plane. Each says what it needs of the others and knows nothing
// else of them. The control plane fails the first time, as things do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/cls-backend/cls-backend/controller"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pipeline:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range stages() {
		group.Go(func() error { return controller.Run(ctx, s.reconcile, s.options) })
	}
	return group.Wait()
}

// stage is one of the controllers.
type stage struct {
	reconcile controller.Func
	options   controller.Options
}

// stages are the three, in the order of their work.
func stages() []stage {
	var plane controlPlane
	return []stage{
		{network, controller.Options{Name: "network", Required: true}},
		{plane.reconcile, controller.Options{
			Name: "control-plane", Required: true, Needs: []controller.Need{{Controller: "network", Metadata: "vpc"}},
		}},
		{dns, controller.Options{
			Name: "dns", Required: true, Needs: []controller.Need{{Controller: "control-plane", Metadata: "address"}},
		}},
	}
}

func network(_ context.Context, req controller.Request) (controller.Result, error) {
	return controller.Result{Metadata: map[string]string{"vpc": "vpc-" + req.Name()}}, nil
}

// controlPlane fails the first time that it is asked for a cluster.
type controlPlane struct{ seen sync.Map }

func (p *controlPlane) reconcile(_ context.Context, req controller.Request) (controller.Result, error) {
	var from struct {
		VPC string `json:"vpc"`
	}
	if _, err := req.Metadata("network", &from); err != nil {
		return controller.Result{}, err
	}
	if _, again := p.seen.LoadOrStore(req.ID(), true); !again {
		return controller.Result{}, errors.New("no address is free in " + from.VPC)
	}
	return controller.Result{Metadata: map[string]string{"address": "10.0.0.1", "vpc": from.VPC}}, nil
}

func dns(_ context.Context, req controller.Request) (controller.Result, error) {
	var from struct {
		Address string `json:"address"`
	}
	if _, err := req.Metadata("control-plane", &from); err != nil {
		return controller.Result{}, err
	}
	return controller.Result{Message: req.Name() + ".example.com is " + from.Address}, nil
}
