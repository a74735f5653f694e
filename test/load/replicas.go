package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cls-backend/cls-backend/test/proof"
)

// replicasStudy is what more processes of the service do, and what they cost.
func replicasStudy() study {
	return study{
		name: "replicas",
		about: "One, two and three processes of the service on one PostgreSQL and one Pub/Sub, at 10,000 clusters. 24 connections, shared\n" +
			"out among the processes, each send one request after the other: 60 % get, 20 % report changed, 10 % list of 50, 5 % create and\n" +
			"5 % report unchanged. There are three rounds, of which the middle one counts. Judged are the memory of each process after the\n" +
			"load, and that the background work is not done twice: every wake-up of the fleet, as the schedule says, wrote one event, and\n" +
			"none was written without. What the figures do not contain: the gain of more machines. All processes, PostgreSQL, Pub/Sub and\n" +
			"what makes the load share the cores of one machine, which are busy with one process already, so that more of them give no\n" +
			"more requests here; what the figures tell is what it costs to have them.",
		run: studyReplicas,
	}
}

// replicated is how many connections the requests come over, whatever the number of processes: 1, 2 and 3 divide it.
const replicated = 24

func studyReplicas(ctx context.Context, l *lab) (s section, err error) {
	r, err := l.rig(ctx, dosed(l, 400, studied), false)
	defer func() { err = errors.Join(err, r.stop()) }()
	if err != nil {
		return s, err
	}
	fleet := replicas{rig: r, addrs: []string{r.apiAddr}, all: []*process{r.service}}
	defer func() { err = errors.Join(err, fleet.stopOthers()) }()
	const most = 3
	rounds := make([][]together, most)
	for range dosed(l, 1, 3) {
		if err := fleet.stopOthers(); err != nil {
			return s, err
		}
		for i := range most {
			if err := fleet.growTo(ctx, i+1); err != nil {
				return s, err
			}
			at, err := fleet.measure(ctx, l)
			if err != nil {
				return s, fmt.Errorf("%d processes: %w", i+1, err)
			}
			fmt.Fprintf(l.out, "%d processes: %.0f requests a second\n", i+1, at.perSecond())
			rounds[i] = append(rounds[i], at)
		}
	}
	return ofReplicas(rounds), nil
}

// ofReplicas is what came of one process and more, each in some rounds.
func ofReplicas(rounds [][]together) (s section) {
	t := table{Title: "By the number of processes:", Header: []string{
		"Processes", "requests /s", "least", "most", "p50 ms", "p99 ms", "CPU us a request, service", "PostgreSQL", "memory of each, MiB",
		"wake-ups", "events",
	}}
	p := proof.Plot{
		Title: "Requests a second by processes, on one machine", X: proof.Axis{Label: "processes of the service"},
		Y: proof.Axis{Label: "requests a second"}, Series: []proof.Series{{Name: "the middle round"}, {Name: "the worst"}, {Name: "the best"}},
	}
	for i, of := range rounds {
		slices.SortFunc(of, func(a, b together) int { return cmp.Compare(a.perSecond(), b.perSecond()) })
		middle, wakes, events, unequal, memory := of[len(of)/2], 0, 0, 0, 0.0
		for _, at := range of {
			wakes, events, unequal = wakes+len(at.watched.wakes), events+at.watched.total(), unequal+at.watched.unequal()
			memory = max(memory, slices.Max(at.memory))
		}
		rates := []float64{middle.perSecond(), of[0].perSecond(), of[len(of)-1].perSecond()}
		for k, rate := range rates {
			p.Series[k].Points = append(p.Series[k].Points, proof.Point{X: float64(i + 1), Y: rate})
		}
		t.add(i+1, whole(rates[0]), whole(rates[1]), whole(rates[2]), ms(percentile(middle.samples, 0.5)), ms(percentile(middle.samples, 0.99)),
			whole(middle.perOperation(middle.used.process)), whole(middle.perOperation(middle.used.postgres)), middle.memories(), wakes, events)
		name := fmt.Sprintf("%d of the service: ", i+1)
		s.Figures = append(s.Figures,
			proof.Measured(name+"requests", rates[0], "a second"),
			proof.AtMost(name+"memory of the largest after the load", memory, "MiB", memoryBar),
			proof.AtMost(name+"wake-ups that wrote no event or two", float64(unequal), "", 0))
	}
	middle := p.Series[0].Points
	s.Figures = append(s.Figures, proof.Measured("requests a second with three, by those with one", middle[len(middle)-1].Y/middle[0].Y, ""))
	s.Tables, s.Plots = []table{t}, []proof.Plot{p}
	return s
}

