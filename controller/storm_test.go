package controller_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// TestStorm has every event delivered three times in any order while a tenth of all calls fail.
// It leaves no goroutine behind, so nothing runs beside it.
func TestStorm(t *testing.T) { //nolint:paralleltest // see above
	const clusters = 1000
	t.Run("start what all tests share", func(t *testing.T) { clstest.NewBackend(t) })
	before := goleak.IgnoreCurrent()
	t.Run("storm", func(t *testing.T) { storm(t, clusters) })
	// The library's own, one for each Receive: it waits for tickers that have been stopped.
	goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"))
}

func storm(t *testing.T, clusters int) {
	t.Helper()
	b := clstest.NewBackend(t, alone)
	for i := range clusters {
		b.Create(fmt.Sprintf("c-%04d", i), gcp)
	}
	b.Await("their events", func() bool { return len(b.Events()) >= clusters })
	var thrice []v1.Event
	for range 3 {
		thrice = append(thrice, b.Events()[:clusters]...)
	}
	rand.Shuffle(len(thrice), func(i, k int) { thrice[i], thrice[k] = thrice[k], thrice[i] })
	b.FailShare(0.1)
	j, registry := newJournal(nil), prometheus.NewPedanticRegistry()
	b.Run(j, controller.Options{Name: "c", FirstRetry: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Metrics: registry})
	handled := func() int {
		o := outcomes(t, registry)
		return total(o) - o["unreported"]
	}
	// The fake looks at all events that wait for each that it delivers, so not all wait at once.
	const waiting = 300
	for sent := 0; sent < len(thrice); sent += waiting {
		b.Await(fmt.Sprintf("%d events to be handled", sent-waiting), func() bool { return handled() >= sent-waiting })
		b.Inject(thrice[sent:min(sent+waiting, len(thrice))]...)
	}
	b.Await("all events to be handled", func() bool { return handled() >= len(thrice) })
	l, err := b.Client(clstest.User).ListClusters(t.Context(), client.ListOptions{Status: v1.PhaseReady, Limit: 1})
	if must(t, err); l.Total != int64(clusters) {
		t.Errorf("%d clusters are Ready", l.Total)
	}
	if n := j.overlap.Load(); n != 0 {
		t.Errorf("%d reconciles of a cluster began while another of it ran", n)
	}
}
