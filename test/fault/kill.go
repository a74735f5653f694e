package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cls-backend/cls-backend/internal/faultpoint"
)

func points() []string {
	return []string{faultpoint.BeforeCommit, faultpoint.AfterCommit, faultpoint.BeforePublish, faultpoint.BeforeMark}
}

func kills() []scenario {
	return []scenario{
		{
			name: "kill/points", promise: "Nothing is lost and nothing is invented when the process dies in the middle of a change.",
			about: "Every replica is killed (SIGKILL) again and again at a point of its own choice: before a commit, after it and before " +
				"the answer, with an event claimed and not published, with an event published and not marked. Another process takes its place.",
			full: dose{times: 1000}, short: dose{times: 8}, unit: "kills", run: killAtPoints,
		},
		{
			name: "kill/one-of-three", promise: "A replica that is killed is not missed.",
			about: "One of three replicas is killed from outside (kill -9) at any moment, and another process takes its place.",
			full:  dose{times: 100}, short: dose{times: 3}, unit: "kills", run: killOneOfThree,
		},
		{
			name: "kill/emulator", promise: "A replica that is killed is not missed, on Google's emulator either.",
			about: "As kill/one-of-three, on Google's Pub/Sub emulator, which keeps order and repeats what is not acknowledged in its own way.",
			full:  dose{times: 50}, short: dose{times: 3}, unit: "kills", emulator: true, run: killOneOfThree,
		},
	}
}

// quota is how often processes are still to die at each point. It is safe for concurrent use.
type quota struct {
	mu     sync.Mutex
	left   map[string]int // not ordered yet
	died   map[string]int
	draw   func(n int) int
	strays int // killed at no point
}

// order arms the next process of a replica at the point that has most to go.
func (q *quota) order() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	point, most := "", 0
	for _, p := range points() {
		if q.left[p] > most {
			point, most = p, q.left[p]
		}
	}
	if point == "" {
		return nil
	}
	q.left[point]--
	return []string{fmt.Sprintf("FAULTPOINT=%s:kill@%d", point, 1+q.draw(12))}
}

func (q *quota) kill(point string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if point == "" {
		q.strays++
		return
	}
	q.died[point]++
}

func (q *quota) total() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, died := range q.died {
		n += died
	}
	return n
}

func killAtPoints(ctx context.Context, w *world, d dose) ([]figure, error) {
	q := &quota{left: map[string]int{}, died: map[string]int{}, draw: w.rng.IntN}
	for i := range d.times {
		q.left[points()[i%len(points())]]++
	}
	l := w.startLoad(ctx, 8, 30)
	for _, r := range w.replicas {
		r.arm(q.order, q.kill)
		r.process().signal(syscall.SIGKILL)
	}
	began := time.Now()
	for q.total() < d.times {
		died := q.total()
		if err := until(ctx, "a process to die", patience, func() bool { return q.total() > died || w.broken() != nil }); err != nil {
			return nil, err
		}
		if err := w.broken(); err != nil {
			return nil, err
		}
	}
	took := time.Since(began)
	figures := []figure{measured("kills a minute", float64(d.times)/took.Minutes(), "")}
	for _, p := range points() {
		figures = append(figures, measured("killed "+strings.ReplaceAll(p, "-", " "), float64(q.died[p]), ""))
	}
	l.wait() // There are moments without any replica: a client may give up, and what it asked for may be done or not.
	settled, err := w.settle(ctx, "kills at fault points")
	return append(figures,
		measured("operations of clients", float64(l.done.Load()), ""),
		measured("given up by their client after a minute of retries", float64(l.failed.Load()), ""), settled), err
}

func killOneOfThree(ctx context.Context, w *world, d dose) ([]figure, error) {
	l := w.startLoad(ctx, 8, 30)
	var longest time.Duration
	for range d.times {
		if err := pause(ctx, 200*time.Millisecond+time.Duration(w.rng.IntN(600))*time.Millisecond); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := w.replicas[w.rng.IntN(len(w.replicas))].kill(ctx); err != nil {
			return nil, err
		}
		longest = max(longest, time.Since(began))
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	settled, err := w.settle(ctx, "kill -9")
	return append(l.figures(), measured("longest until another process took traffic", longest.Seconds(), "s"), settled), err
}
