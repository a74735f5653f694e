package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func workerOf(t *testing.T, o Options) *worker {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	w, err := newWorker(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestWhenToLookAgain has one resource come to one end after the other.
func TestWhenToLookAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := workerOf(t, Options{FirstRetry: 2 * time.Second, LongestRetry: 5 * time.Second})
		passing, j := failureOf(errors.New("no quota")), job{key: key{KindCluster, "c"}, clusterID: "c", event: v1.Event{Generation: 1}}
		later, req := failureOf(RetryAfter(time.Minute, nil)), Request{Cluster: v1.Cluster{Generation: 1}}
		for i, row := range []struct {
			result  Result
			failure *Error
			want    time.Duration // 0 for never
			deaf    bool          // to wake-ups
		}{
			{Result{}, passing, 2 * time.Second, false},
			{Result{}, passing, 4 * time.Second, false},
			{Result{}, passing, 5 * time.Second, false},
			{Result{}, passing, 5 * time.Second, false},
			{Result{}, nil, 0, false},
			{Result{}, passing, 2 * time.Second, false}, // A success begins anew.
			{Result{}, failureOf(Terminal("TooBig", nil)), 0, false},
			{Result{}, passing, 2 * time.Second, false}, // And so does a failure that is one for good.
			{Result{}, later, time.Minute, true},
			{Result{}, passing, 5 * time.Second, false}, // It is its third in a row.
			{Result{RequeueAfter: 7 * time.Second}, nil, 7 * time.Second, false},
			{Result{RequeueAfter: 7 * time.Second, Waiting: true}, nil, 7 * time.Second, false},
			{Result{RequeueAfter: 7 * time.Second}, passing, 2 * time.Second, false},
			{Result{RequeueAfter: 7 * time.Second}, failureOf(&Error{Type: v1.ErrorFatal, RetryAfter: time.Second}), 0, false},
			{Result{}, later, time.Minute, true},
			{Result{}, nil, 0, false},
		} {
			w.lookAgain(j, req, row.result, row.failure)
			newer := j
			newer.event.Generation = 2
			if w.early(j) != row.deaf || w.early(newer) {
				t.Errorf("%d: deaf to a wake-up of its generation: %t, of a newer: %t", i, w.early(j), w.early(newer))
			}
			if took := untilDue(t, w.queue); took != row.want {
				t.Errorf("%d: looked at again after %v, want %v", i, took, row.want)
			}
		}
		// A user wakes it before the time that it has named, and it fails otherwise: that time counts no more.
		w.lookAgain(j, req, Result{}, later)
		w.lookAgain(j, req, Result{}, passing)
		if early, took := w.early(j), untilDue(t, w.queue); early || took != 4*time.Second {
			t.Errorf("deaf: %t, looked at again after %v", early, took)
		}
	})
}

// untilDue is how long a queue's one resource rests; 0 for ever.
func untilDue(t *testing.T, q *queue) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	began := time.Now()
	j, ok := q.take(ctx)
	if !ok {
		return 0
	}
	q.done(j.key)
	return time.Since(began)
}

// TestDefaults are those that the options name.
func TestDefaults(t *testing.T) {
	t.Parallel()
	o := Options{Name: "c", PubSub: PubSub{ProjectID: "p", EmulatorHost: "127.0.0.1:1"}}
	if err := o.setDefaults(); err != nil {
		t.Fatal(err)
	}
	if o.Concurrency != 16 || o.FirstRetry != time.Second || o.LongestRetry != time.Minute || o.ProgressAfter != time.Second ||
		o.DrainTimeout != 10*time.Second || o.DeliveryAttempts != 20 || o.heartbeat != time.Minute ||
		len(o.Kinds) != 1 || o.Kinds[0] != KindCluster || o.PubSub.ClusterTopic != "cluster-events" || o.PubSub.NodePoolTopic != "nodepool-events" {
		t.Errorf("%+v", o)
	}
}

// TestWhatIsCutShortIsGivenBack, and counted as that.
func TestWhatIsCutShortIsGivenBack(t *testing.T) {
	t.Parallel()
	c, err := client.New("http://127.0.0.1:1", client.Options{Identity: "controller@system.local"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	registry := prometheus.NewPedanticRegistry()
	w := workerOf(t, Options{Client: c, Metrics: registry})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var p parcel
	w.process(ended, job{key: key{KindCluster, "c"}, clusterID: "c", ids: []string{"e"}, events: []delivery{&p}})
	if p.acks != 0 || p.nacks != 1 {
		t.Errorf("%d acks, %d nacks", p.acks, p.nacks)
	}
	if w.handled.knows([]string{"e"}) {
		t.Error("the event counts as handled")
	}
	counted, err := registry.Gather()
	if err != nil || !strings.Contains(fmt.Sprint(counted), `value:"`+outcomeInterrupted+`"`) {
		t.Errorf("counted %v, %v", counted, err)
	}
}
