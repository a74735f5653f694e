package controller_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// denial answers each call with no, and keeps when it came.
type denial struct {
	mu sync.Mutex
	at []time.Time
}

func (d *denial) React(any) (handled bool, reply any, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = append(d.at, time.Now())
	return true, nil, status.Error(codes.PermissionDenied, "no")
}

func (d *denial) times() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

// TestWhoGetsNoEventsTriesLessOften: the subscription that it may not create is not there either.
func TestWhoGetsNoEventsTriesLessOften(t *testing.T) {
	t.Parallel()
	tries := &denial{}
	fake := pstest.NewServerWithAddress("127.0.0.1:0", pstest.ServerReactorOption{FuncName: "CreateSubscription", Reactor: tries})
	t.Cleanup(func() { _ = fake.Close() })
	b := clstest.NewBackend(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- controller.Run(ctx, newJournal(nil), controller.Options{
			Name: "c", Client: b.Client(clstest.Controller), Log: slog.New(slog.DiscardHandler),
			PubSub: controller.PubSub{ProjectID: b.PubSub().ProjectID, EmulatorHost: fake.Addr},
		})
	}()
	b.Await("some tries", func() bool { return len(tries.times()) >= 5 })
	stop()
	must(t, <-ended)
	if at := tries.times(); at[4].Sub(at[0]) < 1500*time.Millisecond { // 0.1 s, 0.2 s, 0.4 s and 0.8 s
		t.Errorf("5 tries in %v", at[4].Sub(at[0]))
	}
}
