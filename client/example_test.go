package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
)

// A cluster is declared, and becomes Ready when every controller has said so.
func Example() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t) // Yours is at an address of its own.
	ctx := context.Background()

	c, err := client.New(backend.URL(), client.Options{Identity: "you@example.com"})
	if err != nil {
		panic(err)
	}
	cluster, err := c.CreateCluster(ctx, v1.CreateCluster{Name: "hello", Spec: v1.Object(`{"platform":{"type":"gcp"}}`)})
	if err != nil {
		panic(err)
	}
	fmt.Println(cluster.Name, cluster.Status.Phase)

	reportAvailable(backend, cluster.ID) // What a controller does.
	cluster, err = c.WaitFor(ctx, cluster.ID, client.Condition{Type: v1.ConditionReady})
	if err != nil {
		panic(err)
	}
	fmt.Println(cluster.Name, cluster.Status.Phase)
	// Output:
	// hello Pending
	// hello Ready
}

// reportAvailable plays a controller.
func reportAvailable(backend *clstest.Backend, id string) {
	_, err := backend.Client(clstest.Controller).ReportClusterStatus(context.Background(), id, v1.StatusReport{
		ControllerName: "dns", Conditions: []v1.ReportedCondition{{Type: v1.ConditionAvailable, Status: v1.ConditionTrue}},
	})
	if err != nil {
		panic(err)
	}
}

// What the service refuses has a code, and names the field.
func ExampleError() {
	t, end := clstest.ForExample()
	defer end()
	c := clstest.NewBackend(t).Client("you@example.com")

	_, err := c.CreateCluster(context.Background(), v1.CreateCluster{Name: "Not A Label"})
	if errors.Is(err, client.ErrInvalidField) {
		refused, _ := errors.AsType[*client.Error](err)
		fmt.Println(refused.Code, refused.Details.Field)
	}
	_, err = c.GetCluster(context.Background(), "0190d6f0-0000-7000-8000-000000000000")
	fmt.Println(errors.Is(err, client.ErrNotFound))
	// Output:
	// INVALID_FIELD name
	// true
}

// A walk goes through all pages.
func ExampleClient_Clusters() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)
	for _, name := range []string{"a", "b", "c"} {
		backend.Create(name, `{}`)
	}
	c := backend.Client(clstest.User)

	for cluster, err := range c.Clusters(context.Background(), client.ListOptions{OrderBy: "name", Limit: 2}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(cluster.Name)
	}
	// Output:
	// a
	// b
	// c
}

// A creation with a key may be repeated, and creates once.
func ExampleIdempotencyKey() {
	t, end := clstest.ForExample()
	defer end()
	c := clstest.NewBackend(t).Client("you@example.com")

	body := v1.CreateCluster{Name: "once"}
	first, err := c.CreateCluster(context.Background(), body, client.IdempotencyKey("order-17"))
	if err != nil {
		panic(err)
	}
	again, err := c.CreateCluster(context.Background(), body, client.IdempotencyKey("order-17"))
	fmt.Println(again.ID == first.ID, err)
	// Output: true <nil>
}

// A change of what somebody else has changed meanwhile is refused.
func ExampleIfMatch() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)
	read := backend.Create("one", `{"size":1}`)
	backend.SetSpec(read.ID, `{"size":2}`)
	c := backend.Client(clstest.User)

	_, err := c.PatchCluster(context.Background(), read.ID, v1.Object(`{"spec":{"size":3}}`), client.IfMatch(read.ResourceVersion))
	fmt.Println(errors.Is(err, client.ErrPreconditionFailed))
	// Output: true
}

// A dry run says what would become of a call.
func ExampleDryRun() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)
	made := backend.Create("one", `{"size":1}`)
	c := backend.Client(clstest.User)

	would, err := c.PatchCluster(context.Background(), made.ID, v1.Object(`{"spec":{"size":2}}`), client.DryRun())
	is, _ := c.GetCluster(context.Background(), made.ID)
	fmt.Println("would be", string(would.Spec), "and is", string(is.Spec), err)
	// Output: would be {"size": 2} and is {"size": 1} <nil>
}

// A wait that ends too early says how far it has come.
func ExampleClient_WaitFor() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)
	made := backend.Create("one", `{}`)
	c := backend.Client(clstest.User)

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, err := c.WaitFor(ctx, made.ID, client.Condition{Type: v1.ConditionReady})
	late, _ := errors.AsType[*client.WaitError](err)
	fmt.Println(late.Last.Phase, errors.Is(err, context.DeadlineExceeded))
	// Output: Pending true
}

// A deletion waits for the controllers that finalize; forced, it waits for nobody.
func ExampleForce() {
	t, end := clstest.ForExample()
	defer end()
	backend := clstest.NewBackend(t)
	ctx := context.Background()
	if _, err := backend.Client(clstest.Controller).RegisterController(ctx, "dns", v1.RegisterController{Finalizes: true}); err != nil {
		panic(err)
	}
	made := backend.Create("one", `{}`)
	c := backend.Client(clstest.User)

	deletion, _ := c.DeleteCluster(ctx, made.ID)
	fmt.Println("waits for", deletion.WaitingFor)
	deletion, _ = c.DeleteCluster(ctx, made.ID, client.Force("the zone is lost"))
	fmt.Println("waits for", deletion.WaitingFor)
	// Output:
	// waits for [dns]
	// waits for []
}
