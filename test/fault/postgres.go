package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cls-backend/cls-backend/internal/dev"
)

func databases() []scenario {
	return []scenario{
		{
			name: "postgres/restart", promise: "What PostgreSQL has acknowledged is there after it died, and the service is back as soon as it is.",
			about: "PostgreSQL is stopped as if it had crashed (an immediate shutdown) and started again on its port, again and again.",
			full:  dose{times: 50}, short: dose{times: 2}, unit: "restarts", run: postgresRestarts, postgres: itsOwn(),
		},
		{
			name: "postgres/fail-over", promise: "A fail-over to a synchronous standby loses nothing that was acknowledged.",
			about: "The primary dies at once, its synchronous standby is promoted, and the replicas reach it at the same address. " +
				"Then the next standby is copied from it, under load.",
			full: dose{times: 10}, short: dose{times: 1}, unit: "fail-overs", run: failOvers, postgres: itsOwn(),
		},
		{
			name: "postgres/terminated", promise: "A session that an operator ends costs no more than a try.",
			about: "Every second the sessions of the service that are at work are ended (pg_terminate_backend).",
			full:  dose{times: 120}, short: dose{times: 4}, unit: "seconds with terminations", run: terminated,
		},
		{
			name: "postgres/read-only", promise: "While PostgreSQL takes no writes they are refused for a while, and all can be read.",
			about: "PostgreSQL becomes read-only, as during a fail-over (default_transaction_read_only by ALTER SYSTEM), and takes writes again.",
			full:  dose{times: 5, lasts: 20 * time.Second}, short: dose{times: 1, lasts: 3 * time.Second},
			unit: "times read-only", run: readOnly, postgres: itsOwn(),
		},
	}
}

// itsOwn is a PostgreSQL that a scenario does something to. It keeps what it acknowledges.
func itsOwn() *dev.PostgresOptions {
	return &dev.PostgresOptions{Durable: true, Settings: map[string]string{"max_connections": "200"}}
}

// backLimit is how soon all replicas must take traffic once PostgreSQL does, in seconds, on a busy machine too.
const backLimit = 10

func postgresRestarts(ctx context.Context, w *world, d dose) ([]figure, error) {
	began := time.Now()
	l := w.startLoad(ctx, 8, 60)
	var away, back time.Duration
	for range d.times {
		if err := pause(ctx, 500*time.Millisecond+time.Duration(w.rng.IntN(1000))*time.Millisecond); err != nil {
			return nil, err
		}
		died := time.Now()
		w.postgres.Kill()
		if err := w.startAgain(ctx); err != nil {
			return nil, err
		}
		away = max(away, time.Since(died))
		took, err := w.allReady(ctx)
		if err != nil {
			return nil, err
		}
		back = max(back, took)
	}
	return w.over(ctx, l, "restarts of PostgreSQL", began,
		measured("longest that PostgreSQL was away", away.Seconds(), "s"),
		atMost("longest until all replicas were ready after that", back.Seconds(), "s", backLimit))
}

