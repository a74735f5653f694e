package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/internal/dev"
	"github.com/cls-backend/cls-backend/test/fault/history"
	"github.com/cls-backend/cls-backend/test/pubsub"
)

const (
	// attention is how often what is not well is woken; two such intervals after a fault all must be well. A relay
	// that died has events under a lease of 10 s, so that it cannot be less than half of that.
	attention = 6 * time.Second
	// patience is far above what anything takes for which nothing else is said.
	patience = time.Minute
	// poll is how often the rig looks at what gives no signal.
	poll = 20 * time.Millisecond
	// replicaConns is how many connections to PostgreSQL a replica of a world that does not say may have. Each plans every
	// statement anew.
	replicaConns = 4
	// startedReplicas is how many a world has that does not say.
	startedReplicas = 3
)

// world is what a scenario happens to. Its methods are called by the scenario's goroutine.
type world struct {
	rig      *rig
	scenario scenario
	rng      *rand.Rand
	postgres *dev.Postgres
	binary   string        // of the replicas that are started first
	database string        // its name
	db       *pgxpool.Pool // our own way to it, which no fault is on
	pubsub   *pubSub
	replicas []*replica
	// transport carries the requests of clients, controllers and probes.
	transport *http.Transport
	record    *record
	next      atomic.Uint64 // the turn of the replicas
	nobody    atomic.Int64  // tries for which no replica was ready
	before    map[string]int
	end       []func() error // in reverse order

	mu     sync.Mutex
	faults []error
}

// newWorld starts everything and returns when all is well. The caller ends it with close; after an error it is ended.
func (r *rig) newWorld(ctx context.Context, s scenario) (*world, error) {
	w := &world{
		rig: r, scenario: s, binary: r.binary, rng: r.random(s.name), record: newRecord(),
		transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	for _, step := range []func(context.Context) error{
		w.startDatabase, w.startPubSub, w.startReplicas, w.startControllers, w.warmUp,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("start the world: %w", err), w.broken(), w.close())
		}
	}
	return w, nil
}

// close ends everything. Of no world it ends nothing.
func (w *world) close() error {
	if w == nil {
		return nil
	}
	var errs []error
	for _, end := range slices.Backward(w.end) {
		errs = append(errs, end())
	}
	w.end = nil
	return errors.Join(errs...)
}

// atEnd has something ended with the world.
func (w *world) atEnd(end func() error) { w.end = append(w.end, end) }

// breaks notes that something went wrong that no scenario wants.
func (w *world) breaks(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, err)
}

// broken is what went wrong that no scenario wants.
func (w *world) broken() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.faults...)
}

