package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/cls-backend/cls-backend/internal/faultpoint"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Store is where events wait. A method that fails has done nothing, or all.
type Store interface {
	// ClaimEvents leases up to limit events, changes before wake-ups, to the holder of
	// claim, a UUID; of the changes of a resource only the oldest unpublished one.
	ClaimEvents(ctx context.Context, claim string, lease time.Duration, limit int) ([]models.QueuedEvent, error)
	// MarkPublished marks events, whoever has their lease; marking again is harmless.
	MarkPublished(ctx context.Context, events []models.QueuedEvent) error
	// ReleaseEvents gives back what the claim still holds, and returns how many
	// events were set aside for good.
	ReleaseEvents(ctx context.Context, claim string, failures []models.FailedEvent) (setAside int, err error)
}

// Publisher publishes one event and returns when it is acknowledged, has failed, or ctx
// has ended. An error with a method Refused() bool that says true means that trying
// again is in vain. It is called from many goroutines.
type Publisher interface {
	Publish(ctx context.Context, event models.QueuedEvent) error
	// Topic is the topic of a kind of resource, as the label of metrics.
	Topic(kind models.Kind) string
}

// Observer counts what a relay does. It is called from one goroutine.
type Observer interface {
	// PublishDone counts an attempt: "ok", "retry" or "refused".
	PublishDone(topic, result string, elapsed time.Duration)
	// EventSetAside counts an event that was given up.
	EventSetAside(topic string)
}

// Options tune a [Relay]. A zero field means its default.
type Options struct {
	// Lease is how long a claim holds, and so how long the events of a relay that
	// died wait for another one; default 10s. No publish outlives it.
	Lease time.Duration
	// Drain is how long a relay that is stopped waits for its publishes; default 5s.
	Drain time.Duration
	// FirstRetry and LastRetry bound the pause after a failed publish, which doubles;
	// default 0.5s and 5s.
	FirstRetry, LastRetry time.Duration
}

const (
	// poll is how late an event of another replica, whose nudge does not reach us, is seen.
	poll = 200 * time.Millisecond
	// patience is how long RunOnce waits for its publishes. What takes longer goes on
	// in the background, and a later pass settles it.
	patience = 50 * time.Millisecond
	// Where more than many events a second come, as seen over a while, a claim is followed by a linger: a claim of ten
	// costs hardly more than one of two. Where fewer come, each is claimed at once.
	many   = 550
	while  = time.Second
	linger = 10 * time.Millisecond
	// marksEvery is how soon after one mark another may follow. An event that comes alone is marked at once,
	// and where many come, many are marked together.
	marksEvery = 10 * time.Millisecond
	// batch bounds a claim, maxInFlight what is claimed and not yet settled.
	batch       = 500
	maxInFlight = 1000
	// probe is how many failures in a row, without one success, mean that Pub/Sub is
	// away, and how many events are then tried at a time: enough to see it come back,
	// and little work for the database however long the backlog.
	probe = 16
	// storeTimeout bounds a claim, and all the writes of a pass together: a stop must
	// not wait for a database that hangs.
	storeTimeout = 5 * time.Second
	// lastPause bounds the growing pause between passes that fail.
	lastPause = 2 * time.Second
)

// Relay publishes the events of the outbox. [Relay.Nudge] is safe for concurrent use;
// Run and RunOnce are called by one goroutine. Run has two: one claims and publishes, the other settles
// what has been published, so that an event which comes waits for neither.
type Relay struct {
	store     Store
	publisher Publisher
	observer  Observer
	log       *slog.Logger
	options   Options
	nudged    chan struct{}
	finished  chan outcome // from the publishes; has room for all, so none ever waits
	inFlight  atomic.Int64 // claimed and not settled
	failures  atomic.Int64 // in a row
	report    *report

	pending []outcome // finished and not settled; belongs to who settles
}

// New returns a Relay that does nothing yet.
func New(store Store, publisher Publisher, observer Observer, log *slog.Logger, o Options) *Relay {
	setDefault(&o.Lease, 10*time.Second)
	setDefault(&o.Drain, 5*time.Second)
	setDefault(&o.FirstRetry, 500*time.Millisecond)
	setDefault(&o.LastRetry, 5*time.Second)
	return &Relay{
		store: store, publisher: publisher, observer: observer, log: log, options: o,
		nudged:   make(chan struct{}, 1),
		finished: make(chan outcome, maxInFlight),
		report:   &report{log: log},
	}
}

func setDefault(d *time.Duration, otherwise time.Duration) {
	if *d == 0 {
		*d = otherwise
	}
}

// Nudge tells the relay that an event has been committed. It never blocks; of many
// nudges one counts.
func (r *Relay) Nudge() {
	select {
	case r.nudged <- struct{}{}:
	default:
	}
}

// Run relays until ctx ends, then waits for the publishes on their way, at most
// Options.Drain, and gives back what is left. It returns nil: what fails is logged
// when it begins to fail and when it works again, and tried on.
func (r *Relay) Run(ctx context.Context) error {
	publishing, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	var claiming sync.WaitGroup
	claiming.Go(func() { r.claimAll(ctx, publishing) })
	r.settleAll(ctx)
	claiming.Wait()
	r.drain(publishing, abort)
	return nil
}

