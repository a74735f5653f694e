package controller_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// A controller says how a cluster is brought to what its spec says.
func Example() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)

	resize := controller.Func(func(_ context.Context, req controller.Request) (controller.Result, error) {
		var spec struct {
			Size int `json:"size"`
		}
		if err := req.Spec(&spec); err != nil {
			return controller.Result{}, err
		}
		return controller.Result{Message: fmt.Sprintf("%s has %d nodes", req.Name(), spec.Size)}, nil
	})
	backend.Run(resize, controller.Options{Name: "resize"}) // In a program: err := controller.Run(ctx, resize, ...)

	made := backend.Create("one", `{"size":3}`)
	backend.WaitReady(made.ID)
	report := backend.WaitReport(made.ID, "resize", func(v1.ControllerStatus) bool { return true })
	fmt.Println(report.Conditions[0].Message)
	// Output: one has 3 nodes
}

// What no repetition can mend is terminal: the cluster is Failed, and says why.
func ExampleTerminal() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)
	backend.Run(controller.Func(func(context.Context, controller.Request) (controller.Result, error) {
		return controller.Result{}, controller.Terminal("NoSuchZone", errors.New("there is no zone mars-1"))
	}), controller.Options{Name: "zones"})

	made := backend.Create("one", `{"zone":"mars-1"}`)
	report := backend.WaitReport(made.ID, "zones", func(r v1.ControllerStatus) bool { return r.LastError != nil })
	fmt.Println(report.LastError.ErrorType, report.LastError.ErrorCode, report.LastError.Message)
	// Output: Configuration NoSuchZone there is no zone mars-1
}

// Work that goes on elsewhere is asked after from time to time.
func ExampleResult() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)
	asked := 0
	backend.Run(controller.Func(func(context.Context, controller.Request) (controller.Result, error) {
		if asked++; asked < 3 {
			return controller.Result{Waiting: true, Reason: "Booting", RequeueAfter: 10 * time.Millisecond}, nil
		}
		return controller.Result{}, nil
	}), controller.Options{Name: "machines", Concurrency: 1})

	fmt.Println(backend.WaitReady(backend.Create("one", `{}`).ID).Status.Phase)
	// Output: Ready
}

// A controller begins when others have said what it needs.
func ExampleNeed() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)
	backend.Run(controller.Func(func(context.Context, controller.Request) (controller.Result, error) {
		return controller.Result{Metadata: map[string]string{"vpc": "vpc-1"}}, nil
	}), controller.Options{Name: "network"})
	backend.Run(controller.Func(func(_ context.Context, req controller.Request) (controller.Result, error) {
		var from struct{ VPC string }
		_, err := req.Metadata("network", &from)
		return controller.Result{Message: "in " + from.VPC}, err
	}), controller.Options{Name: "machines", Needs: []controller.Need{{Controller: "network", Metadata: "vpc"}}, Required: true})

	made := backend.Create("one", `{}`)
	backend.WaitReady(made.ID)
	report := backend.WaitReport(made.ID, "machines", func(v1.ControllerStatus) bool { return true })
	fmt.Println(report.Conditions[0].Message)
	// Output: in vpc-1
}