func (w *world) startDatabase(ctx context.Context) (err error) {
	w.rig.mu.Lock()
	w.rig.worlds++
	name := fmt.Sprintf("world%d", w.rig.worlds)
	w.rig.mu.Unlock()
	if o := w.scenario.postgres; o != nil {
		folder := "postgres-" + name
		w.postgres, err = w.rig.startPostgres(ctx, folder, *o)
		w.atEnd(func() error {
			if w.postgres != nil {
				w.postgres.Kill()
			}
			return nil
		})
	} else {
		w.postgres, err = w.rig.sharedPostgres(ctx)
	}
	if err != nil {
		return err
	}
	w.database = name
	if err := execute(ctx, w.postgres.URL(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		return err
	}
	if w.scenario.previous {
		if w.binary, err = w.rig.buildPrevious(ctx); err != nil {
			return err
		}
		if err := w.migrateDown(ctx); err != nil {
			return err
		}
	}
	cfg, err := pgxpool.ParseConfig(withDatabase(w.postgres.URL(), name))
	if err != nil {
		return err
	}
	cfg.MaxConns = 4
	cfg.ConnConfig.RuntimeParams["application_name"] = "fault"
	if w.db, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	w.atEnd(func() error {
		w.db.Close()
		return nil
	})
	return nil
}

func (w *world) startPubSub(ctx context.Context) (err error) {
	if w.pubsub, err = startPubSub(ctx, w.scenario.emulator); err != nil {
		return err
	}
	w.atEnd(w.pubsub.close)
	subscribed, err := pubsub.Subscribe(ctx, w.pubsub.conn, "record", true, w.record.deliver)
	if err != nil {
		return err
	}
	w.atEnd(subscribed)
	return nil
}

// startReplicas starts them all at once, each with its own ways to PostgreSQL and Pub/Sub.
func (w *world) startReplicas(ctx context.Context) error {
	if err := os.MkdirAll(w.rig.logs(w.scenario.name), 0o755); err != nil {
		return err
	}
	n := w.scenario.replicas
	if n == 0 {
		n = startedReplicas
	}
	for i := range n {
		r, err := w.newReplica("r" + strconv.Itoa(i+1))
		if err != nil {
			return err
		}
		w.replicas = append(w.replicas, r)
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	for i, r := range w.replicas {
		all.Go(func() { errs[i] = r.start(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// settings are those of every replica, beside where things are.
func (w *world) settings() []string {
	return append([]string{
		"DATABASE_MAX_OPEN_CONNS=" + strconv.Itoa(w.connections()),
		"RECONCILIATION_ATTENTION_INTERVAL=" + attention.String(),
	}, w.scenario.settings...)
}

// connections is how many a replica may have to PostgreSQL.
func (w *world) connections() int { return cmp.Or(w.scenario.connections, replicaConns) }

// warmUp has each kind of thing happen once, so that what is opened once is open before the load, and notes what there
// is at rest.
func (w *world) warmUp(ctx context.Context) error {
	c := w.client("warm-up", owner)
	l := &load{w: w, rng: w.rig.random(w.scenario.name + " warm-up")}
	for range 2 * len(w.replicas) {
		l.create(ctx, c, l.rng)
	}
	for _, it := range l.living() {
		l.remove(ctx, c, l.rng, it)
	}
	if err := l.err(); err != nil {
		return err
	}
	if _, err := w.await(ctx, patience); err != nil {
		return err
	}
	var err error
	w.before, err = w.held(ctx, nil)
	return err
}

// unsettled says what is not as declared yet; "" when all is.
func (w *world) unsettled(ctx context.Context) (string, error) {
	const sql = `
		WITH waiting AS (
			SELECT 'cluster ' || id || ' ' || phase AS what FROM clusters WHERE deleted_at IS NULL AND NOT (phase = 'Ready'
				AND NOT status_dirty AND (status ->> 'observedGeneration')::bigint = generation)
			UNION ALL
			SELECT 'node pool ' || id || ' ' || phase FROM nodepools WHERE deleted_at IS NULL AND NOT (phase = 'Ready'
				AND NOT status_dirty AND (status ->> 'observedGeneration')::bigint = generation)
			UNION ALL
			SELECT 'event ' || id || ' ' || type || ' ' || reason || ' ' || last_error FROM outbox
			WHERE published_at IS NULL AND set_aside_at IS NULL
		)
		SELECT count(*), coalesce((SELECT string_agg(what, '; ') FROM (SELECT what FROM waiting LIMIT 3) w), '') FROM waiting`
	var (
		n    int
		some string
	)
	if err := w.db.QueryRow(ctx, sql).Scan(&n, &some); err != nil {
		return "", fmt.Errorf("look for what is not settled: %w", err)
	}
	if n == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d things, such as %s", n, some), nil
}

// await waits until every resource is Ready or gone and nothing is unpublished, and returns how long that took.
func (w *world) await(ctx context.Context, limit time.Duration) (time.Duration, error) {
	began := time.Now()
	for {
		left, err := w.unsettled(ctx)
		took := time.Since(began)
		switch {
		case err != nil:
			return took, err
		case left == "":
			return took, nil
		case took > limit:
			return took, fmt.Errorf("not settled after %v: %s", took.Round(time.Millisecond), left)
		}
		if err := pause(ctx, poll); err != nil {
			return took, err
		}
	}
}

// settle waits until all is well after a fault that is over, with the load ended, and puts on record how long that took,
// and what there is then: however short a dose is, it has seen something Ready.
func (w *world) settle(ctx context.Context, fault string) (figure, error) {
	const limit = 2 * attention
	took, err := w.await(ctx, 4*limit)
	w.record.recover(history.Recovery{Fault: fault, Took: took, Limit: limit, Converged: err == nil})
	if err == nil {
		err = w.readAll(ctx)
	}
	return atMost("all as declared after", took.Seconds(), "s", limit.Seconds()), err
}

// readAll reads what the load has left. What is nobody's is never Ready, or reported on past the record.
func (w *world) readAll(ctx context.Context) error {
	rows, err := w.db.Query(ctx, `SELECT id::text FROM clusters WHERE deleted_at IS NULL AND created_by = $1 AND platform = ANY ($2)`,
		owner, platforms())
	if err != nil {
		return fmt.Errorf("look for clusters: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for clusters: %w", err)
	}
	c := w.client("reader", owner)
	for _, id := range ids {
		if _, err := c.GetCluster(ctx, id); err != nil && !errors.Is(err, client.ErrNotFound) {
			return fmt.Errorf("read what was declared: %w", err)
		}
	}
	return nil
}

// rest waits until the subscriber has all there is, and puts on record what the database has and what is left behind.
func (w *world) rest(ctx context.Context) error {
	if err := w.awaitDeliveries(ctx); err != nil {
		return err
	}
	after, err := w.held(ctx, w.before)
	if err != nil {
		return err
	}
	for what, n := range w.before {
		w.record.leave(history.Leftover{What: what, Before: n, After: after[what], Slack: w.slack(what, n)})
	}
	return w.collect(ctx)
}

// slack is by how much there may be more of something at rest: a pool keeps some connections, and a goroutine comes
// with each and with each request that is just answered.
func (w *world) slack(what string, before int) int {
	switch {
	case strings.HasPrefix(what, "goroutines"):
		return 2 * w.connections()
	case what == "connections":
		return len(w.replicas)*w.connections() - before
	default:
		return 0
	}
}

// held counts what a process may leave behind. It is looked at until it is no more than allowed, for some seconds, or
// without a measure a few times; the least counts.
func (w *world) held(ctx context.Context, measure map[string]int) (map[string]int, error) {
	w.transport.CloseIdleConnections()
	least := map[string]int{}
	for began := time.Now(); time.Since(began) < 10*time.Second; {
		now, err := w.heldNow(ctx)
		if err != nil {
			return nil, err
		}
		within := true
		for what, n := range now {
			if seen, ok := least[what]; !ok || n < seen {
				least[what] = n
			}
			within = within && least[what] <= measure[what]+w.slack(what, measure[what])
		}
		if measure != nil && within || measure == nil && time.Since(began) > time.Second {
			break
		}
		if err := pause(ctx, 5*poll); err != nil {
			return nil, err
		}
	}
	return least, nil
}

func (w *world) heldNow(ctx context.Context) (map[string]int, error) {
	var connections, locks int
	err := w.db.QueryRow(ctx, `
		SELECT count(*), coalesce(sum((SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND l.locktype <> 'virtualxid')), 0)
		FROM pg_stat_activity a WHERE a.datname = current_database() AND a.application_name = 'cls-backend'`).Scan(&connections, &locks)
	if err != nil {
		return nil, fmt.Errorf("count connections and locks: %w", err)
	}
	now := map[string]int{"connections": connections, "locks": locks}
	for _, r := range w.replicas {
		n, err := r.metric(ctx, "go_goroutines")
		if err != nil {
			return nil, err
		}
		now["goroutines of "+r.name] = int(n)
	}
	return now, nil
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until waits for something that happens in another process and gives no signal.
func until(ctx context.Context, what string, limit time.Duration, holds func() bool) error {
	for began := time.Now(); !holds(); {
		if time.Since(began) > limit {
			return fmt.Errorf("waited in vain for %s, %v", what, limit)
		}
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
	return nil
}

// through is a URL of the database whose way is a proxy.
func through(text, address string) string {
	u, err := url.Parse(text)
	if err != nil { // It is of our own making.
		panic("fault: " + err.Error())
	}
	u.Host = address
	return u.String()
}
