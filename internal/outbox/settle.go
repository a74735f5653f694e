package outbox

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cls-backend/cls-backend/internal/faultpoint"
	"github.com/cls-backend/cls-backend/internal/models"
)

// outcome is how an attempt to publish ended.
type outcome struct {
	event   models.QueuedEvent
	err     error
	elapsed time.Duration
	cutOff  bool // by a stop, so that err says nothing of Pub/Sub
}

// refusal is an error that knows whether it is for good.
type refusal interface {
	error
	Refused() bool
}

func (o outcome) refused() bool {
	r, ok := errors.AsType[refusal](o.err)
	return ok && r.Refused()
}

// collect takes in an outcome and counts it, once.
func (r *Relay) collect(ctx context.Context, o outcome) {
	r.pending = append(r.pending, o)
	topic := r.publisher.Topic(o.event.Kind)
	switch {
	case o.cutOff && o.err != nil:
	case o.err == nil:
		r.failures = 0
		r.observer.PublishDone(topic, "ok", o.elapsed)
	case o.refused():
		r.failures = 0 // it was Pub/Sub that said so
		r.observer.PublishDone(topic, "refused", o.elapsed)
	default:
		r.failures++
		r.observer.PublishDone(topic, "retry", o.elapsed)
		r.report.publish(ctx, topic, o.err)
	}
	r.away.Store(r.failures >= probe)
}

// settle writes the pending outcomes to the store: what was published in one statement,
// what failed in one a claim. What cannot be written stays pending for the next pass. By
// then its lease may be over and it may be published again: a duplicate, not a loss.
func (r *Relay) settle(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var published []outcome
	failed := map[string][]outcome{} // by claim
	for _, o := range r.pending {
		if o.err == nil {
			published = append(published, o)
		} else {
			failed[o.event.Claim] = append(failed[o.event.Claim], o)
		}
	}
	r.pending = r.pending[:0]

	var result Result
	err := r.mark(ctx, published, &result)
	for _, claim := range slices.Sorted(maps.Keys(failed)) {
		err = errors.Join(err, r.release(ctx, claim, failed[claim], &result))
	}
	return result, err
}

func (r *Relay) mark(ctx context.Context, published []outcome, result *Result) error {
	if len(published) == 0 {
		return nil
	}
	events := make([]models.QueuedEvent, len(published))
	for i, o := range published {
		events[i] = o.event
	}
	faultpoint.Hit(faultpoint.BeforeMark)
	more, err := r.store.MarkPublished(ctx, events)
	if err != nil {
		r.pending = append(r.pending, published...)
		return err
	}
	result.More = more
	r.inFlight.Add(-int64(len(published)))
	result.Published += len(published)
	return nil
}

func (r *Relay) release(ctx context.Context, claim string, failed []outcome, result *Result) error {
	failures := make([]models.FailedEvent, len(failed))
	for i, o := range failed {
		failures[i] = models.FailedEvent{Seq: o.event.Seq, Error: o.err.Error(), RetryIn: r.retryIn(o, faultpoint.Now()), Refused: o.refused()}
	}
	setAside, err := r.store.ReleaseEvents(ctx, claim, failures)
	if err != nil {
		r.pending = append(r.pending, failed...)
		return err
	}
	r.inFlight.Add(-int64(len(failed)))
	result.Failed += len(failed)
	result.SetAside += setAside
	r.reportSetAside(ctx, failed, setAside)
	return nil
}

// retryIn is how long to leave an event alone that failed: as long as it has been
// waiting already, within the limits. That doubles from try to try and goes on where it
// was after a restart or in another replica, with nothing to remember. An event whose
// publish a shutdown cut off is free at once.
func (r *Relay) retryIn(o outcome, now time.Time) time.Duration {
	if o.cutOff {
		return 0
	}
	return min(max(now.Sub(o.event.Event.Timestamp), r.options.FirstRetry), r.options.LastRetry)
}

// reportSetAside counts and logs the n events of a claim that used up their tries.
func (r *Relay) reportSetAside(ctx context.Context, failed []outcome, n int) {
	for _, o := range failed {
		if n == 0 {
			return
		}
		if !o.refused() || o.event.Attempts+1 < models.MaxAttempts {
			continue
		}
		n--
		topic := r.publisher.Topic(o.event.Kind)
		r.observer.EventSetAside(topic)
		r.log.ErrorContext(ctx, "event is set aside: it was refused too often", "topic", topic, "seq", o.event.Seq,
			"event_id", o.event.Event.ID, "event_type", o.event.Event.Type, "cluster_id", o.event.Event.ClusterID,
			"request_id", o.event.RequestID, "error", o.err)
	}
}
