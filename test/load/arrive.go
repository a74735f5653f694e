package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/test/proof"
	"github.com/cls-backend/cls-backend/test/pubsub"
)

// createToEvent creates clusters at rates, and has a subscriber wait for their events.
func (l *lab) createToEvent(ctx context.Context, r *rig, s *section) error {
	t := table{Title: "Create to event:", Header: []string{
		"creations /s", "p50 ms", "p99 ms", "max ms", "events", "answered p50 ms", "raw p50 ms",
		"raw p99 ms", "raw max ms", "p50, by raw", "generator late ms",
	}}
	p := proof.Plot{
		Title: "Create to event, by rate", X: proof.Axis{Label: "creations due a second"}, Y: proof.Axis{Label: "ms", Log: true},
		Series: []proof.Series{{Name: "create to event, p50"}, {Name: "create to event, p99"}, {Name: "raw, p50"}, {Name: "raw, p99"}},
	}
	for i, rate := range dosed(l, []float64{20, 200}, []float64{5, 50, 200}) {
		due := arrivals(l.random(uint64(i)+1), rate, dosed(l, 300*time.Millisecond, 20*time.Second))
		o, took, floor, err := l.toSubscriber(ctx, r, fmt.Sprintf("heard-%.0f-", rate), due)
		if err != nil {
			return fmt.Errorf("%.0f a second: %w", rate, err)
		}
		p50, p99 := percentile(took, 0.5), percentile(took, 0.99)
		for k, d := range []time.Duration{p50, p99, percentile(floor, 0.5), percentile(floor, 0.99)} {
			p.Series[k].Points = append(p.Series[k].Points, proof.Point{X: rate, Y: milliseconds(d)})
		}
		t.add(whole(rate), ms(p50), ms(p99), ms(percentile(took, 1)), len(took), ms(percentile(o.samples, 0.5)), ms(percentile(floor, 0.5)),
			ms(percentile(floor, 0.99)), ms(percentile(floor, 1)), float64(p50)/float64(percentile(floor, 0.5)), ms(o.late))
		s.Figures = append(s.Figures,
			proof.Measured(fmt.Sprintf("create to event at %.0f creations a second, p50", rate), milliseconds(p50), "ms"),
			proof.Measured(fmt.Sprintf("create to event at %.0f creations a second, p99", rate), milliseconds(p99), "ms"))
	}
	s.Tables, s.Plots = append(s.Tables, t), append(s.Plots, p)
	return nil
}

// toSubscriber creates clusters when they are due, and returns how long each took from then until a subscriber had its event;
// and how long raw messages take that are due then.
func (l *lab) toSubscriber(ctx context.Context, r *rig, prefix string, due []time.Duration) (o opened, took, floor []sample, err error) {
	raw, err := l.fresh(ctx, r)
	if err != nil {
		return o, nil, nil, err
	}
	defer func() { err = errors.Join(err, raw.close()) }()
	if o, took, err = r.toSubscriber(ctx, raw, prefix, due); err != nil {
		return o, nil, nil, fmt.Errorf("create: %w", err)
	}
	if floor, err = r.rawToSubscriber(ctx, raw, due); err != nil {
		return o, nil, nil, fmt.Errorf("publish raw messages: %w", err)
	}
	return o, took, floor, nil
}

func (r *rig) rawToSubscriber(ctx context.Context, raw *publisher, due []time.Duration) (took []sample, err error) {
	arrived, end, err := watchArrivals(ctx, raw.conn, rawTopic, orderingKey)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	began, _, err := raw.open(ctx, due)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(due))
	for k := range due {
		keys[k] = clusterID(k)
	}
	return r.arrivals(ctx, arrived, began, due, keys)
}

func (r *rig) toSubscriber(ctx context.Context, raw *publisher, prefix string, due []time.Duration) (o opened, took []sample, err error) {
	arrived, end, err := watchArrivals(ctx, raw.conn, pubsub.ClusterEvents, createdKey)
	if err != nil {
		return o, nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	name := func(k int) string { return fmt.Sprint(prefix, k) }
	if o, err = generateOpen(ctx, r.apiAddr, arriving, due, func(k int) request { return createNamed(name(k), k) }); err != nil {
		return o, nil, err
	}
	ids, err := r.named(ctx, prefix)
	if err != nil {
		return o, nil, err
	}
	if o.refused > 0 || len(ids) != len(due) {
		return o, nil, fmt.Errorf("of %d creations %d were refused, and %d clusters are there", len(due), o.refused, len(ids))
	}
	keys := make([]string, len(due))
	for k := range due {
		keys[k] = ids[name(k)]
	}
	took, err = r.arrivals(ctx, arrived, o.began, due, keys)
	return o, took, err
}

// arrivals waits until a message with each ordering key has come, and returns how long they took from when they were due.
func (r *rig) arrivals(ctx context.Context, a *arrivalTimes, began time.Time, due []time.Duration, keys []string) ([]sample, error) {
	took := make([]sample, len(due))
	err := r.poll(ctx, fmt.Sprintf("%d messages to come", len(due)), 10*time.Millisecond, func(context.Context) (bool, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for k, at := range due {
			came, ok := a.at[keys[k]]
			if !ok {
				return false, nil
			}
			took[k] = sample{at: at, took: came.Sub(began.Add(at))}
		}
		return true, nil
	})
	return took, err
}

// named are the ids of the clusters whose names begin with a prefix.
func (r *rig) named(ctx context.Context, prefix string) (map[string]string, error) {
	rows, err := r.db.Query(ctx, `SELECT name, id::text FROM clusters WHERE created_by = $1 AND starts_with(name, $2)`, newcomer, prefix)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	var name, id string
	_, err = pgx.ForEachRow(rows, []any{&name, &id}, func() error {
		ids[name] = id
		return nil
	})
	return ids, err
}
