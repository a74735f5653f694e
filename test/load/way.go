package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"golang.org/x/sync/errgroup"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/proof"
	"github.com/cls-backend/cls-backend/test/pubsub"
	"github.com/cls-backend/cls-backend/test/wire"
)

// postToReady creates clusters at rates, on which controllers report as soon as they have the event.
func (l *lab) postToReady(ctx context.Context, r *rig, s *section) error {
	t := table{Title: "POST to Ready, three controllers driven by the events:", Header: []string{
		"creations /s", "p50 ms", "p99 ms", "max ms", "clusters", "first GET said otherwise",
	}}
	for i, rate := range []float64{perSecond, background} {
		due := arrivals(l.random(uint64(i)+30), rate, dosed(l, 500*time.Millisecond, 20*time.Second))
		prefix := fmt.Sprintf("way-%.0f-", rate)
		raw, err := l.fresh(ctx, r)
		if err != nil {
			return err
		}
		c := newCrew(len(due))
		took, err := c.lead(ctx, r, raw, prefix, due)
		if err = errors.Join(err, raw.close()); err != nil {
			return fmt.Errorf("%.0f creations a second: %w", rate, err)
		}
		t.add(whole(rate), ms(percentile(took, 0.5)), ms(percentile(took, 0.99)), ms(percentile(took, 1)), len(took), c.not)
		at := fmt.Sprintf("POST to Ready at %.0f creations a second", rate)
		s.Figures = append(s.Figures,
			proof.Measured(at+", p50", milliseconds(percentile(took, 0.5)), "ms"),
			proof.Measured(at+", p99", milliseconds(percentile(took, 0.99)), "ms"),
			proof.AtMost(at+", first GETs that did not say so", float64(c.not), "", 0))
	}
	s.Tables = append(s.Tables, t)
	return nil
}

// reporting is how many clusters a controller reports on at once, each over a connection of its own.
const reporting = 4

// crew are the controllers of a part of a study. They share what they hear.
type crew struct {
	heard []chan string // of clusters, one for each controller

	mu      sync.Mutex
	known   map[string]bool // an event may come twice
	reports map[string]int  // answered, by cluster
	ready   map[string]time.Time
	not     int // first reads after the last report that did not say Ready
}

// newCrew makes a crew for so many clusters.
func newCrew(clusters int) *crew {
	c := &crew{known: map[string]bool{}, reports: map[string]int{}, ready: map[string]time.Time{}}
	for range required() {
		c.heard = append(c.heard, make(chan string, clusters)) // Has room for all, so that none ever waits.
	}
	return c
}

// lead creates clusters when they are due, and returns how long each took from then until it was read as Ready.
func (c *crew) lead(ctx context.Context, r *rig, raw *publisher, prefix string, due []time.Duration) (took []sample, err error) {
	stopHearing, err := pubsub.Watch(ctx, raw.conn, "crew", pubsub.ClusterEvents, c.hear)
	if err != nil {
		return nil, err
	}
	working, stop := context.WithCancel(ctx)
	group, working := errgroup.WithContext(working)
	for i := range required() {
		for range reporting {
			group.Go(func() error { return c.work(working, r.apiAddr, i) })
		}
	}
	o, err := c.create(working, r, prefix, due)
	stop()
	// Whoever failed tells more than those who were stopped because of it.
	if err := errors.Join(group.Wait(), err, stopHearing()); err != nil {
		return nil, err
	}
	ids, err := r.named(ctx, prefix)
	if err != nil {
		return nil, err
	}
	for k, at := range due {
		ready, ok := c.ready[ids[fmt.Sprint(prefix, k)]]
		if !ok {
			return nil, fmt.Errorf("cluster %s%d is not among those that are Ready", prefix, k)
		}
		took = append(took, sample{at: at, took: ready.Sub(o.began.Add(at))})
	}
	return took, nil
}

// create creates all clusters, and waits until they are Ready.
func (c *crew) create(ctx context.Context, r *rig, prefix string, due []time.Duration) (opened, error) {
	o, err := generateOpen(ctx, r.apiAddr, arriving, due, func(k int) request { return createNamed(fmt.Sprint(prefix, k), k) })
	if err != nil {
		return o, err
	}
	if o.refused > 0 {
		return o, fmt.Errorf("%d of %d creations were refused", o.refused, len(due))
	}
	return o, r.poll(ctx, "the clusters to be Ready", 10*time.Millisecond, func(context.Context) (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.ready) == len(due), nil
	})
}

// hear tells all controllers of a new cluster.
func (c *crew) hear(_ context.Context, m *pb.PubsubMessage) error {
	id := m.GetAttributes()["cluster_id"]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[id] || m.GetAttributes()["event_type"] != v1.ClusterCreated {
		return nil
	}
	c.known[id] = true
	for _, heard := range c.heard {
		heard <- id
	}
	return nil
}

// work reports on what is heard, until ctx ends. Whose report is the last one reads the cluster.
func (c *crew) work(ctx context.Context, addr string, i int) error {
	connection, err := wire.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer connection.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case id := <-c.heard[i]:
			if err := do(connection, available(id, i)); err != nil {
				return err
			}
			if !c.last(id) {
				continue
			}
			at, again, err := untilReady(connection, id)
			if err != nil {
				return err
			}
			c.done(id, at, again)
		}
	}
}

// last counts an answered report, and says whether it was the last on its cluster.
func (c *crew) last(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports[id]++
	return c.reports[id] == len(c.heard)
}

func (c *crew) done(id string, at time.Time, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready[id] = at
	if again {
		c.not++
	}
}
