package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/proof"
)

// wakeUpsStudy is how the service gets through a whole fleet that is due at once.
func wakeUpsStudy() study {
	return study{
		name: "wake-ups",
		about: "100,000 clusters are due at once: while no service runs, one statement sets all their times to now. Then the service is\n" +
			"started, and what it appends and publishes is read from the rows of the outbox: the clock begins with the transaction of the first\n" +
			"wake-up and ends with the last row's created_at, or published_at, which Pub/Sub has acknowledged by then. There must be exactly one\n" +
			"cluster.reconcile for each cluster. Nothing else is due, and nobody is subscribed; autovacuum is as PostgreSQL comes.\n\n" +
			"*Pub/Sub away*: its process is stopped, so that the scheduler is alone but for the relay's tries; this is judged. *Pub/Sub\n" +
			"answering*: it answers from the start; scheduler, relay and the fake server share the machine.\n\n" +
			"*The drain* is of the wake-ups that wait after the former: Pub/Sub's process goes on, and the rate is counted from the first\n" +
			"publication, which comes after the relay's pause, to the last. Meanwhile clusters are created, and *a change during the drain* is\n" +
			"how long their events waited, from created_at to published_at (see events). The floor of appending is one INSERT ... SELECT of the\n" +
			"same rows into a copy of the outbox with all its indexes; that of the drain a program that publishes as many copies of a wake-up as\n" +
			"fast as it goes, 64 on their way at a time. A pass's own time is the mean of the service's metric of its passes, a pass a second.",
		run: studyWakeUps,
	}
}

const (
	// appendBar is how many wake-ups a second the scheduler appends at least.
	appendBar = 25_000
	// wakened is how many clusters are due at once.
	wakened = 100_000
)

// reconciles are the wake-ups of the fleet, without those of clusters that were created meanwhile.
const reconciles = ` FROM outbox o JOIN reconciliation_schedule s ON s.cluster_id = o.resource_id
	WHERE o.wake AND o.type = '` + v1.ClusterReconcile + `' AND o.resource_id >= '` + idPrefix + `000000000000'
	AND o.resource_id <= '` + idPrefix + `999999999999'`

func studyWakeUps(ctx context.Context, l *lab) (s section, err error) {
	l.options.stable = 10 * time.Hour
	r, err := l.rig(ctx, 2*period, false)
	defer func() { err = errors.Join(err, r.stop()) }()
	if err != nil {
		return s, err
	}
	like, err := r.likeness(ctx)
	if err != nil {
		return s, err
	}
	if err := r.grow(ctx, dosed(l, 1000, wakened), like); err != nil {
		return s, fmt.Errorf("make the fleet: %w", err)
	}
	if err := l.passes(ctx, r, &s); err != nil {
		return s, fmt.Errorf("passes: %w", err)
	}
	p := proof.Plot{
		Title: "A whole fleet is due at once", X: proof.Axis{Label: "s from the first wake-up, or from Pub/Sub's return"},
		Y: proof.Axis{Label: "wake-ups"},
	}
	for _, part := range []func(context.Context, *rig, *section, *proof.Plot) error{l.away, l.answering} {
		if err := part(ctx, r, &s, &p); err != nil {
			return s, err
		}
	}
	s.Plots = append(s.Plots, p)
	return s, nil
}

// allDue stops the service, forgets all events and makes every cluster due.
func (r *rig) allDue(ctx context.Context) error {
	if err := r.service.stop(); err != nil {
		return err
	}
	for _, sql := range []string{
		`TRUNCATE outbox, timeline`,
		`DELETE FROM clusters WHERE id > '` + clusterID(r.options.clusters) + `'`,
		`UPDATE reconciliation_schedule SET next_reconcile_at = now(), reactive = false, reactive_wakes = 0`,
		`VACUUM (ANALYZE) reconciliation_schedule, outbox, clusters`,
		`CHECKPOINT`, // So that its writes are not in what follows.
	} {
		if _, err := r.db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make all clusters due: %w", err)
		}
	}
	// What has failed would be due again in half a minute.
	r.options.env = []string{"RECONCILIATION_ATTENTION_INTERVAL=1h"}
	return nil
}

// paused does something while Pub/Sub does not answer.
func (r *rig) paused(do func() error) error {
	pubsub := r.pubsub.cmd.Process
	if err := pubsub.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop Pub/Sub: %w", err)
	}
	return errors.Join(do(), pubsub.Signal(syscall.SIGCONT))
}

// wake starts the service, and waits until all clusters are woken.
func (r *rig) wake(ctx context.Context) error {
	if err := r.startService(ctx); err != nil {
		return err
	}
	return r.poll(ctx, "the wake-ups", 100*time.Millisecond, func(ctx context.Context) (done bool, err error) {
		err = r.db.QueryRow(ctx, `SELECT NOT EXISTS (
			SELECT FROM reconciliation_schedule WHERE enabled AND next_reconcile_at <= now())`).Scan(&done)
		return done, err
	})
}

// appended are when the wake-ups were appended, in seconds from the transaction of the first. There must be one for each cluster.
func (r *rig) appended(ctx context.Context) ([]float64, error) {
	var all, clusters int
	if err := r.db.QueryRow(ctx, `SELECT count(*), count(DISTINCT o.resource_id)`+reconciles).Scan(&all, &clusters); err != nil {
		return nil, err
	}
	if n := r.options.clusters; all != n || clusters != n {
		return nil, fmt.Errorf("%d wake-ups of %d clusters, of %d that were due", all, clusters, n)
	}
	return r.times(ctx, `o.created_at - (SELECT min(s.updated_at)`+reconciles+`)`)
}

// published are when they were published, in seconds from a time.
func (r *rig) published(ctx context.Context, from time.Time) ([]float64, error) {
	at, err := r.times(ctx, `o.published_at - $1::timestamptz`, from)
	if n := r.options.clusters; err == nil && len(at) != n {
		return nil, fmt.Errorf("%d wake-ups of %d were published", len(at), n)
	}
	return at, err
}

func (r *rig) times(ctx context.Context, what string, args ...any) ([]float64, error) {
	rows, err := r.db.Query(ctx, `SELECT extract(epoch FROM `+what+`)::float8`+reconciles+` AND `+what+` IS NOT NULL ORDER BY 1`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[float64])
}

// now is the database's time.
func (r *rig) now(ctx context.Context) (now time.Time, err error) {
	err = r.db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, err
}

// began is when the first wake-up's transaction did.
func (r *rig) began(ctx context.Context) (at time.Time, err error) {
	err = r.db.QueryRow(ctx, `SELECT min(s.updated_at)`+reconciles).Scan(&at)
	return at, err
}

// cumulative is a line of how many there were by when, of times in order.
func cumulative(name string, at []float64) proof.Series {
	const marks = 40
	line := proof.Series{Name: name}
	for i := range marks {
		k := (i + 1) * len(at) / marks
		if k > 0 {
			line.Points = append(line.Points, proof.Point{X: at[k-1], Y: float64(k)})
		}
	}
	return line
}

// overall is how many there were a second from the beginning to the last.
func overall(at []float64) float64 { return float64(len(at)) / at[len(at)-1] }
