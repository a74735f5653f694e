package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// key names a resource. A node pool has its cluster's id too.
type key struct {
	kind Kind
	id   string
}

// delivery is an event to be settled once.
type delivery interface {
	Ack()
	Nack()
}

// job is what a worker takes: a resource, and all events that led to it.
type job struct {
	key

	clusterID string
	event     v1.Event // the latest; zero for a pause that has run out
	ids       []string // of all events
	events    []delivery
	// due says that a pause has run out: the resource is looked at whatever the events are worth.
	due bool
	// pressing says that one of the events is more than a wake-up by the clock or by another controller's report.
	pressing bool
}

// settle acknowledges all events of the job, or gives them back.
func (j job) settle(handled bool) {
	for _, d := range j.events {
		if handled {
			d.Ack()
		} else {
			d.Nack()
		}
	}
}

// queue holds what is to be reconciled: each resource at most once, and none that a worker has in hand. It is safe for
// concurrent use.
type queue struct {
	mu      sync.Mutex
	waiting []key       // in the order of their coming
	jobs    map[key]job // of those that wait
	busy    map[key]bool
	timers  map[key]*time.Timer
	closed  bool
	// ready has a token when a worker may find something.
	ready chan struct{}
}

func newQueue() *queue {
	return &queue{jobs: map[key]job{}, busy: map[key]bool{}, timers: map[key]*time.Timer{}, ready: make(chan struct{}, 1)}
}

// add has a resource reconciled; what waits already takes the event along. After close events are given back. A pause goes
// on: who looks at the resource ends it.
func (q *queue) add(k key, clusterID string, e v1.Event, d delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		d.Nack()
		return
	}
	q.put(k, clusterID, func(j *job) {
		j.ids, j.events = append(j.ids, e.ID), append(j.events, d)
		j.pressing = j.pressing || !isWake(e)
		if e.Generation >= j.event.Generation {
			j.event = e
		}
	})
}

// isWake reports whether nothing has been asked for by an event but to look again.
func isWake(e v1.Event) bool {
	by := e.Metadata.TriggeredBy
	return by == v1.TriggeredByScheduler || by == v1.TriggeredByReactive
}

// addAfter has a resource reconciled after a pause, which takes the place of one that lasts. stopPause ends it.
func (q *queue) addAfter(k key, clusterID string, pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.dropTimer(k)
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.timers[k] == timer { // None has taken its place.
			delete(q.timers, k)
			q.put(k, clusterID, func(j *job) { j.due = true })
		}
	})
	q.timers[k] = timer
}

// stopPause forgets the pause of a resource, which is being looked at or never will be again.
func (q *queue) stopPause(k key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropTimer(k)
}

// put changes the job that waits for a resource, or a new one; the caller holds the lock.
func (q *queue) put(k key, clusterID string, change func(*job)) {
	j, waits := q.jobs[k]
	if !waits {
		j = job{key: k, clusterID: clusterID}
		if !q.busy[k] {
			q.waiting = append(q.waiting, k)
		}
	}
	change(&j)
	q.jobs[k] = j
	q.signal()
}

// take returns the next job, or false once ctx has ended. The caller calls done for it.
func (q *queue) take(ctx context.Context) (job, bool) {
	for {
		q.mu.Lock()
		if len(q.waiting) > 0 && ctx.Err() == nil {
			k := q.waiting[0]
			q.waiting = slices.Delete(q.waiting, 0, 1)
			j := q.jobs[k]
			delete(q.jobs, k)
			q.busy[k] = true
			q.signal()
			q.mu.Unlock()
			return j, true
		}
		q.mu.Unlock()
		select {
		case <-q.ready:
		case <-ctx.Done():
			return job{}, false
		}
	}
}

// done lets a resource be taken again.
func (q *queue) done(k key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.busy, k)
	if _, waits := q.jobs[k]; waits {
		q.waiting = append(q.waiting, k)
		q.signal()
	}
}

// close gives back all events that wait, and takes none any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for k := range q.timers {
		q.dropTimer(k)
	}
	for k, j := range q.jobs {
		j.settle(false)
		delete(q.jobs, k)
	}
	q.waiting = nil
}

// length is how many resources wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs)
}

// dropTimer forgets a pause; the caller holds the lock.
func (q *queue) dropTimer(k key) {
	if t := q.timers[k]; t != nil {
		t.Stop()
		delete(q.timers, k)
	}
}

// signal wakes a worker while there is something to take; the caller holds the lock.
func (q *queue) signal() {
	if len(q.waiting) == 0 {
		return
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
