package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/proof"
	"github.com/cls-backend/cls-backend/test/pubsub"
	"github.com/cls-backend/cls-backend/test/wire"
)

// eventsStudy is how long a change takes to reach whom it concerns.
func eventsStudy() study {
	return study{
		name: "events",
		about: "How long a change takes to reach whom it concerns, at 10,000 clusters. Everything comes in open loops (see open-loop).\n\n" +
			"*Commit to acknowledged*: 500 creations a second, each of which makes one event. The time is that from\n" +
			"created_at, which the statement of the creation sets before its transaction commits, to when a subscriber has the event in\n" +
			"hand, both on the clock of this machine: so the rest of the transaction, with the flush of the log, is in it,\n" +
			"and the millisecond that the subscriber waits between two pulls; the acknowledgement comes before that. The floor is a\n" +
			"program that publishes copies of such a message, each with an ordering key of its own, to the same\n" +
			"server at the same rate with the same client library, one a call as the service does; and as fast as it goes.\n\n" +
			"*Create to event*: from when a POST was due to when a subscriber has the event in hand. The subscriber pulls from one topic every\n" +
			"millisecond, over a connection of its own; a stream would add up to ten, which is how often this server feeds one. What it adds\n" +
			"itself is in the floor: from when a raw message was due to be published to when the same kind of subscriber has it.\n\n" +
			"*Report to Ready*: three controllers are registered as required, and the time is from when the last of their reports on a new\n" +
			"cluster was sent to when the GET that says Ready, sent after the report's answer, was answered. Before that report the cluster must\n" +
			"not be Ready, and the first GET after it must say so. *POST to Ready* is the whole way: three controllers, which are this program,\n" +
			"report over four connections each as soon as they have the event, and whoever's report was the last reads. What real controllers\n" +
			"do between the event and the report is not in it. Pub/Sub is Google's fake on the same machine: a network and Google's own time\n" +
			"come on top of all of this.",
		run: studyEvents,
	}
}

const (
	// The bars of commit to acknowledged, and how many events a second they are for, in ms.
	publishRate               = 500
	publishBar, publishTopBar = 5, 100
	// freshReadBar is that of a read after a report, in ms.
	freshReadBar = 2
)

func studyEvents(ctx context.Context, l *lab) (s section, err error) {
	r, err := l.rig(ctx, dosed(l, 400, studied), false)
	defer func() { err = errors.Join(err, r.stop()) }()
	if err != nil {
		return s, err
	}
	if err := l.readAfterReport(ctx, r, &s); err != nil {
		return s, fmt.Errorf("read after a report: %w", err)
	}
	for _, part := range []struct {
		what    string
		measure func(context.Context, *rig, *section) error
	}{
		{"commit to acknowledged", l.commitToAcknowledged},
		{"create to event", l.createToEvent},
		{"report to Ready", l.reportToReady},
		{"POST to Ready", l.postToReady},
	} {
		fmt.Fprintln(l.out, part.what)
		if err := part.measure(ctx, r, &s); err != nil {
			return s, fmt.Errorf("%s: %w", part.what, err)
		}
	}
	return s, nil
}

// fresh starts Pub/Sub and the service anew, warm and at rest. The server has to forget now and then, and publishes again then
// what a subscriber might still want: with none of the messages of what was measured before, it need not, and a short dose
// does not come to that. The caller closes the publisher.
func (l *lab) fresh(ctx context.Context, r *rig) (raw *publisher, err error) {
	if !l.options.short {
		if err := r.renew(ctx); err != nil {
			return nil, err
		}
	}
	if raw, err = r.publisher(ctx, v1.ClusterCreated, func(ctx context.Context) error { return r.once(ctx, create(0)) }); err != nil {
		return nil, err
	}
	b := l.bench(r)
	creations := one(func(_ *rand.Rand, k int) request { return create(k) })
	if _, err = generate(ctx, r.apiAddr, connections, b.options.warmUp, creations); err == nil {
		_, err = raw.flood(ctx, atOnce)
	}
	if err = errors.Join(err, r.rest(ctx)); err != nil {
		return nil, errors.Join(err, raw.close())
	}
	return raw, nil
}

// renew ends the service and Pub/Sub, and starts others.
func (r *rig) renew(ctx context.Context) (err error) {
	if err := errors.Join(r.service.stop(), r.pubsub.stop()); err != nil {
		return err
	}
	if r.pubsub, r.pubAddr, err = startHelper(pubsubHelper, r.log); err != nil {
		return err
	}
	return r.startService(ctx)
}

// once has a request answered over a connection of its own.
func (r *rig) once(ctx context.Context, what request) error {
	c, err := wire.Dial(ctx, r.apiAddr)
	if err != nil {
		return err
	}
	return errors.Join(do(c, what), c.Close())
}

// readAfterReport is the read of make bench whose status is calculated for it.
func (l *lab) readAfterReport(ctx context.Context, r *rig, s *section) error {
	b := l.bench(r)
	b.options.only = regexp.MustCompile("^get after report$")
	if err := b.measureIdle(ctx); err != nil {
		return err
	}
	if len(b.idle) != 1 {
		return fmt.Errorf("%d operations were measured", len(b.idle))
	}
	samples := b.idle[0].samples
	s.Figures = append(s.Figures,
		proof.AtMost("read after a report, one caller, p50", milliseconds(percentile(samples, 0.5)), "ms", freshReadBar),
		proof.Measured("read after a report, one caller, p99", milliseconds(percentile(samples, 0.99)), "ms"))
	return nil
}

