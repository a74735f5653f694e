package clstest_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// A controller is tested against a backend that is started for the test.
func Example() {
	t, end := clstest.ForExample() // A test has its own t.
	defer end()
	backend := clstest.NewBackend(t)
	backend.Run(controller.Func(func(context.Context, controller.Request) (controller.Result, error) {
		return controller.Result{}, nil
	}), controller.Options{Name: "mine"})
	made := backend.Create("one", `{}`)
	fmt.Println(backend.WaitReady(made.ID).Status.Message)
	// Output: 1 of 1 controller ready
}

// Reports can be made to fail, and events to come again.
func ExampleBackend_FailReports() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)
	var calls atomic.Int64
	backend.Run(controller.Func(func(context.Context, controller.Request) (controller.Result, error) {
		calls.Add(1)
		return controller.Result{}, nil
	}), controller.Options{Name: "mine"})

	backend.FailReports(2)
	made := backend.Create("one", `{}`)
	backend.WaitReady(made.ID)
	backend.Inject(backend.Events()...)
	fmt.Println(calls.Load() > 0)
	// Output: true
}
