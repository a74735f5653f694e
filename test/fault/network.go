package main

import (
	"context"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/proxy"
)

func networks() []scenario {
	return []scenario{{
		name: "network/postgres", promise: "A replica that is cut off from PostgreSQL is not missed, and does no harm when it is back.",
		about: "Between one replica and PostgreSQL nothing comes through and nobody is told (a partition), all is half a second late each way, " +
			"connections stand still and are reset again and again, one after the other. The other replicas go on.",
		full: dose{times: 4, lasts: time.Minute}, short: dose{times: 4, lasts: 3 * time.Second}, unit: "faults", run: cutOff,
	}}
}

// takeOver is how soon the others have taken over what a replica had in hand, in seconds.
const takeOver = 10

// cut is something that happens between a replica and PostgreSQL. A fault that is a moment is repeated.
type cut struct {
	name  string
	begin func(*proxy.Proxy)
	again bool
}

func cuts() []cut {
	return []cut{
		{"partition", (*proxy.Proxy).Partition, false},
		{"latency", func(p *proxy.Proxy) { p.Latency(500 * time.Millisecond) }, false},
		{"stall", (*proxy.Proxy).Stall, false},
		{"resets", (*proxy.Proxy).Reset, true},
	}
}

func cutOff(ctx context.Context, w *world, d dose) ([]figure, error) {
	quiet, err := w.addStill(ctx, 20)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	l := w.startLoad(ctx, 8, 60)
	var figures []figure
	for _, c := range cuts()[:d.times] {
		oldest, err := w.cut(ctx, w.replicas[0], c, d.lasts)
		if err != nil {
			return nil, err
		}
		figures = append(figures, atMost(c.name+": longest that a change waited for its event", oldest.Seconds(), "s", takeOver+2))
	}
	back, err := w.allReady(ctx)
	if err != nil {
		return nil, err
	}
	figures = append(figures, atMost("until all replicas were ready in the end", back.Seconds(), "s", backLimit))
	figures, err = w.over(ctx, l, "faults between a replica and PostgreSQL", began, figures...)
	if err != nil {
		return figures, err
	}
	wakes, err := quiet.figures(ctx, began, attention*11/10+takeOver*time.Second)
	return append(figures, wakes...), err
}

// cut has a fault last between a replica and PostgreSQL, and returns how long the change waited that waited longest.
func (w *world) cut(ctx context.Context, r *replica, c cut, lasts time.Duration) (oldest time.Duration, err error) {
	c.begin(r.postgres)
	for began := time.Now(); time.Since(began) < lasts && err == nil; {
		if c.again {
			c.begin(r.postgres)
		}
		oldest = max(oldest, time.Duration(w.count(ctx, oldestChange))*time.Millisecond)
		err = pause(ctx, 10*poll)
	}
	if healed := r.postgres.Heal(); err == nil {
		err = healed
	}
	return oldest, err
}

// oldestChange is how long the change has waited that waits longest to be published, in ms.
const oldestChange = `
	SELECT coalesce(max(extract(epoch FROM clock_timestamp() - created_at) * 1000), 0)::int FROM outbox
	WHERE published_at IS NULL AND set_aside_at IS NULL AND NOT wake`
