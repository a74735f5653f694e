// Command hello-controller greets each cluster of platform gcp: the smallest controller that there is.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cls-backend/cls-backend/controller"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := controller.Run(ctx, controller.Func(greet), controller.Options{Name: "hello", Platforms: []string{"gcp"}})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello-controller:", err)
		os.Exit(1)
	}
}

// greet brings a cluster to what its spec says: greeted by name.
func greet(_ context.Context, req controller.Request) (controller.Result, error) {
	var spec struct {
		Greeting string `json:"greeting"`
	}
	if err := req.Spec(&spec); err != nil {
		return controller.Result{}, err
	}
	if spec.Greeting == "" {
		spec.Greeting = "hello"
	}
	said := spec.Greeting + ", " + req.Cluster.Name
	return controller.Result{Message: said, Metadata: map[string]string{"said": said}}, nil
}
