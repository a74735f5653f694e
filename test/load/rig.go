package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/dev"
)

// bareDatabase is a copy of the fleet for pgbench and the bare handler: nothing of
// theirs is published or scheduled.
const bareDatabase = "bare"

// rig is everything that runs: PostgreSQL, Pub/Sub, the service and the bare handler.
type rig struct {
	options options
	log     *os.File // what the service says

	pg       *dev.Postgres
	pubsub   *process
	service  *process
	bare     *process
	apiAddr  string
	bareAddr string
	pubAddr  string

	then time.Time // when the fleet was made

	db     *pgx.Conn // the service's database, for preparing and looking, not for load
	bareDB *pgx.Conn
}

// startRig starts everything on a fresh fleet at rest; without baselines there is no bare
// handler, and no copy for it. The caller ends it with stop, after an error too.
func startRig(ctx context.Context, o options, out io.Writer, baselines bool) (*rig, error) {
	r := &rig{options: o}
	type step struct {
		what string
		do   func(context.Context) error
	}
	steps := []step{{"start PostgreSQL and Pub/Sub", r.startStores}, {"make the fleet", r.makeFleet}}
	if baselines {
		steps = append(steps, step{"copy it for the baselines", r.copyFleet}, step{"start the service", r.startService})
	}
	for _, s := range append(steps, step{"bring it to rest", r.rest}) {
		fmt.Fprintln(out, s.what)
		if err := s.do(ctx); err != nil {
			return r, fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return r, nil
}

func (r *rig) startStores(ctx context.Context) error {
	var err error
	if r.log, err = os.Create(filepath.Join(r.options.out, "service.log")); err != nil {
		return err
	}
	if err := dev.RemovePostgres(ctx, r.options.dir); err != nil {
		return err
	}
	if r.pg, err = dev.StartPostgres(ctx, dev.PostgresOptions{Dir: r.options.dir, Durable: true, Settings: r.settings()}); err != nil {
		return err
	}
	memory, err := inMemory(r.options.dir)
	if err != nil {
		return err
	}
	if memory && !r.options.inMemory {
		return fmt.Errorf("%s is in memory, where a commit costs nothing: choose another -dir", r.options.dir)
	}
	if r.db, err = pgx.Connect(ctx, r.pg.URL()); err != nil {
		return err
	}
	r.pubsub, r.pubAddr, err = startHelper(pubsubHelper, r.log)
	return err
}

// settings keep checkpoints out of the run. The first change of a page after one logs the
// whole page: over minutes that is nothing, in two seconds it would be most of the log.
func (r *rig) settings() map[string]string {
	all := map[string]string{"checkpoint_timeout": "1h", "max_wal_size": "16GB"}
	maps.Copy(all, r.options.settings)
	return all
}

// makeFleet migrates and fills the database and lets the service calculate the statuses.
func (r *rig) makeFleet(ctx context.Context) error {
	migrate := exec.CommandContext(ctx, r.options.binary, "migrate")
	migrate.Env = []string{"DATABASE_URL=" + r.pg.URL()}
	migrate.Stderr = r.log
	if err := migrate.Run(); err != nil {
		return fmt.Errorf("%s migrate: %w", r.options.binary, err)
	}
	r.then = time.Now().Add(-age)
	if err := seed(ctx, r.db, filling{to: r.options.clusters, then: r.then, due: r.due}); err != nil {
		return err
	}
	if err := r.startService(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	return r.restore(ctx, r.db)
}

// due is when the controllers are first woken for something in a new fleet: at once, or with an interval of the options
// not before half of it has gone by. What is due while a large fleet is still being made would be caught up with later.
func (r *rig) due() time.Time {
	if r.options.stable == 0 {
		return time.Now()
	}
	return time.Now().Add(r.options.stable/2 + rand.N(r.options.stable/2))
}

// copyFleet clones the database, which nobody may be connected to meanwhile.
func (r *rig) copyFleet(ctx context.Context) error {
	if err := errors.Join(r.service.stop(), r.db.Close(ctx)); err != nil {
		return err
	}
	server, err := pgx.Connect(ctx, r.urlOf("postgres"))
	if err != nil {
		return err
	}
	defer server.Close(ctx)
	if _, err := server.Exec(ctx, `CREATE DATABASE `+bareDatabase+` TEMPLATE cls`); err != nil {
		return err
	}
	if r.db, err = pgx.Connect(ctx, r.pg.URL()); err != nil {
		return err
	}
	if r.bareDB, err = pgx.Connect(ctx, r.urlOf(bareDatabase)); err != nil {
		return err
	}
	r.bare, r.bareAddr, err = startHelper(bareHelper, r.log, "DATABASE_URL="+r.urlOf(bareDatabase))
	return err
}

func (r *rig) urlOf(database string) string {
	u, err := url.Parse(r.pg.URL())
	if err != nil { // It is of our own making.
		panic("load: " + err.Error())
	}
	u.Path = "/" + database
	return u.String()
}

// startService runs the released binary with the settings of production, but for where
// things are, and waits until it takes traffic.
func (r *rig) startService(ctx context.Context) error {
	var err error
	if r.service, r.apiAddr, err = r.launch(ctx); err != nil {
		return err
	}
	return r.ready(ctx, r.apiAddr)
}

// launch starts one process of the service, and says where it is to answer.
func (r *rig) launch(ctx context.Context) (*process, string, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(r.options.binary, "serve") //nolint:noctx // it is ended by stop, in order
	cmd.Env = []string{
		"DATABASE_URL=" + r.pg.URL(), "PUBSUB_EMULATOR_HOST=" + r.pubAddr, "HOST=127.0.0.1", "PORT=" + port, "METRICS_PORT=0",
		"ADMIN_IDENTITIES=" + admin,
	}
	if r.options.stable > 0 {
		cmd.Env = append(cmd.Env, "RECONCILIATION_STABLE_INTERVAL="+r.options.stable.String())
	}
	cmd.Env = append(cmd.Env, r.options.env...)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	p, err := start(cmd)
	return p, net.JoinHostPort("127.0.0.1", port), err
}

// ready waits until a process of the service takes traffic.
func (r *rig) ready(ctx context.Context, addr string) error {
	return r.poll(ctx, "the service to be ready", 10*time.Millisecond, func(ctx context.Context) (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", http.NoBody)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
}

// freePort asks the kernel for a loopback port that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// settleLimit is how long the work that a measurement leaves may take.
const settleLimit = time.Minute

// poll looks every so often until something holds, or the service has ended.
func (r *rig) poll(ctx context.Context, what string, every time.Duration, holds func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleLimit, fmt.Errorf("no end after %v", settleLimit))
	defer cancel()
	pause := time.NewTicker(every)
	defer pause.Stop()
	for {
		if ok, err := holds(ctx); ok || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-pause.C:
		case <-r.service.done:
			return fmt.Errorf("wait for %s: the service ended (%v); see %s", what, r.service.cmd.ProcessState, r.log.Name())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
}

// settle waits until the service has done all that the requests so far have caused:
// statuses calculated, early wake-ups on their way, every event published.
func (r *rig) settle(ctx context.Context) error {
	return r.poll(ctx, "the service to come to rest", 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		var busy bool
		err := r.db.QueryRow(ctx, `SELECT
			EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND set_aside_at IS NULL)
			OR EXISTS (SELECT FROM stale_statuses) OR EXISTS (SELECT FROM stale_nodepool_statuses)
			OR EXISTS (SELECT FROM reconciliation_schedule WHERE reactive AND enabled AND next_reconcile_at < now() + interval '2 s')
			OR EXISTS (SELECT FROM nodepool_schedule WHERE reactive AND enabled AND next_reconcile_at < now() + interval '2 s')`).Scan(&busy)
		return !busy, err
	})
}

// rest spreads the fleet's wake-ups over their intervals, as they are after hours of
// running, and waits for what is under way.
func (r *rig) rest(ctx context.Context) error {
	if r.options.stable > 0 {
		return r.settle(ctx) // It was made at rest.
	}
	for _, sql := range []string{
		`UPDATE reconciliation_schedule s
		SET next_reconcile_at = now() + random() * CASE WHEN c.phase = 'Ready' THEN interval '5 min' ELSE interval '30 s' END
		FROM clusters c WHERE c.id = s.cluster_id`,
		`UPDATE nodepool_schedule s
		SET next_reconcile_at = now() + random() * CASE WHEN p.phase = 'Ready' THEN interval '5 min' ELSE interval '30 s' END
		FROM nodepools p WHERE p.id = s.nodepool_id`,
	} {
		if _, err := r.db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("spread the wake-ups: %w", err)
		}
	}
	if err := r.restore(ctx, r.db); err != nil {
		return err
	}
	return r.settle(ctx)
}

// restore puts a database back after an operation: what it added goes, early wake-ups
// are forgotten, dead rows are swept. One statement each: VACUUM stands alone.
func (r *rig) restore(ctx context.Context, db *pgx.Conn) error {
	for _, sql := range []string{
		`DELETE FROM clusters WHERE id < '` + clusterID(0) + `' OR id > '` + clusterID(r.options.clusters) + `'`,
		`DELETE FROM nodepools WHERE id < '` + poolID(0) + `' OR id > '` + poolID(r.options.clusters) + `'`,
		`DELETE FROM outbox o WHERE published_at IS NOT NULL OR NOT EXISTS (SELECT FROM clusters WHERE id = o.resource_id)
			AND NOT EXISTS (SELECT FROM nodepools WHERE id = o.resource_id)`,
		`UPDATE reconciliation_schedule SET reactive = false, reactive_wakes = 0, next_reconcile_at = now() + random() * interval '5 min'
			WHERE reactive OR reactive_wakes > 0`,
		`UPDATE nodepool_schedule SET reactive = false, reactive_wakes = 0, next_reconcile_at = now() + random() * interval '5 min'
			WHERE reactive OR reactive_wakes > 0`,
		`TRUNCATE timeline`,
		`VACUUM (ANALYZE) clusters, controller_status, reconciliation_schedule, nodepools, nodepool_controller_status, nodepool_schedule, outbox`,
	} {
		if _, err := db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("put the database back: %w", err)
		}
	}
	return nil
}

// stop ends everything, in reverse, and removes the data.
func (r *rig) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	err := errors.Join(r.bare.stop(), r.service.stop(), r.pubsub.stop())
	for _, db := range []*pgx.Conn{r.db, r.bareDB} {
		if db != nil {
			_ = db.Close(ctx) // The server is going anyway.
		}
	}
	if r.pg != nil {
		err = errors.Join(err, r.pg.Stop(ctx), dev.RemovePostgres(ctx, r.options.dir))
	}
	if r.log != nil {
		err = errors.Join(err, r.log.Close())
	}
	return err
}
