package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cls-backend/cls-backend/test/proof"
)

// openLoopStudy is how long requests take that come whether or not those before are answered.
func openLoopStudy() study {
	return study{
		name: "open-loop",
		about: "How long requests take that come at a rate, as those of many callers who know nothing of each other (a Poisson process),\n" +
			"over 64 connections that are kept alive, at 10,000 clusters. The time counts from when a request was due, not from when\n" +
			"it was sent: whoever comes while the service stands waits too, and a closed loop does not see them (coordinated omission; Gil\n" +
			"Tene, [wrk2](https://github.com/giltene/wrk2)). The rates are parts of what a closed loop with 8 connections reached right before.",
		run: studyOpenLoop,
	}
}

// arriving is how many connections the requests of an open loop have.
const arriving = 64

// shares of the closed loop's rate.
func shares() []float64 { return []float64{0.25, 0.5, 0.75, 0.9} }

func studyOpenLoop(ctx context.Context, l *lab) (s section, err error) {
	r, err := l.rig(ctx, dosed(l, 400, studied), false)
	defer func() { err = errors.Join(err, r.stop()) }()
	if err != nil {
		return s, err
	}
	b := l.bench(r)
	t := table{Title: "By rate:", Header: []string{
		"Operation", "of the closed loop", "due /s", "answered /s", "p50 ms", "p99 ms", "p99.9 ms", "slowest ms", "requests", "generator late ms",
	}}
	refused, count := 0, 0
	for _, op := range operations(r.options.clusters) {
		if op.name != "get" && op.name != "report changed" && op.name != "create" {
			continue
		}
		if err := b.warm(ctx, op, r.apiAddr, connections); err != nil {
			return s, err
		}
		p := proof.Plot{
			Title: op.name + ": latency by rate", X: proof.Axis{Label: "requests due a second"}, Y: proof.Axis{Label: "ms", Log: true},
			Series: []proof.Series{{Name: "p50"}, {Name: "p99"}, {Name: "p99.9"}},
		}
		for _, share := range dosed(l, shares()[:2], shares()) {
			rate, o, err := b.open(ctx, op, share, dosed(l, 200*time.Millisecond, 30*time.Second))
			if err != nil {
				return s, fmt.Errorf("%s at %.0f %%: %w", op.name, share*100, err)
			}
			for i, part := range []float64{0.5, 0.99, 0.999} {
				p.Series[i].Points = append(p.Series[i].Points, proof.Point{X: rate, Y: milliseconds(percentile(o.samples, part))})
			}
			t.add(op.name, fmt.Sprintf("%.0f %%", share*100), whole(rate), whole(o.perSecond()), ms(percentile(o.samples, 0.5)),
				ms(percentile(o.samples, 0.99)), ms(percentile(o.samples, 0.999)), ms(percentile(o.samples, 1)), len(o.samples), ms(o.late))
			refused, count = refused+o.refused, count+len(o.samples)+o.refused
		}
		s.Plots = append(s.Plots, p)
	}
	s.Tables = []table{t}
	s.Figures = []proof.Figure{
		proof.Measured("requests in open loops", float64(count), ""),
		proof.AtMost("requests in open loops that were refused (503)", float64(refused), "", 0),
	}
	return s, nil
}

// open measures an operation in an open loop at a share of what a closed one reaches right before.
func (b *bench) open(ctx context.Context, op operation, share float64, d time.Duration) (rate float64, o opened, err error) {
	closed, err := b.load(ctx, op, b.rig.service, b.rig.apiAddr, b.rig.db, connections)
	if err != nil {
		return 0, o, err
	}
	rate = share * closed.perSecond()
	rng := rand.New(rand.NewPCG(b.options.seed, uint64(share*100)))
	due := arrivals(rng, rate, d)
	o, err = generateOpen(ctx, b.rig.apiAddr, arriving, due, func(k int) request {
		return op.next(rand.New(rand.NewPCG(b.options.seed, uint64(k))), k)[0]
	})
	if err != nil {
		return rate, o, err
	}
	fmt.Fprintf(b.out, "%-36s %8.0f/s due, %8.0f/s answered, p50 %s ms, p99 %s ms\n", op.name, rate, o.perSecond(),
		ms(percentile(o.samples, 0.5)), ms(percentile(o.samples, 0.99)))
	return rate, o, errors.Join(b.settle(ctx, op), b.putBack(ctx, op))
}