// claimAll claims and starts to publish whatever there is, until ctx ends.
func (r *Relay) claimAll(ctx, publishing context.Context) {
	began := time.Now()
	pause, inflow := poll, pace{since: began}
	for ctx.Err() == nil {
		n, full, err := r.claim(ctx, publishing)
		if ctx.Err() != nil {
			return
		}
		r.report.read(ctx, err)
		switch {
		case err != nil:
			pause = min(2*pause, lastPause)
			rest(ctx, pause, nil)
			continue
		case r.failures.Load() >= probe:
			rest(ctx, poll, nil)
		case inflow.manyAfter(n) && !full:
			rest(ctx, linger, nil)
		case !full:
			rest(ctx, poll, r.nudged)
		}
		pause = poll
	}
}

// pace is how many events come.
type pace struct {
	since time.Time
	n     int
	many  bool
}

// manyAfter counts a claim, and reports whether many events have come of late.
func (p *pace) manyAfter(n int) bool {
	p.n += n
	if d := time.Since(p.since); d >= while {
		p.many = float64(p.n) > many*d.Seconds()
		p.n, p.since = 0, p.since.Add(d)
	}
	return p.many
}

// settleAll settles what has been published, until ctx ends. A mark makes way for the next change of a resource, and for
// more where as much is on its way as may be: claims are to go on.
func (r *Relay) settleAll(ctx context.Context) {
	pause := poll
	for ctx.Err() == nil {
		if len(r.pending) == 0 {
			select {
			case o := <-r.finished:
				r.collect(ctx, o)
			case <-ctx.Done():
				return
			}
		}
		r.gather(ctx, 0)
		full := r.inFlight.Load() >= maxInFlight
		result, err := r.settle(ctx)
		if ctx.Err() != nil {
			return
		}
		r.report.written(ctx, err)
		if err != nil {
			pause = min(2*pause, lastPause)
			rest(ctx, pause, nil)
			continue
		}
		if result.More || full {
			r.Nudge()
		}
		pause = poll
		rest(ctx, marksEvery, nil)
	}
}

// rest waits, or until it is woken.
func rest(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-woken:
	}
}

// Result is what a pass did. Events that were published in the background count in the
// pass that settles them.
type Result struct {
	Claimed, Published, Failed, SetAside int
	// More says that there may be more to claim at once: the claim was full, or a
	// change was published, which makes way for its successor.
	More bool
}

// RunOnce makes one pass of what Run does in its two loops: it claims a batch, publishes it, waits a moment for the
// outcomes and settles those. It ends its publishes with ctx.
func (r *Relay) RunOnce(ctx context.Context) (Result, error) {
	claimed, full, err := r.claim(ctx, ctx)
	r.gather(ctx, claimed)
	result, settleErr := r.settle(ctx)
	result.Claimed = claimed
	result.More = result.More || full
	return result, errors.Join(err, settleErr)
}

// claim takes a batch and starts to publish it. It reports whether there may be more.
func (r *Relay) claim(ctx, publishing context.Context) (n int, full bool, err error) {
	limit := min(batch, maxInFlight-int(r.inFlight.Load()))
	if r.failures.Load() >= probe {
		limit = min(limit, probe)
	}
	if limit <= 0 {
		return 0, false, nil
	}
	began := time.Now() // before the database begins to count
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	events, err := r.store.ClaimEvents(ctx, uuid.NewString(), r.options.Lease, limit)
	r.inFlight.Add(int64(len(events)))
	for _, event := range events {
		go r.publish(publishing, event, began.Add(r.options.Lease))
	}
	return len(events), len(events) == limit, err
}

// publish makes one attempt and hands in its outcome.
func (r *Relay) publish(publishing context.Context, event models.QueuedEvent, end time.Time) {
	ctx, cancel := context.WithDeadline(publishing, end)
	defer cancel()
	began := time.Now()
	faultpoint.Hit(faultpoint.BeforePublish)
	err := r.publisher.Publish(ctx, event)
	r.finished <- outcome{event: event, err: err, elapsed: time.Since(began), cutOff: publishing.Err() != nil}
}

// gather collects outcomes until n have come or patience ends, and what else is there.
func (r *Relay) gather(ctx context.Context, n int) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for ; n > 0 || len(r.finished) > 0; n-- {
		select {
		case o := <-r.finished:
			r.collect(ctx, o)
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// drain waits for the publishes on their way and settles all, once ctx has ended. What
// is not published by then is given back to be claimed at once by another relay.
func (r *Relay) drain(ctx context.Context, abort context.CancelFunc) {
	timer := time.AfterFunc(r.options.Drain, abort)
	defer timer.Stop()
	for len(r.pending) < int(r.inFlight.Load()) {
		r.collect(ctx, <-r.finished)
	}
	if len(r.pending) == 0 {
		return
	}
	_, err := r.settle(context.WithoutCancel(ctx))
	r.report.written(ctx, err)
}
