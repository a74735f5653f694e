package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// holds are what somebody else does to PostgreSQL: locks, snapshots.
func holds() []scenario {
	return []scenario{
		{
			name: "postgres/pool", promise: "A replica that has no connection left is slow or says so, and is well as soon as it has one.",
			about: "Each replica may have two connections, and somebody holds the rows of all clusters and node pools: every change waits, with a " +
				"connection each. Beside the usual clients, eight call each replica whether it is ready or not.",
			full: dose{times: 4, lasts: 30 * time.Second}, short: dose{times: 1, lasts: 4 * time.Second}, unit: "times that all rows are held",
			settings: []string{"DATABASE_MAX_OPEN_CONNS=2", "DATABASE_STATEMENT_TIMEOUT=2s"}, run: poolExhausted,
		},
		{
			name: "postgres/idle-transaction", promise: "A transaction that somebody has left open delays what it has locked and nothing else.",
			about: "A transaction stands idle with a snapshot, so that no row version goes, and with the rows of five clusters locked, " +
				"while others are worked on.",
			full: dose{times: 1, lasts: 5 * time.Minute}, short: dose{times: 1, lasts: 10 * time.Second},
			unit: "idle transactions", run: idleTransaction,
		},
	}
}

func poolExhausted(ctx context.Context, w *world, d dose) ([]figure, error) {
	began := time.Now()
	l := w.startLoad(ctx, 20, 80)
	var (
		seen watched
		back time.Duration
	)
	for range d.times {
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
		release, err := w.hold(ctx, `SELECT FROM clusters FOR UPDATE`, `SELECT FROM nodepools FOR UPDATE`)
		if err != nil {
			return nil, err
		}
		looks := w.startLooking(ctx, l.living()[0])
		held := pause(ctx, d.lasts)
		if err := errors.Join(held, release()); err != nil {
			return nil, err
		}
		took, err := w.writesAgain(ctx)
		if err != nil {
			return nil, err
		}
		ready, err := w.allReady(ctx)
		if err != nil {
			return nil, err
		}
		looks(&seen)
		back = max(back, took+ready)
	}
	return w.over(ctx, l, "exhausted pools", began,
		measured("reads that were answered meanwhile", float64(seen.reads), ""),
		atLeast("calls that were refused (503 with Retry-After)", float64(seen.refused), "", 1),
		atLeast("changes that had their turn", float64(seen.accepted), "", 1),
		atMost("answers that were wrong"+seen.what, float64(seen.wrong), "", 0),
		atMost("looks at a replica that told no health in time", float64(seen.silent), "", 0),
		measured("looks at a replica that was not ready", float64(seen.unready), ""),
		measured("slowest answer", seen.slowest.Seconds(), "s"),
		atMost("longest until writes were accepted and all replicas ready", back.Seconds(), "s", backLimit))
}

// hold runs statements in a transaction, which stands idle then until it is released. That has no session of the rig's
// pool, so that nothing else waits for one.
func (w *world) hold(ctx context.Context, statements ...string) (release func() error, err error) {
	conn, err := pgx.Connect(ctx, withDatabase(w.postgres.URL(), w.database))
	if err != nil {
		return nil, err
	}
	for _, sql := range append([]string{"BEGIN"}, statements...) {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return nil, errors.Join(fmt.Errorf("hold rows: %w", err), conn.Close(ctx))
		}
	}
	return func() error { return conn.Close(context.WithoutCancel(ctx)) }, nil
}

// callers is how many call each replica whether it is ready or not.
const callers = 8

// startLooking looks at every replica again and again and has callers of its own at each, until the returned func is
// called.
func (w *world) startLooking(ctx context.Context, held *item) (end func(*watched)) {
	ctx, cancel := context.WithCancel(ctx)
	each := make([]watched, len(w.replicas)*(1+callers))
	var all sync.WaitGroup
	for i := range each {
		r, look := w.replicas[i%len(w.replicas)], i < len(w.replicas)
		each[i].mayBeBusy = true
		all.Go(func() {
			for pause(ctx, 5*poll) == nil {
				if look {
					w.look(context.WithoutCancel(ctx), r, &each[i])
				} else {
					each[i].judge("a change", timed(&each[i], func() error { return w.changeNothing(context.WithoutCancel(ctx), r, held) }))
				}
			}
		})
	}
	return func(sum *watched) {
		cancel()
		all.Wait()
		for i := range each {
			sum.add(&each[i])
		}
	}
}

// changeNothing asks one replica for a change that waits for the row and is refused then, since somebody was first.
func (w *world) changeNothing(ctx context.Context, r *replica, it *item) error {
	body := fmt.Sprintf(`{"spec":{"platform":{"type":%q},"mark":"never"}}`, it.platform)
	at := "http://" + r.process().api + "/api/v1/" + it.kind + "s/" + it.id
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("If-Match", `"0"`)
	e, answered := errors.AsType[*client.Error](w.ask(req))
	switch {
	case !answered:
		return fmt.Errorf("%s has not answered, or changed what it was not to", r.name)
	case e.Code == v1.CodePreconditionFailed || e.Code == v1.CodeClusterDeleting || e.Code == v1.CodeNotFound:
		return nil
	}
	return e
}

