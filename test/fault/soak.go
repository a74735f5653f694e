package main

import (
	"context"
	"math"
	"slices"
	"time"
)

func soaks() []scenario {
	return []scenario{{
		name: "soak/steady", promise: "What goes on for long, with a fault now and then, takes no more memory and goroutines for that.",
		about: "The usual load goes on; in turn one replica is killed, Pub/Sub hangs for a second, and PostgreSQL is restarted, one of " +
			"them every two minutes (at the short dose every 2.5 s). It is always the same replica that is killed, and the others are " +
			"judged: they go through all of it.",
		full: dose{times: 1, lasts: 30 * time.Minute}, short: dose{times: 1, lasts: 10 * time.Second}, unit: "soaks",
		run: soak, postgres: itsOwn(),
	}}
}

// steady is by how much the median of the last quarter may be above that of the second.
const steady = 1.15

// sample is what there was at a moment.
type sample struct {
	memory, goroutines []float64 // of each replica that is not killed, in MiB
	connections        int
	tables, indexes    int // bytes
}

const (
	sizes       = " FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
	tablesSize  = "SELECT sum(pg_table_size(oid))::bigint" + sizes
	indexesSize = "SELECT sum(pg_indexes_size(oid))::bigint" + sizes
	sessions    = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'cls-backend'"
)

func soak(ctx context.Context, w *world, d dose) ([]figure, error) {
	began := time.Now()
	l := w.startLoad(ctx, 8, 30)
	var (
		list   []sample
		faults int
		every  = min(d.lasts/4, 2*time.Minute)
		look   = min(d.lasts/40, 10*time.Second)
		next   = began.Add(every / 2)
	)
	for time.Since(began) < d.lasts {
		if time.Now().After(next) {
			if err := w.disturb(ctx, faults); err != nil {
				return nil, err
			}
			faults++
			next = next.Add(every)
		}
		s, err := w.sample(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
		if err := pause(ctx, look); err != nil {
			return nil, err
		}
	}
	first, last, most := list[0], list[len(list)-1], 0
	for _, s := range list {
		most = max(most, s.connections)
	}
	figures := []figure{
		measured("samples", float64(len(list)), ""), measured("faults", float64(faults), ""),
		measured("most connections to PostgreSQL", float64(most), ""),
		measured("tables in the beginning", float64(first.tables)/(1<<20), "MiB"),
		measured("tables in the end", float64(last.tables)/(1<<20), "MiB"),
		measured("indexes in the beginning", float64(first.indexes)/(1<<20), "MiB"),
		measured("indexes in the end", float64(last.indexes)/(1<<20), "MiB"),
	}
	for i, r := range w.replicas[1:] {
		figures = append(figures, w.flat("memory of "+r.name, "MiB", list, func(s sample) float64 { return s.memory[i] })...)
		figures = append(figures, w.flat("goroutines of "+r.name, "", list, func(s sample) float64 { return s.goroutines[i] })...)
	}
	return w.over(ctx, l, "a soak", began, figures...)
}

// disturb has one of the three things go wrong, and be over.
func (w *world) disturb(ctx context.Context, turn int) error {
	switch turn % 3 {
	case 0:
		return w.replicas[0].kill(ctx)
	case 1:
		for _, r := range w.replicas {
			r.pubsub.Stall()
		}
		paused := pause(ctx, time.Second)
		for _, r := range w.replicas {
			if err := r.pubsub.Heal(); err != nil {
				return err
			}
		}
		return paused
	default:
		w.postgres.Kill()
		if err := w.startAgain(ctx); err != nil {
			return err
		}
		_, err := w.allReady(ctx)
		return err
	}
}

// sample looks at all that could grow.
func (w *world) sample(ctx context.Context) (s sample, err error) {
	const looks = 3
	for _, r := range w.replicas[1:] {
		memory, err := r.metric(ctx, "process_resident_memory_bytes")
		if err != nil {
			return s, err
		}
		// A connection of the clients has a goroutine, and so has a request that is just answered: the least counts.
		goroutines := math.Inf(1)
		for range looks {
			w.transport.CloseIdleConnections()
			now, err := r.metric(ctx, "go_goroutines")
			if err != nil {
				return s, err
			}
			goroutines = min(goroutines, now)
		}
		s.memory, s.goroutines = append(s.memory, memory/(1<<20)), append(s.goroutines, goroutines)
	}
	s.connections, s.tables, s.indexes = w.count(ctx, sessions), w.count(ctx, tablesSize), w.count(ctx, indexesSize)
	return s, nil
}

// flat compares the median of the last quarter with that of the second.
func (w *world) flat(what, unit string, list []sample, of func(sample) float64) []figure {
	median := func(part []sample) float64 {
		values := make([]float64, 0, len(part))
		for _, s := range part {
			values = append(values, of(s))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	quarter := len(list) / 4
	second, last := median(list[quarter:max(quarter+1, 2*quarter)]), median(list[len(list)-max(1, quarter):])
	return []figure{
		measured(what+", median of the last quarter", last, unit),
		w.atFull(atMost("which is, of that of the second", last/second, "", steady)),
	}
}
