package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/wire"
)

func overloads() []scenario {
	return []scenario{{
		name: "overload/triple", promise: "Three times as much as it can do makes a replica do no less, and tell the others so.",
		about: "One replica with its usual 25 connections is asked for gets (60 %), reports (25 %) and changes (15 %): by as many as it " +
			"can answer, which is the peak; then at three times that rate, at fixed times whatever is answered; then at half the peak. " +
			"The generator has the machine in common with the replica and PostgreSQL. A few clients that retry, and the controllers, " +
			"go on beside it.",
		full: dose{times: 1, lasts: 2 * time.Minute}, short: dose{times: 1, lasts: 5 * time.Second}, unit: "overloads", run: overload,
		replicas: 1, connections: 25, alone: true,
	}}
}

const (
	peakClients = 64
	// goodShare is how much of the peak must be done at three times the peak.
	goodShare = 0.8
	// overloadMemory is what the replica may need, in MiB.
	overloadMemory = 200
	// healthWithin is how soon a probe must be answered, in seconds; recoverWithin how soon all must be as before.
	healthWithin, recoverWithin = 2, 30
)

func overload(ctx context.Context, w *world, d dose) ([]figure, error) {
	began := time.Now()
	l := w.startLoad(ctx, 2, 4)
	ids, next, err := w.mixed(ctx, l)
	if err != nil {
		return nil, err
	}
	at := w.replicas[0].process().api
	calm := max(2*time.Second, d.lasts/12)
	// In the first two seconds PostgreSQL plans, session by session.
	peak := goodput(closedLoop(ctx, at, peakClients, calm+2*time.Second, next), 2, int(calm.Seconds())+2)
	before := openLoop(ctx, at, peak/2, calm, next)

	probed, weighed := w.startProbing(ctx), w.startWeighing(ctx)
	busy, err := w.startTiming(ctx)
	if err != nil {
		return nil, err
	}
	during := openLoop(ctx, at, 3*peak, d.lasts, next)
	shares, err := busy()
	if err != nil {
		return nil, err
	}
	back, after, err := asBefore(ctx, at, peak/2, calm, percentile(tookOf(before), 99), next)
	if err != nil {
		return nil, err
	}
	most, err := weighed()
	if err != nil {
		return nil, err
	}
	c := w.client("overload", owner)
	for _, id := range ids {
		l.persist(ctx, "delete", func() error {
			_, err := c.DeleteCluster(ctx, id)
			return err
		})
	}
	good := goodput(during, 2, int(d.lasts.Seconds()))
	figures := []figure{
		measured("peak", peak, "answers a second"),
		measured("of which done at three times that", good, "answers a second"),
		w.atFull(atLeast("which is, of the peak", good/peak, "", goodShare)),
		measured("requests meanwhile", float64(len(during)), ""),
		measured("of which refused (503 or 429, with Retry-After)", float64(numberOf(during, arrival.refused)), ""),
		atMost("of which answered with something else, or not at all",
			float64(numberOf(during, func(a arrival) bool { return !a.succeeded() && !a.refused() })), "", 0),
		measured("of which succeeded after more than 5 s",
			float64(numberOf(during, func(a arrival) bool { return a.succeeded() && !a.ok() })), ""),
		atMost("for which there was no socket", float64(numberOf(during, func(a arrival) bool { return a.unsent })), "", 0),
		measured("median of those that were done", 1000*percentile(tookOf(during), 50).Seconds(), "ms"),
		measured("slowest of them but one in a hundred", 1000*percentile(tookOf(during), 99).Seconds(), "ms"),
		atMost("until all succeeded again, and as fast", back.Seconds(), "s", recoverWithin),
		measured("slowest but one in a hundred before, at half the peak", 1000*percentile(tookOf(before), 99).Seconds(), "ms"),
		measured("slowest but one in a hundred after it", 1000*percentile(tookOf(after), 99).Seconds(), "ms"),
		atMost("most memory of the replica", most, "MiB", overloadMemory),
	}
	return w.over(ctx, l, "an overload", began, append(append(figures, shares...), probed()...)...)
}