// commitToAcknowledged makes clusters at a rate, and asks the database how long the events took.
func (l *lab) commitToAcknowledged(ctx context.Context, r *rig, s *section) error {
	due := arrivals(l.random(0), publishRate, dosed(l, 300*time.Millisecond, 30*time.Second))
	took, o, err := l.acknowledged(ctx, r, due)
	if err != nil {
		return err
	}
	raw, err := l.fresh(ctx, r)
	if err != nil {
		return err
	}
	_, floor, err := raw.open(ctx, due)
	if err != nil {
		return errors.Join(fmt.Errorf("publish raw messages: %w", err), raw.close())
	}
	fastest, err := raw.flood(ctx, dosed(l, 1000, 50_000))
	if err := errors.Join(err, raw.close()); err != nil {
		return fmt.Errorf("publish raw messages as fast as it goes: %w", err)
	}
	p50, p99 := percentile(took, 0.5), percentile(took, 0.99)
	rawP50, rawP99 := percentile(floor, 0.5), percentile(floor, 0.99)
	at := fmt.Sprintf("commit to acknowledged at %d events a second", publishRate)
	s.Figures = append(s.Figures,
		proof.AtMost(at+", p50", milliseconds(p50), "ms", publishBar),
		proof.AtMost(at+", p99", milliseconds(p99), "ms", publishTopBar),
		proof.Measured("raw publishing at the same rate, p50", milliseconds(rawP50), "ms"),
		proof.Measured("raw publishing at the same rate, p99", milliseconds(rawP99), "ms"),
		proof.Measured("commit to acknowledged, by raw publishing, p50", float64(p50)/float64(rawP50), "times"),
		proof.Measured("commit to acknowledged, by raw publishing, p99", float64(p99)/float64(rawP99), "times"),
		proof.Measured("events", float64(len(took)), ""),
		proof.Measured("a message", float64(raw.size()), "bytes"),
		proof.AtMost("creations that were refused (503)", float64(o.refused), "", 0),
		proof.Measured("these creations were answered, from when they were due, p50", milliseconds(percentile(o.samples, 0.5)), "ms"),
		proof.Measured("these creations were answered, from when they were due, p99", milliseconds(percentile(o.samples, 0.99)), "ms"),
		proof.Measured("the generator was late, p99", milliseconds(o.late), "ms"),
		proof.Measured("raw publishing as fast as it goes", fastest, "messages a second"))
	s.Plots = append(s.Plots, proof.Plot{
		Title: at, X: proof.Axis{Label: "of all events, %"}, Y: proof.Axis{Label: "ms, at most", Log: true},
		Series: []proof.Series{distribution("the service, commit to acknowledged", took), distribution("raw publishing", floor)},
	})
	return nil
}

// acknowledged makes clusters when they are due, and returns how long their events took.
func (l *lab) acknowledged(ctx context.Context, r *rig, due []time.Duration) (took []sample, o opened, err error) {
	raw, err := l.fresh(ctx, r)
	if err != nil {
		return nil, o, err
	}
	defer func() { err = errors.Join(err, raw.close()) }()
	came, end, err := watchArrivals(ctx, raw.conn, pubsub.ClusterEvents, eventID)
	if err != nil {
		return nil, o, err
	}
	defer func() { err = errors.Join(err, end()) }()
	mark, err := r.lastEvent(ctx)
	if err != nil {
		return nil, o, err
	}
	o, err = generateOpen(ctx, r.apiAddr, arriving, due, create)
	if err != nil {
		return nil, o, err
	}
	if err := r.settle(ctx); err != nil {
		return nil, o, err
	}
	took, err = r.reached(ctx, mark, came)
	if err == nil && len(took) != len(o.samples) {
		err = fmt.Errorf("%d creations made %d events", len(o.samples), len(took))
	}
	return took, o, err
}

// random is drawn from for a part of a study.
func (l *lab) random(part uint64) *rand.Rand { return rand.New(rand.NewPCG(l.options.seed, part)) }

// lastEvent is the number of the newest event.
func (r *rig) lastEvent(ctx context.Context) (seq int64, err error) {
	err = r.db.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM outbox`).Scan(&seq)
	return seq, err
}

// reached waits until the events of all changes after another have come, and returns how long they took from created_at.
func (r *rig) reached(ctx context.Context, after int64, came *arrivalTimes) ([]sample, error) {
	rows, err := r.db.Query(ctx, `SELECT id::text, created_at FROM outbox WHERE seq > $1 AND NOT wake`, after)
	if err != nil {
		return nil, err
	}
	var (
		id      string
		at      time.Time
		created = map[string]time.Time{}
	)
	if _, err := pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		created[id] = at
		return nil
	}); err != nil {
		return nil, err
	}
	var took []sample
	err = r.poll(ctx, "all events to come", 10*time.Millisecond, func(context.Context) (bool, error) {
		came.mu.Lock()
		defer came.mu.Unlock()
		took = took[:0]
		for id, at := range created {
			if arrived, ok := came.at[id]; ok {
				took = append(took, sample{took: arrived.Sub(at)})
			}
		}
		return len(took) == len(created), nil
	})
	return took, err
}

// distribution is a line of how long what share of the samples took at most.
func distribution(name string, samples []sample) proof.Series {
	line := proof.Series{Name: name}
	for _, share := range []float64{0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1} {
		line.Points = append(line.Points, proof.Point{X: share * 100, Y: milliseconds(percentile(samples, share))})
	}
	return line
}