// replicas are processes of the service on one rig, of which the first is the rig's own.
type replicas struct {
	rig   *rig
	addrs []string
	all   []*process
}

// growTo starts further ones.
func (f *replicas) growTo(ctx context.Context, n int) error {
	for len(f.all) < n {
		p, addr, err := f.rig.launch(ctx)
		if err != nil {
			return err
		}
		f.all, f.addrs = append(f.all, p), append(f.addrs, addr)
		if err := f.rig.ready(ctx, addr); err != nil {
			return err
		}
	}
	return nil
}

// stopOthers ends all but the first.
func (f *replicas) stopOthers() error {
	var errs []error
	for _, p := range f.all[1:] {
		errs = append(errs, p.stop())
	}
	f.all, f.addrs = f.all[:1], f.addrs[:1]
	return errors.Join(errs...)
}

// together is what came of a number of replicas.
type together struct {
	result

	watched watched
	memory  []float64 // of each, in MiB
}

func (t together) memories() string {
	texts := make([]string, len(t.memory))
	for i, m := range t.memory {
		texts[i] = proof.Number(m)
	}
	return strings.Join(texts, ", ")
}

// measure puts the mix on all of them, after a load that does not count, and puts the fleet back.
func (f *replicas) measure(ctx context.Context, l *lab) (t together, err error) {
	if err := f.rig.rest(ctx); err != nil {
		return t, err
	}
	if _, err := f.load(ctx, dosed(l, 50*time.Millisecond, 3*time.Second)); err != nil {
		return t, err
	}
	d := dosed(l, time.Second, 15*time.Second)
	before, err := f.used(ctx)
	if err != nil {
		return t, err
	}
	var both errgroup.Group
	both.Go(func() (err error) {
		began := time.Now()
		t.samples, err = f.load(ctx, d)
		t.elapsed = time.Since(began)
		return err
	})
	both.Go(func() (err error) {
		t.watched, err = f.rig.watch(ctx, d, min(d, lookEvery))
		return err
	})
	if err := both.Wait(); err != nil {
		return t, err
	}
	after, err := f.used(ctx)
	if err != nil {
		return t, err
	}
	t.used = after.minus(before)
	for _, p := range f.all {
		bytes, err := residentMemory(p.pid())
		if err != nil {
			return t, err
		}
		t.memory = append(t.memory, float64(bytes)/(1<<20))
	}
	return t, f.rig.settle(ctx)
}

// used is what all of them and PostgreSQL have used so far.
func (f *replicas) used(ctx context.Context) (usage, error) {
	u, err := (&bench{rig: f.rig}).used(ctx, nil, f.rig.db)
	if err != nil {
		return u, err
	}
	for _, p := range f.all {
		cpu, err := processCPU(p.pid())
		if err != nil {
			return u, err
		}
		u.process += cpu
	}
	return u, nil
}

// load puts the mix on each of them at the same time.
func (f *replicas) load(ctx context.Context, d time.Duration) ([]sample, error) {
	var (
		group errgroup.Group
		kept  = make([][]sample, len(f.addrs))
		count atomic.Int64 // no two requests have a number, whichever replica they go to
	)
	for i, addr := range f.addrs {
		group.Go(func() (err error) {
			kept[i], err = generate(ctx, addr, replicated/len(f.addrs), d, func(rng *rand.Rand, _ int) []request {
				return []request{mixed(rng, f.rig.options.clusters, int(count.Add(1)))}
			})
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(kept...), err
}

// mixed is one request of the mix. Reports that change something are on the first half of the fleet, so that those of the
// second half stay as they are.
func mixed(rng *rand.Rand, n, k int) request {
	switch dice := rng.IntN(20); {
	case dice < 12:
		return get(rng.IntN(n))
	case dice < 16:
		return changedReport(rng, n/2, k)
	case dice < 18:
		return lists(n)[0].next(rng, k)
	case dice < 19:
		return create(k)
	default:
		i, slot := n/2+rng.IntN(n-n/2), rng.IntN(3)
		return put(i, slot, report(i, slot))
	}
}