// mixed makes clusters that nobody works on, and returns a source of calls on them.
func (w *world) mixed(ctx context.Context, l *load) (ids []string, next source, err error) {
	const clusters = 200
	c := w.client("overload", owner)
	paths, gets := make([]string, clusters), make([][]byte, clusters)
	for i := range clusters {
		made, err := c.CreateCluster(ctx, v1.CreateCluster{Name: fmt.Sprintf("busy-%d", i), Spec: spec(nobodys, l.mark(w.rng))})
		if err != nil {
			return nil, nil, err
		}
		ids = append(ids, made.ID)
		paths[i] = "/api/v1/clusters/" + made.ID
		gets[i] = wire.Request(http.MethodGet, paths[i], owner, nil)
	}
	var count atomic.Int64
	return ids, func(rng *rand.Rand) []byte {
		i, at, n := rng.IntN(clusters), rng.IntN(100), count.Add(1)
		switch {
		case at < 60:
			return gets[i]
		case at < 85:
			return wire.Request(http.MethodPut, paths[i]+"/status", robot, reportOf("busy", n))
		}
		body := fmt.Appendf(nil, `{"spec":{"platform":{"type":%q},"mark":"busy%d"}}`, nobodys, n)
		return wire.Request(http.MethodPut, paths[i], owner, body)
	}, nil
}

// reportOf is a report on the present generation that says something new.
func reportOf(name string, n int64) []byte {
	text, err := json.Marshal(v1.StatusReport{ControllerName: name, Conditions: []v1.ReportedCondition{
		{Type: v1.ConditionAvailable, Status: v1.ConditionTrue, Reason: "Done", Message: fmt.Sprintf("for the time number %d", n)},
	}})
	if err != nil { // It is of our own making.
		panic("fault: " + err.Error())
	}
	return text
}

// asBefore calls at a rate until for a while all succeed, and hardly one takes more than twice as long as before; it
// returns how long it took until that while began, and the calls of it.
func asBefore(
	ctx context.Context, at string, rate float64, lasts, before time.Duration, next source,
) (time.Duration, []arrival, error) {
	for began := time.Now(); ; {
		took := time.Since(began)
		list := openLoop(ctx, at, rate, lasts, next)
		if ctx.Err() != nil {
			return took, list, ctx.Err()
		}
		if numberOf(list, arrival.ok) == len(list) && percentile(tookOf(list), 99) <= 2*before || took > recoverWithin*time.Second {
			return took, list, nil
		}
	}
}

// startProbing asks the replica for its health and whether it is ready, until the returned func is called.
func (w *world) startProbing(ctx context.Context) (end func() []figure) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		all     sync.WaitGroup
		asked   atomic.Int64
		wrong   atomic.Int64
		slowest atomic.Int64
	)
	for _, path := range []string{"/health", "/readyz"} {
		at := "http://" + w.replicas[0].process().api + path
		all.Go(func() {
			for pause(ctx, 10*poll) == nil {
				began := time.Now()
				status, _, err := w.get(context.WithoutCancel(ctx), at)
				took := time.Since(began)
				asked.Add(1)
				if err != nil || status != http.StatusOK || took > healthWithin*time.Second {
					wrong.Add(1)
				}
				for now := slowest.Load(); int64(took) > now && !slowest.CompareAndSwap(now, int64(took)); {
					now = slowest.Load()
				}
			}
		})
	}
	return func() []figure {
		cancel()
		all.Wait()
		return []figure{
			atLeast("times that it was asked for its health and whether it is ready", float64(asked.Load()), "", 1),
			atMost("of which not answered 200 within 2 s", float64(wrong.Load()), "", 0),
			measured("slowest answer to that", 1000*time.Duration(slowest.Load()).Seconds(), "ms"),
		}
	}
}

// startWeighing looks every second how much memory the replica has, until the returned func is called, which says the
// most, in MiB.
func (w *world) startWeighing(ctx context.Context) (end func() (float64, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		all  sync.WaitGroup
		most float64
		err  error
	)
	all.Go(func() {
		for err == nil {
			err = w.weigh(context.WithoutCancel(ctx), &most)
			if pause(ctx, time.Second) != nil {
				return
			}
		}
	})
	return func() (float64, error) {
		cancel()
		all.Wait()
		return most, err
	}
}

// startTiming measures CPU time until the returned func is called, which says who took which share of the machine's.
func (w *world) startTiming(ctx context.Context) (end func() ([]figure, error), err error) {
	began, own := time.Now(), ownCPU()
	replica, err := w.replicas[0].metric(ctx, "process_cpu_seconds_total")
	if err != nil {
		return nil, err
	}
	return func() ([]figure, error) {
		now, err := w.replicas[0].metric(ctx, "process_cpu_seconds_total")
		if err != nil {
			return nil, err
		}
		all := math.Max(time.Since(began).Seconds()*float64(runtime.NumCPU()), 0.01)
		return []figure{
			measured("share of all cores that the generator had, with the proxy and Pub/Sub", 100*(ownCPU()-own).Seconds()/all, "%"),
			measured("share of the replica", 100*(now-replica)/all, "%"),
		}, nil
	}, nil
}

// ownCPU is what this process has used so far.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
