package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// still are clusters that nobody touches, whose wake-ups can be counted: each is due one attention interval after the
// one before, within 10 %.
type still struct {
	w   *world
	ids []string
}

// addStill makes such clusters and waits until they are Ready and the reactive wake-ups that this caused are over.
func (w *world) addStill(ctx context.Context, n int) (*still, error) {
	l := &load{w: w, rng: w.rig.random(w.scenario.name + " still")}
	c := w.client("still", owner)
	for len(l.living()) < n && l.err() == nil {
		l.create(ctx, c, l.rng)
	}
	if err := l.err(); err != nil {
		return nil, err
	}
	s := &still{w: w}
	for _, it := range l.living() {
		s.ids = append(s.ids, it.id)
	}
	_, err := w.await(ctx, patience)
	return s, err
}

// figures are what has become of the wake-ups since a moment. The gap before a wake-up of the attention lane is about the
// interval; one that was sent twice would show as next to none. longest is how long a gap may be.
func (s *still) figures(ctx context.Context, since time.Time, longest time.Duration) ([]figure, error) {
	type gaps struct {
		Wakes, Doubled, Never int
		Longest               float64
	}
	found, err := rows[gaps](ctx, s.w, pgx.RowToStructByPos[gaps], `
		WITH wakes AS (
			SELECT resource_id, reason, created_at, created_at - lag(created_at) OVER (PARTITION BY resource_id ORDER BY created_at) AS gap
			FROM outbox WHERE wake AND resource_id = ANY ($1::uuid[])
		), counted AS (
			SELECT resource_id, reason, gap FROM wakes WHERE created_at > $2
		)
		SELECT count(*), count(*) FILTER (WHERE reason = 'attention' AND gap < $3::interval),
		       cardinality($1) - count(DISTINCT resource_id), coalesce(extract(epoch FROM max(gap)), 0)::float8 FROM counted`,
		s.ids, since, attention/2)
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("look at the wake-ups: %w", err)
	}
	g := found[0]
	return []figure{
		measured("wake-ups of resources that nobody touched", float64(g.Wakes), ""),
		atMost("of which came within half an interval of the one before", float64(g.Doubled), "", 0),
		atMost("resources that were never woken", float64(g.Never), "", 0),
		atMost("longest time between two", g.Longest, "s", longest.Seconds()),
	}, nil
}