// over ends the load, waits until all is well, and adds what every scenario measures to what one has.
func (w *world) over(ctx context.Context, l *load, fault string, began time.Time, figures ...figure) ([]figure, error) {
	racer := w.client("race", owner)
	if len(l.living()) == 0 {
		l.create(ctx, racer, w.rng)
	}
	if items := l.living(); len(items) > 0 { // A short dose may have had no contest that can be judged.
		l.race(ctx, racer, w.rng, items[len(items)-1])
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	failed := 0
	for _, c := range w.record.calls(began) {
		if c.Status == 0 || c.Status >= 500 {
			failed++
		}
	}
	settled, err := w.settle(ctx, fault)
	figures = append(l.figures(), figures...)
	return append(figures, measured("single tries that got no answer, or a 5xx", float64(failed), ""), settled), err
}

// allReady waits until every replica says that it takes traffic, and returns how long that took.
func (w *world) allReady(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	for _, r := range w.replicas {
		err := until(ctx, r.name+" to be ready again", patience, func() bool {
			ready, _ := r.isReady(ctx, r.process())
			return ready
		})
		if err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

func failOvers(ctx context.Context, w *world, d dose) ([]figure, error) {
	began := time.Now()
	l := w.startLoad(ctx, 8, 60)
	var away, back time.Duration
	for i := range d.times {
		standby, err := w.addStandby(ctx, i+1)
		if err != nil {
			return nil, err
		}
		if err := pause(ctx, 500*time.Millisecond+time.Duration(w.rng.IntN(1000))*time.Millisecond); err != nil {
			return nil, err
		}
		took, err := w.failOver(ctx, standby)
		if err != nil {
			return nil, err
		}
		away = max(away, took)
		if took, err = w.allReady(ctx); err != nil {
			return nil, err
		}
		back = max(back, took)
	}
	return w.over(ctx, l, "fail-overs", began,
		measured("longest until the standby was promoted", away.Seconds(), "s"),
		atMost("longest until all replicas were ready after that", back.Seconds(), "s", backLimit))
}

// failOver has the primary die and everybody use the standby, and returns how long that took.
func (w *world) failOver(ctx context.Context, standby *dev.Postgres) (time.Duration, error) {
	died := time.Now()
	w.postgres.Kill()
	if err := execute(ctx, standby.URL(), "SELECT pg_promote()"); err != nil {
		return 0, fmt.Errorf("promote the standby: %w", err)
	}
	err := w.moveTo(ctx, standby)
	return time.Since(died), err
}

// addStandby makes a standby that every commit waits for.
func (w *world) addStandby(ctx context.Context, n int) (*dev.Postgres, error) {
	standby, err := w.startStandby(ctx, n)
	if err != nil {
		return nil, err
	}
	// The copy does not have this: when it is promoted there is nobody to wait for.
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		if _, err := w.db.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("wait for the standby: %w", err)
		}
	}
	return standby, until(ctx, "a synchronous standby", patience, func() bool {
		return w.count(ctx, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1
	})
}

// startStandby makes a standby that no commit waits for.
func (w *world) startStandby(ctx context.Context, n int) (*dev.Postgres, error) {
	o := *w.scenario.postgres
	o.Dir = filepath.Join(w.rig.dir, "postgres-"+w.database+"-standby"+strconv.Itoa(n))
	standby, err := w.postgres.StartStandby(ctx, o)
	if err != nil {
		return nil, err
	}
	w.atEnd(func() error {
		standby.Kill()
		return nil
	})
	return standby, nil
}

// moveTo has everybody use another server from now on, and removes the one before, which is dead.
func (w *world) moveTo(ctx context.Context, to *dev.Postgres) error {
	w.record.crash()
	before := w.postgres.Options().Dir
	w.postgres = to
	for _, r := range w.replicas {
		r.postgres.Retarget(hostOf(to.URL()))
	}
	cfg := w.db.Config()
	target, err := pgxpool.ParseConfig(withDatabase(to.URL(), w.database))
	if err != nil {
		return err
	}
	cfg.ConnConfig.Port = target.ConnConfig.Port
	w.db.Close()
	if w.db, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	return dev.RemovePostgres(ctx, before)
}

// busy are the sessions of the service that are at work.
const busy = `FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'cls-backend' AND state <> 'idle'`

func terminated(ctx context.Context, w *world, d dose) ([]figure, error) {
	began := time.Now()
	l := w.startLoad(ctx, 12, 100)
	ended := 0
	for second := range d.times {
		if err := pause(ctx, time.Until(began.Add(time.Duration(second)*time.Second))); err != nil {
			return nil, err
		}
		before := ended
		err := until(ctx, "a session at work", patience, func() bool {
			ended += w.count(ctx, "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) "+busy)
			return ended > before
		})
		if err != nil {
			return nil, err
		}
	}
	return w.over(ctx, l, "sessions ended", began, atLeast("sessions that were ended", float64(ended), "", float64(d.times)))
}

func readOnly(ctx context.Context, w *world, d dose) ([]figure, error) {
	began := time.Now()
	l := w.startLoad(ctx, 8, 60)
	var (
		seen watched
		back time.Duration
	)
	for range d.times {
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
		if err := w.takeWrites(ctx, false); err != nil {
			return nil, err
		}
		// That has ended all sessions, of which a probe may have had one.
		if _, err := w.allReady(ctx); err != nil {
			return nil, err
		}
		if err := w.watch(ctx, l, d.lasts, &seen); err != nil {
			return nil, err
		}
		if err := w.takeWrites(ctx, true); err != nil {
			return nil, err
		}
		took, err := w.writesAgain(ctx)
		if err != nil {
			return nil, err
		}
		back = max(back, took)
	}
	figures := append(seen.figures(), atMost("writes that were accepted all the same", float64(seen.accepted), "", 0),
		atMost("times that a replica was not ready meanwhile", float64(seen.unready), "", 0),
		atMost("longest until a write was accepted again", back.Seconds(), "s", backLimit))
	return w.over(ctx, l, "a read-only PostgreSQL", began, figures...)
}

// takeWrites switches PostgreSQL to read-only or back, and returns once that is so for all sessions of the service:
// those that there were are ended.
func (w *world) takeWrites(ctx context.Context, yes bool) error {
	setting := map[bool]string{true: "off", false: "on"}[yes]
	for _, sql := range []string{
		"ALTER SYSTEM SET default_transaction_read_only = " + setting, "SELECT pg_reload_conf()",
	} {
		if _, err := w.db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("switch read-only %s: %w", setting, err)
		}
	}
	err := until(ctx, "a new session to be told", patience, func() bool {
		conn, err := pgx.Connect(ctx, withDatabase(w.postgres.URL(), w.database))
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close(ctx) }()
		var now string
		return conn.QueryRow(ctx, "SHOW default_transaction_read_only").Scan(&now) == nil && now == setting
	})
	if err != nil {
		return err
	}
	w.count(ctx, `
		SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'cls-backend'`)
	return nil
}
