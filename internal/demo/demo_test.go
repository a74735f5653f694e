package demo_test

import (
	"context"
	"strings"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/internal/demo"
)

func TestMain(m *testing.M) { clstest.Main(m) }

// start runs the demo controllers against a backend of the test's own.
func start(t *testing.T) *clstest.Backend {
	t.Helper()
	b := clstest.NewBackend(t)
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- demo.Run(ctx, demo.Options{APIURL: b.URL(), PubSub: b.PubSub(), Work: 10 * time.Millisecond, Ready: func() { close(ready) }})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("they ended with %v", err)
	}
	return b
}

func TestEachPlatformIsBuiltByItsOwn(t *testing.T) {
	t.Parallel()
	b := start(t)
	for spelled, platform := range map[string]string{"GCP": "gcp", "aws": "aws", "Azure": "azure"} {
		c := b.WaitReady(b.Create("a-"+platform, `{"platform":{"type":"`+spelled+`"}}`).ID)
		s, err := b.Client(clstest.User).GetClusterStatus(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.ControllerStatus) != 1 || s.ControllerStatus[0].ControllerName != "demo-"+platform ||
			!strings.Contains(string(s.ControllerStatus[0].Metadata), "https://a-"+platform+"."+platform+".example.com:6443") {
			t.Errorf("%s: %+v", spelled, s.ControllerStatus)
		}
	}
}

// TestANodePoolIsWhereItsClusterIs has one that names no platform.
func TestANodePoolIsWhereItsClusterIs(t *testing.T) {
	t.Parallel()
	b := start(t)
	pool := b.CreateNodePool(b.Create("one", `{"platform":{"type":"aws"}}`).ID, "workers", `{}`)
	ctx, cancel := context.WithTimeout(t.Context(), clstest.Patience)
	defer cancel()
	if _, err := b.Client(clstest.User).WaitForNodePool(ctx, pool.ID, client.Condition{Type: v1.ConditionReady}); err != nil {
		t.Fatal(err)
	}
}

func TestAzureFinalizes(t *testing.T) {
	t.Parallel()
	b := start(t)
	c := b.WaitReady(b.Create("one", `{"platform":{"type":"azure"}}`).ID)
	d, err := b.Client(clstest.User).DeleteCluster(t.Context(), c.ID)
	if err != nil || len(d.WaitingFor) != 1 || d.WaitingFor[0] != "demo-azure" {
		t.Errorf("the deletion waits for %v, %v", d.WaitingFor, err)
	}
	b.WaitGone(c.ID)
}
