package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// lookEvery is how often the schedule is looked at. A place stands for 27 s at least (30 s, less 10 %), so that each is seen.
const lookEvery = 10 * time.Second

// place is one of a cluster in the schedule: when it is due, and when that was last decided.
type place struct{ due, decided time.Time }

// census is the schedule of a fleet's clusters, and how many events the scheduler has written for each, at one moment.
type census struct {
	at     time.Time
	places map[string]place // by cluster
	events map[string]int   // by cluster
}

// census looks at both in one snapshot: a pass writes them in one transaction.
func (r *rig) census(ctx context.Context) (c census, err error) {
	c = census{places: map[string]place{}, events: map[string]int{}}
	err = pgx.BeginTxFunc(ctx, r.db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT cluster_id::text, next_reconcile_at, updated_at FROM reconciliation_schedule WHERE cluster_id <= $1`,
			clusterID(r.options.clusters))
		if err != nil {
			return err
		}
		var (
			id string
			p  place
			n  int
		)
		if _, err := pgx.ForEachRow(rows, []any{&id, &p.due, &p.decided}, func() error {
			c.places[id] = p
			return nil
		}); err != nil {
			return err
		}
		rows, err = tx.Query(ctx, `SELECT resource_id::text, count(*) FROM outbox
			WHERE wake AND kind = 'cluster' AND resource_id <= $1 AND metadata ->> 'triggered_by' IN ('scheduler', 'reactive') GROUP BY 1`,
			clusterID(r.options.clusters))
		if err != nil {
			return err
		}
		if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error {
			c.events[id] = n
			return nil
		}); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT now()`).Scan(&c.at)
	})
	if err != nil {
		return c, fmt.Errorf("look at the schedule: %w", err)
	}
	return c, nil
}

// woken is a wake-up of a cluster: when it was due, and how much later a pass of the scheduler took it, both on the
// database's clock.
type woken struct {
	cluster string
	due     time.Time
	late    time.Duration
}

// since are the wake-ups between two looks. In a fleet in which nothing is new, only the scheduler moves a place, and it
// does so in the transaction that writes the event.
func (c census) since(before census) (list []woken, err error) {
	for id, was := range before.places {
		is, ok := c.places[id]
		switch {
		case !ok:
			return nil, fmt.Errorf("cluster %s is no longer in the schedule", id)
		case is.due.Equal(was.due):
		case is.decided.Before(was.due):
			return nil, fmt.Errorf("cluster %s was due at %v, and was given another time at %v, before", id, was.due, is.decided)
		default:
			list = append(list, woken{id, was.due, is.decided.Sub(was.due)})
		}
	}
	return list, nil
}

// watched is what the scheduler has done over a while.
type watched struct {
	from, to census
	wakes    []woken
}

// watch looks at the schedule for a while, at both ends of it and every so often between.
func (r *rig) watch(ctx context.Context, d, every time.Duration) (w watched, err error) {
	if w.from, err = r.census(ctx); err != nil {
		return w, err
	}
	w.to = w.from
	for began := time.Now(); time.Since(began) < d; {
		if err := wait(ctx, min(every, d-time.Since(began))); err != nil {
			return w, err
		}
		next, err := r.census(ctx)
		if err != nil {
			return w, err
		}
		wakes, err := next.since(w.to)
		if err != nil {
			return w, err
		}
		w.wakes, w.to = append(w.wakes, wakes...), next
	}
	return w, nil
}

// seconds is how long it was.
func (w watched) seconds() float64 { return w.to.at.Sub(w.from.at).Seconds() }

// events are how many the scheduler wrote for a cluster.
func (w watched) events(cluster string) int { return w.to.events[cluster] - w.from.events[cluster] }

// total are all events of the scheduler.
func (w watched) total() int {
	n := 0
	for id := range w.to.events {
		n += w.events(id)
	}
	return n
}

// unequal is how many events there are too many or too few: each wake-up is one event.
func (w watched) unequal() int {
	wakes, n := map[string]int{}, 0
	for _, one := range w.wakes {
		wakes[one.cluster]++
	}
	for id := range w.from.places {
		n += max(w.events(id)-wakes[id], wakes[id]-w.events(id))
	}
	return n
}

// lateness is that of the wake-ups, each at the time when it was due.
func (w watched) lateness() []sample {
	list := make([]sample, len(w.wakes))
	for i, one := range w.wakes {
		list[i] = sample{at: one.due.Sub(w.from.at), took: one.late}
	}
	return list
}
