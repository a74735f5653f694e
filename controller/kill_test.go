package controller_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// childVariable makes a process of this test a controller, which is configured by the environment as any is.
const childVariable = "CLS_TEST_CONTROLLER"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		err := controller.Run(context.Background(), controller.Func(work), controller.Options{Name: "mortal"})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	clstest.Main(m)
}

// work takes a while, and says when it begins and when half of it is done. By then the client of Pub/Sub has sent all
// acknowledgements that it was given before, which it does ten times a second.
func work(ctx context.Context, req controller.Request) (controller.Result, error) {
	for _, moment := range []string{"begun", "half done"} {
		fmt.Println(moment, req.Name())
		select {
		case <-time.After(150 * time.Millisecond):
		case <-ctx.Done():
			return controller.Result{}, ctx.Err()
		}
	}
	return controller.Result{}, nil
}

// TestKilledInMidWork kills a controller with SIGKILL a hundred times, each time while it works on a cluster that is new or
// has changed. In the end every one of them is Ready, though the service wakes nobody: the events come again. What a killed
// process had in hand is not given out before its lease has ended, so each process finds a cluster that none has had before.
// Every fourth is killed when an event that was acknowledged too early would be lost.
func TestKilledInMidWork(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a hundred processes")
	}
	const kills = 100
	b := clstest.NewBackend(t, alone)
	subscribe(t, b, &pb.Subscription{Name: "mortal", EnableMessageOrdering: true}) // So that the first cluster is heard of too.
	var ids []string
	for i := range kills {
		c, moment := b.Create(fmt.Sprintf("c-%02d", i), gcp), "begun"
		ids = append(ids, c.ID)
		if i%4 == 3 {
			moment = "half done"
		}
		child := startChild(t, b)
		child.await(moment + " " + c.Name)
		child.kill()
		b.SetSpec(ids[i/2], fmt.Sprintf(`{"platform":{"type":"gcp"},"n":%d}`, i))
	}
	startChild(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for _, id := range ids {
		if _, err := b.Client(clstest.User).WaitFor(ctx, id, client.Condition{Type: v1.ConditionReady}); err != nil {
			t.Fatal(err)
		}
	}
}

// child is a controller in a process of its own.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	says *bufio.Scanner
}

func startChild(t *testing.T, b *clstest.Backend) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1", "CLS_URL="+b.URL(), "PUBSUB_EMULATOR_HOST="+b.PubSub().EmulatorHost)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	c := &child{t, cmd, bufio.NewScanner(out)}
	t.Cleanup(c.kill)
	return c
}

// await returns when the controller has said something.
func (c *child) await(words string) {
	c.t.Helper()
	for c.says.Text() != words {
		if !c.says.Scan() {
			c.t.Fatalf("the controller ended: %v", c.cmd.Wait())
		}
	}
}

// kill ends the process with SIGKILL; a second time does nothing.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}
