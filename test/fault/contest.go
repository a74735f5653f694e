package main

import (
	"context"
	"errors"
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
		clients[i] = w.client(fmt.Sprintf("writer%d", i+1), owner)
	}
	cluster, err := clients[0].CreateCluster(ctx, v1.CreateCluster{Name: "contested", Spec: spec(nobodys, l.mark(l.rng))})
	if err != nil {
		return nil, err
	}
	it := &item{kind: "cluster", id: cluster.ID, platform: nobodys}
	var wins, losses, others atomic.Int64
	wrong := 0
	for range d.times {
		l.get(ctx, clients[0], l.rng, it)
		version, before := *it.version.Load(), wins.Load()
		var all sync.WaitGroup
		for _, c := range clients {
			body := spec(nobodys, l.mark(l.rng))
			all.Go(func() {
				err := l.put(ctx, c, it, body, client.IfMatch(version))
				switch {
				case err == nil:
					wins.Add(1)
				case errors.Is(err, client.ErrPreconditionFailed):
					losses.Add(1)
				default:
					others.Add(1)
				}
			})
		}
		all.Wait()
		if wins.Load() != before+1 {
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
	return []figure{
		measured("changes that won", float64(wins.Load()), ""), measured("refused with 412", float64(losses.Load()), ""),
		atMost("answered otherwise", float64(others.Load()), "", 0),
		atMost("rounds with no winner, or more than one", float64(wrong), "", 0), settled,
	}, err
}
