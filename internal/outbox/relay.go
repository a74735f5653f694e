package outbox

import (
	"context"
	"errors"
	"log/slog"
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
	// MarkPublished marks events, whoever has their lease; marking again is harmless. It
	// reports whether changes waited for them, which can be claimed now.
	MarkPublished(ctx context.Context, events []models.QueuedEvent) (more bool, err error)
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
	// patience is how long a pass waits for its publishes. What takes longer goes on
	// in the background, and the next pass begins.
	patience = 50 * time.Millisecond
	// A pass that claimed more than few events, but not a batch, is followed by a moment's linger: where
	// so many come, more will, and a claim of twice as many costs hardly more.
	few    = 4
	linger = 5 * time.Millisecond
	// markLinger is how long what was handed over and is published waits for others to be marked with it.
	markLinger = 20 * time.Millisecond
	// batch bounds a claim; while maxInFlight are claimed and not yet settled nothing is claimed and no lease offered.
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

// Relay publishes the events of the outbox: those that it claims, and those that are born
// under its lease and handed to it. [Relay.Lease], [Relay.Hand] and [Relay.Nudge] are safe
// for concurrent use and do not block; Run and RunOnce are called by one goroutine.
type Relay struct {
	store     Store
	publisher Publisher
	observer  Observer
	log       *slog.Logger
	options   Options
	nudged    chan struct{}
	name      string                                   // of the claim of all that is born under its lease
	start     atomic.Pointer[func(models.QueuedEvent)] // begins a publish; nil when Run does not run
	finished  chan outcome                             // from the publishes
	inFlight  atomic.Int64                             // claimed and not settled
	away      atomic.Bool                              // Pub/Sub, or so it seems

	// The rest belongs to the goroutine of Run.

	pending  []outcome // finished and not settled
	failures int       // in a row
	report   *report
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
		name:     uuid.NewString(),
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

// Lease offers to publish an event as soon as it is committed. While Pub/Sub is away or
// slow, and when the relay does not run, it offers nothing: such an event waits in the
// outbox to be claimed.
func (r *Relay) Lease() models.Lease {
	began := time.Now() // before the database begins to count
	if r.start.Load() == nil || r.away.Load() || r.inFlight.Load() >= maxInFlight {
		return models.Lease{}
	}
	return models.Lease{Claim: r.name, Length: r.options.Lease, Until: began.Add(r.options.Lease)}
}

// Hand publishes an event that was born under a lease of this relay and is committed. One
// that comes when the relay has stopped is left to be claimed by another when its lease is over.
func (r *Relay) Hand(event models.QueuedEvent) {
	if start := r.start.Load(); start != nil {
		(*start)(event)
	}
}

// Result is what a pass did. Events that were published in the background count in the
// pass that settles them.
type Result struct {
	Claimed, Published, Failed, SetAside int
	// More says that there may be more to claim at once: the claim was full, or a
	// change was published that others waited for.
	More bool
}

// Run relays until ctx ends, then waits for the publishes on their way, at most
// Options.Drain, and gives back what is left. It returns nil: what fails is logged
// when it begins to fail and when it works again, and tried on.
func (r *Relay) Run(ctx context.Context) error {
	publishing, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	start := func(event models.QueuedEvent) { r.begin(publishing, event) }
	r.start.Store(&start)
	polls := time.NewTicker(poll)
	defer polls.Stop()
	claim, pause := true, poll
	for ctx.Err() == nil {
		result, err := r.pass(ctx, publishing, claim)
		if ctx.Err() != nil {
			break
		}
		r.report.store(ctx, err)
		claim = true
		switch {
		case err != nil:
			pause = min(2*pause, lastPause)
			rest(ctx, pause)
		case r.failures >= probe:
			rest(ctx, poll)
		case result.Claimed > few && result.Claimed < batch:
			rest(ctx, linger)
		case !result.More:
			claim = r.await(ctx, polls)
		}
		if err == nil {
			pause = poll
		}
	}
	r.start.Store(nil)
	r.drain(publishing, abort)
	return nil
}

// rest waits.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// await waits until there is something to do, and reports whether that is to claim.
func (r *Relay) await(ctx context.Context, polls *time.Ticker) bool {
	var linger <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-polls.C:
			return true
		case <-r.nudged:
			return true
		case <-linger:
			return false
		case o := <-r.finished:
			if r.collect(ctx, o); linger == nil {
				linger = time.After(markLinger)
			}
		}
	}
}

// RunOnce makes one pass: it claims a batch, publishes it, waits a moment for the
// outcomes and settles those. It ends its publishes with ctx.
func (r *Relay) RunOnce(ctx context.Context) (Result, error) { return r.pass(ctx, ctx, true) }

// pass settles what has finished, and what it claims before if it is to.
func (r *Relay) pass(ctx, publishing context.Context, claim bool) (Result, error) {
	var (
		claimed int
		full    bool
		err     error
	)
	if claim {
		claimed, full, err = r.claim(ctx, publishing)
	}
	r.gather(ctx, claimed)
	result, settleErr := r.settle(ctx)
	result.Claimed = claimed
	result.More = result.More || full
	return result, errors.Join(err, settleErr)
}

// claim takes a batch and starts to publish it. It reports whether there may be more.
func (r *Relay) claim(ctx, publishing context.Context) (n int, full bool, err error) {
	limit := min(batch, maxInFlight-int(r.inFlight.Load()))
	if r.failures >= probe {
		limit = min(limit, probe)
	}
	if limit <= 0 {
		return 0, false, nil
	}
	began := time.Now() // before the database begins to count
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	events, err := r.store.ClaimEvents(ctx, uuid.NewString(), r.options.Lease, limit)
	for _, event := range events {
		event.LeasedUntil = began.Add(r.options.Lease)
		r.begin(publishing, event)
	}
	return len(events), len(events) == limit, err
}

// begin starts to publish an event that is claimed.
func (r *Relay) begin(publishing context.Context, event models.QueuedEvent) {
	r.inFlight.Add(1)
	go r.publish(publishing, event)
}

// publish makes one attempt and hands in its outcome.
func (r *Relay) publish(publishing context.Context, event models.QueuedEvent) {
	ctx, cancel := context.WithDeadline(publishing, event.LeasedUntil)
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
	for int64(len(r.pending)) < r.inFlight.Load() {
		r.collect(ctx, <-r.finished)
	}
	if len(r.pending) == 0 {
		return
	}
	_, err := r.settle(context.WithoutCancel(ctx))
	r.report.store(ctx, err)
}
