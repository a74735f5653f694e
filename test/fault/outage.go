package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/cls-backend/cls-backend/test/fault/proxy"
)

func outages() []scenario {
	return []scenario{{
		name: "outage/pubsub", promise: "The API does not notice that Pub/Sub is away, and what waits drains faster than it came.",
		about: "Pub/Sub is down (connections are refused), hangs (connections stand and nothing comes through), refuses (UNAVAILABLE) " +
			"and is slow (half a second each way), one after the other, for all replicas.",
		full: dose{times: 4, lasts: 150 * time.Second}, short: dose{times: 4, lasts: 3 * time.Second}, unit: "outages", run: pubSubAway,
	}}
}

// memoryBar is what a replica may need, in MiB. It holds nothing of what waits.
const memoryBar = 256

// away is a way in which Pub/Sub can be away.
type away struct {
	name       string
	begin, end func(*world)
}

func ways() []away {
	each := func(do func(*proxy.Proxy)) func(*world) {
		return func(w *world) {
			for _, r := range w.replicas {
				do(r.pubsub)
			}
		}
	}
	heal := func(w *world) {
		for _, r := range w.replicas {
			if err := r.pubsub.Heal(); err != nil {
				w.breaks(err)
			}
		}
	}
	return []away{
		{"down", each(func(p *proxy.Proxy) { p.Refuse(); p.Reset() }), heal},
		{"hanging", each((*proxy.Proxy).Stall), heal},
		{"refusing", func(w *world) { w.pubsub.refuse(codes.Unavailable) }, func(w *world) { w.pubsub.refuse(codes.OK) }},
		{"slow", each(func(p *proxy.Proxy) { p.Latency(500 * time.Millisecond) }), heal},
	}
}

func pubSubAway(ctx context.Context, w *world, d dose) ([]figure, error) {
	l := w.startLoad(ctx, 8, 30)
	began := time.Now()
	var figures []figure
	most := 0.0
	for _, way := range ways()[:d.times] {
		found, err := w.outage(ctx, way, d, &most)
		if err != nil {
			return nil, err
		}
		figures = append(figures, found...)
	}
	failed := 0
	for _, c := range w.record.calls(began) {
		if c.Status == 0 || c.Status >= 500 {
			failed++
		}
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	settled, err := w.settle(ctx, "Pub/Sub away")
	figures = append(figures, atMost("calls that failed meanwhile, single tries", float64(failed), "", 0),
		atMost("most memory of a replica", most, "MiB", memoryBar), settled)
	return append(l.figures(), figures...), err
}

// outage has Pub/Sub away once, and measures how what has waited drains while the load goes on.
func (w *world) outage(ctx context.Context, way away, d dose, most *float64) ([]figure, error) {
	before, began, err := w.count(ctx, "SELECT count(*) FROM outbox"), time.Now(), error(nil)
	way.begin(w)
	for time.Since(began) < d.lasts && err == nil {
		err = w.weigh(ctx, most)
		if err == nil {
			err = pause(ctx, min(time.Second, d.lasts-time.Since(began)))
		}
	}
	inflow := float64(w.count(ctx, "SELECT count(*) FROM outbox")-before) / time.Since(began).Seconds()
	waited := w.count(ctx, unpublished)
	way.end(w)
	if err != nil {
		return nil, err
	}
	healed := time.Now()
	published := w.count(ctx, "SELECT count(*) FROM outbox WHERE published_at IS NOT NULL")
	var first time.Time
	err = until(ctx, "the outbox to drain", d.lasts+patience, func() bool {
		if first.IsZero() && w.count(ctx, "SELECT count(*) FROM outbox WHERE published_at IS NOT NULL") > published {
			first = time.Now()
		}
		return w.count(ctx, unpublished) < 10 // What has just come is no backlog.
	})
	if err != nil {
		return nil, err
	}
	if err := w.weigh(ctx, most); err != nil {
		return nil, err
	}
	figures := []figure{
		measured(way.name+": events a second while it lasted", inflow, ""),
		measured(way.name+": events that had waited", float64(waited), ""),
		measured(way.name+": drained after", time.Since(healed).Seconds(), "s"),
	}
	if waited < 1000 { // Then the pauses between tries, up to 5 s, are all that there is to measure.
		return figures, nil
	}
	drained := float64(w.count(ctx, "SELECT count(*) FROM outbox WHERE published_at IS NOT NULL") - published)
	rate := drained / math.Max(time.Since(first).Seconds(), 0.01)
	return append(figures, atLeast(way.name+": drained by how many times the rate at which it came", rate/inflow, "", 5)), nil
}

// unpublished counts what waits.
const unpublished = "SELECT count(*) FROM outbox WHERE published_at IS NULL AND set_aside_at IS NULL"

// count reads a number. One that cannot be read breaks the world.
func (w *world) count(ctx context.Context, sql string) (n int) {
	if err := w.db.QueryRow(ctx, sql).Scan(&n); err != nil {
		w.breaks(fmt.Errorf("count: %w", err))
	}
	return n
}

// weigh notes the most memory that a replica has needed so far.
func (w *world) weigh(ctx context.Context, most *float64) error {
	for _, r := range w.replicas {
		bytes, err := r.metric(ctx, "process_resident_memory_bytes")
		if err != nil {
			return err
		}
		*most = math.Max(*most, bytes/(1<<20))
	}
	return nil
}