// aside are clusters that no controller works on, and that the load does not know.
const aside = 5

// otherLimit is how long what nobody holds may take, in seconds: half as long as rows are held at least, on a machine that
// plays other scenarios too.
const otherLimit = 5

func idleTransaction(ctx context.Context, w *world, d dose) ([]figure, error) {
	c := w.once("aside")
	var ids []string
	l := &load{w: w, rng: w.rng}
	for i := range aside {
		made, err := c.CreateCluster(ctx, v1.CreateCluster{Name: fmt.Sprintf("aside-%d", i), Spec: spec(nobodys, l.mark(l.rng))})
		if err != nil {
			return nil, err
		}
		ids = append(ids, made.ID)
	}
	began, size := time.Now(), w.count(ctx, databaseSize)
	l = w.startLoad(ctx, 8, 60)
	release, err := w.hold(ctx, "DECLARE snapshot CURSOR FOR SELECT FROM clusters", "FETCH snapshot",
		"SELECT FROM clusters WHERE platform = '"+nobodys+"' FOR UPDATE")
	if err != nil {
		return nil, err
	}
	// A write that waits has a connection; half of those that a replica has are left to the others.
	writes := w.startWriting(ctx, l, ids[:replicaConns/2])
	var (
		read  watched
		reads []time.Duration
	)
	for err == nil && time.Since(began) < d.lasts {
		for _, id := range ids {
			asked := time.Now()
			if _, err := c.GetCluster(ctx, id); err != nil && !errors.Is(err, errNobody) {
				read.isWrong("a read of what is locked", err)
			}
			reads = append(reads, time.Since(asked))
		}
		err = pause(ctx, 10*poll)
	}
	ended := time.Now()
	grown := w.count(ctx, databaseSize) - size
	if err := errors.Join(err, release()); err != nil {
		return nil, err
	}
	wrote := writes()
	others := w.took(began, ended, ids)
	for _, id := range ids {
		if _, err := w.client("aside", owner).DeleteCluster(ctx, id); err != nil {
			return nil, err
		}
	}
	return w.over(ctx, l, "an idle transaction", began,
		measured("calls on what is not locked", float64(len(others)), ""),
		atMost("slowest of them but one in ten", percentile(others, 90).Seconds(), "s", otherLimit),
		measured("slowest of them but one in a hundred", percentile(others, 99).Seconds(), "s"),
		atMost("slowest read of what is locked but one in ten", percentile(reads, 90).Seconds(), "s", otherLimit),
		atMost("reads of that with another answer"+read.what, float64(read.wrong), "", 0),
		measured("writes to what is locked that waited until it was free", float64(wrote.accepted), ""),
		measured("writes to it that were refused after that long (503 with Retry-After)", float64(wrote.refused), ""),
		atMost("writes to it with another answer"+wrote.what, float64(wrote.wrong), "", 0),
		measured("the database has grown by", float64(grown)/(1<<20), "MiB"),
		atMost("which is, for each call", float64(grown)/(1<<10)/float64(max(len(others), 1)), "KiB", 64))
}

const databaseSize = "SELECT pg_database_size(current_database())"

// startWriting changes each of some clusters again and again, by single tries, until the returned func is called.
func (w *world) startWriting(ctx context.Context, l *load, ids []string) (end func() *watched) {
	var (
		all  sync.WaitGroup
		over atomic.Bool
		each = make([]watched, len(ids))
	)
	for i, id := range ids {
		c := w.once(fmt.Sprintf("aside%d", i+1))
		rng := w.rig.random(w.scenario.name + id)
		all.Go(func() {
			for !over.Load() && pause(ctx, 5*poll) == nil {
				err := timed(&each[i], func() error {
					_, err := c.UpdateCluster(ctx, id, v1.UpdateCluster{Spec: spec(nobodys, l.mark(rng))})
					return err
				})
				each[i].judge("a write", err)
			}
		})
	}
	return func() *watched {
		over.Store(true)
		all.Wait()
		var sum watched
		for i := range each {
			sum.add(&each[i])
		}
		return &sum
	}
}

// took is how long each call took that was made in a time and not on some resources.
func (w *world) took(from, to time.Time, but []string) []time.Duration {
	var list []time.Duration
	for _, c := range w.record.calls(from) {
		if c.End.Before(to) && !slices.Contains(but, c.ResourceID) {
			list = append(list, c.End.Sub(c.Start))
		}
	}
	return list
}

// percentile sorts a list; it is 0 of none.
func percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[(len(list)-1)*p/100]
}
