package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/proof"
)

// away wakes all clusters while Pub/Sub does not answer, and then has it come back.
func (l *lab) away(ctx context.Context, r *rig, s *section, p *proof.Plot) error {
	fmt.Fprintln(l.out, "all due, Pub/Sub away")
	if err := r.allDue(ctx); err != nil {
		return err
	}
	at, err := r.appendedAlone(ctx)
	if err != nil {
		return err
	}
	last, err := r.lastEvent(ctx)
	if err != nil {
		return err
	}
	p.Series = append(p.Series, cumulative("appended, Pub/Sub away", at))
	s.Figures = append(s.Figures, proof.AtLeast("appended, Pub/Sub away", overall(at), "wake-ups a second", appendBar))
	if err := l.drain(ctx, r, s, p); err != nil {
		return err
	}
	if err := r.service.stop(); err != nil {
		return err
	}
	floor, err := r.copyOutbox(ctx, last)
	if err != nil {
		return err
	}
	s.Figures = append(s.Figures,
		proof.Measured("INSERT ... SELECT of the wake-ups into a copy of the outbox", floor, "rows a second"),
		proof.Measured("appended, by that", overall(at)/floor, ""),
		proof.Measured("wake-ups", float64(len(at)), ""))
	return nil
}

// appendedAlone wakes all clusters while Pub/Sub does not answer, and returns when.
func (r *rig) appendedAlone(ctx context.Context) (at []float64, err error) {
	err = r.paused(func() error {
		if err := r.wake(ctx); err != nil {
			return err
		}
		at, err = r.appended(ctx)
		return err
	})
	return at, err
}

// copyOutbox inserts all wake-ups up to an event into a copy of their table, and returns how many rows a second that were.
func (r *rig) copyOutbox(ctx context.Context, last int64) (float64, error) {
	const columns = `id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by, metadata`
	if _, err := r.db.Exec(ctx, `CREATE TABLE outbox_copy (LIKE outbox INCLUDING ALL)`); err != nil {
		return 0, fmt.Errorf("make a copy of the outbox: %w", err)
	}
	began := time.Now()
	tag, err := r.db.Exec(ctx, `INSERT INTO outbox_copy (`+columns+`)
		SELECT `+columns+` FROM outbox WHERE wake AND seq <= $1 ORDER BY seq`, last)
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("fill a copy of the outbox: %w", err)
	}
	if n := int(tag.RowsAffected()); n < r.options.clusters {
		return 0, fmt.Errorf("%d rows were copied", n)
	}
	_, err = r.db.Exec(ctx, `DROP TABLE outbox_copy`)
	return float64(tag.RowsAffected()) / took.Seconds(), err
}

// creating is how many clusters are created a second during a drain.
const creating = 50

// drain waits until nothing waits any more, and creates clusters meanwhile.
func (l *lab) drain(ctx context.Context, r *rig, s *section, p *proof.Plot) error {
	fmt.Fprintln(l.out, "drain")
	back, err := r.now(ctx)
	if err != nil {
		return err
	}
	// Those that come after the last wake-up do not count.
	o, err := generateOpen(ctx, r.apiAddr, arriving, arrivals(l.random(0), creating, dosed(l, time.Second, 20*time.Second)), create)
	if err != nil {
		return err
	}
	if o.refused > 0 {
		return fmt.Errorf("%d creations were refused", o.refused)
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	at, err := r.published(ctx, back)
	if err != nil {
		return err
	}
	waited, err := r.waited(ctx, back, at[len(at)-1])
	if err != nil {
		return err
	}
	floor, err := r.rawDrain(ctx, len(at))
	if err != nil {
		return err
	}
	rate := float64(len(at)) / (at[len(at)-1] - at[0])
	s.Figures = append(s.Figures,
		proof.Measured("drain", rate, "wake-ups a second"),
		proof.Measured("raw publishing of as many messages", floor, "messages a second"),
		proof.Measured("drain, by raw publishing", rate/floor, ""),
		proof.Measured("from Pub/Sub's return to the first publication", at[0], "s"),
		proof.Measured("from Pub/Sub's return to the last publication", at[len(at)-1], "s"),
		proof.Measured("changes during the drain", float64(len(waited)), ""),
		proof.Measured("a change during the drain, p50", milliseconds(percentile(waited, 0.5)), "ms"),
		proof.Measured("a change during the drain, p99", milliseconds(percentile(waited, 0.99)), "ms"))
	p.Series = append(p.Series, cumulative("published after the return", at))
	return nil
}

// waited is how long changes waited to be published that were made while wake-ups did, which began at a time and ended so
// many seconds later. While nothing was published yet they had to wait as all else.
func (r *rig) waited(ctx context.Context, from time.Time, seconds float64) ([]sample, error) {
	rows, err := r.db.Query(ctx, `SELECT extract(epoch FROM published_at - created_at)::float8 FROM outbox
		WHERE NOT wake AND published_at IS NOT NULL AND created_at < $1::timestamptz + make_interval(secs => $2)
		AND created_at > (SELECT min(o.published_at)`+reconciles+`)`, from, seconds)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (sample, error) {
		var took float64
		err := row.Scan(&took)
		return sample{took: time.Duration(took * float64(time.Second))}, err
	})
}

// rawDrain publishes n copies of a wake-up as fast as it goes.
func (r *rig) rawDrain(ctx context.Context, n int) (perSecond float64, err error) {
	raw, err := r.publisher(ctx, v1.ClusterReconcile, func(ctx context.Context) error {
		_, err := r.db.Exec(ctx, `UPDATE reconciliation_schedule SET next_reconcile_at = now() WHERE cluster_id = $1`, clusterID(0))
		return err
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, raw.close()) }()
	return raw.flood(ctx, n)
}

// answering has Pub/Sub answer from the start.
func (l *lab) answering(ctx context.Context, r *rig, s *section, p *proof.Plot) error {
	fmt.Fprintln(l.out, "all due, Pub/Sub answers")
	if err := r.allDue(ctx); err != nil {
		return err
	}
	if err := r.wake(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	began, err := r.began(ctx)
	if err != nil {
		return err
	}
	at, err := r.appended(ctx)
	if err != nil {
		return err
	}
	out, err := r.published(ctx, began)
	if err != nil {
		return err
	}
	s.Figures = append(s.Figures,
		proof.Measured("appended, Pub/Sub answering", overall(at), "wake-ups a second"),
		proof.Measured("published meanwhile, until none waited", overall(out), "wake-ups a second"))
	p.Series = append(p.Series, cumulative("appended, Pub/Sub answering", at), cumulative("published, answering", out))
	return nil
}
