package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func contests() []scenario {
	return []scenario{{
		name: "contest/etag", promise: "Of any number of writers with one ETag one wins.",
		about: "A hundred clients change a cluster at the same moment, each to another spec, with the ETag that all have read; " +
			"round after round, over three replicas.",
		full: dose{times: 1000}, short: dose{times: 10}, unit: "rounds of 100 writers", run: contestETag,
	}}
}

const writers = 100

// nobodys is a platform that no controller works on: no report moves the version between reading and writing.
const nobodys = "azure"

func contestETag(ctx context.Context, w *world, d dose) ([]figure, error) {
	l := w.startLoad(ctx, 2, 20) // Beside it, the usual.
	clients := make([]*client.Client, writers)
	for i := range clients {
		clients[i] = w.clientWithin(fmt.Sprintf("writer%d", i+1), owner, patience) // All at once is slow, and no fault.
	}
	made, err := clients[0].CreateCluster(ctx, v1.CreateCluster{Name: "contested", Spec: spec(nobodys, l.mark(l.rng))})
	if err != nil {
		return nil, err
	}
	it := &item{kind: "cluster", id: made.ID, platform: nobodys}
	var won atomic.Int64
	wrong := 0
	for range d.times {
		read, err := clients[0].GetCluster(ctx, it.id)
		if err != nil {
			return nil, err
		}
		before := won.Load()
		var all sync.WaitGroup
		for _, c := range clients {
			body := spec(nobodys, l.mark(l.rng))
			all.Go(func() {
				if l.persist(ctx, "write", func() error { return l.put(ctx, c, it, body, client.IfMatch(read.ResourceVersion)) }) {
					won.Add(1)
				}
			})
		}
		all.Wait()
		now, err := clients[0].GetCluster(ctx, it.id)
		if err != nil {
			return nil, err
		}
		// A winner whose answer was lost is refused when it asks again: then nobody knows that it has won.
		if now.Generation != read.Generation+1 || won.Load() > before+1 {
			wrong++
		}
	}
	if _, err := clients[0].DeleteCluster(ctx, it.id); err != nil {
		return nil, err
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	settled, err := w.settle(ctx, "a contest")
	return append(l.figures(), measured("writers that were told that they had won", float64(won.Load()), ""),
		atMost("rounds without a winner, or with more than one", float64(wrong), "", 0), settled), err
}
