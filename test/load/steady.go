package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/test/pubsub"
)

// steadyStudy is whether a fleet in its steady state leaves room for those who read.
func steadyStudy() study {
	return study{
		name: "steady",
		about: "A fleet in its steady state: 10,000 clusters of eight controllers each, on one core for the service and one for PostgreSQL.\n" +
			"A tenth of the clusters has failed and is in the attention lane (every 30 s), the others are in the stable one (every five\n" +
			"minutes), so that the scheduler writes 63 events a second; the wake-ups are spread over their intervals, as after hours. Each\n" +
			"event has eight controllers get the cluster and then report what they said before: 500 reports a second. Beside it come 50\n" +
			"reads a second, whether or not those before are answered (70 % get, 20 % list of 50, 10 % get status), whose time counts from\n" +
			"when they were due. Judged are these reads, how late the scheduler is (from when a cluster was due until a pass took it, both\n" +
			"on the database's clock and read from the schedule; a pass runs every second, so that up to a second is its nature), and that\n" +
			"each wake-up wrote one event and each cluster was woken as often as its lane says. Then the same with all clusters in\n" +
			"attention, 333 events a second, on Google's emulator of Pub/Sub where it is installed, without a bar: it is what this machine\n" +
			"does of that. What it cannot do waits in the outbox, where a cluster has one such event at most, and in Pub/Sub; the events that\n" +
			"the controllers have not had are counted at once there, and in the first part a minute after the end. What the figures do not\n" +
			"contain: the node pools are out of the schedule; the eight controllers share one subscription, as what eight cost is Pub/Sub's\n" +
			"business; and what makes the load, and Pub/Sub, take their part of the same two cores.",
		run: studySteady,
	}
}

const (
	readRate = 50 // a second
	// readBar is what 99 of 100 reads must take at most, latenessBar what 99 of 100 wake-ups may be late.
	readBar     = 50 * time.Millisecond
	latenessBar = time.Second
	// needed is the part of them that the lanes must give which has to be seen.
	needed = 0.9
	// inAttention is which clusters are in attention: every tenth.
	inAttention = 10
)

func studySteady(ctx context.Context, l *lab) (s section, err error) {
	l.options.env = []string{"GOMAXPROCS=1"}
	r, err := l.rig(ctx, dosed(l, 800, studied), false)
	defer func() { err = errors.Join(err, r.stop()) }()
	if err != nil {
		return s, err
	}
	where := table{Title: "Where it ran:", Header: []string{"Part", "Service", "PostgreSQL", "Pub/Sub"}}
	const tenth, all = "a tenth in attention", "all in attention"

	service, postgres, err := r.pin()
	if err != nil {
		return s, err
	}
	where.add(tenth, service, postgres, fake)
	f, err := l.steadily(ctx, r, state{tenth, inAttention, true}, dosed(l, 3*time.Second, 3*time.Minute))
	if err != nil {
		return s, fmt.Errorf("%s: %w", tenth, err)
	}
	s.add(f)

	server, end, err := r.moveToEmulator(ctx)
	if err != nil {
		return s, err
	}
	defer end()
	if service, postgres, err = r.pin(); err != nil {
		return s, err
	}
	where.add(all, service, postgres, server)
	if f, err = l.steadily(ctx, r, state{all, 1, false}, dosed(l, 2*time.Second, time.Minute)); err != nil {
		return s, fmt.Errorf("%s: %w", all, err)
	}
	s.add(f)
	s.Tables = append(s.Tables, where)
	// It goes before Pub/Sub does, or it would try to publish until its time is up.
	return s, r.service.stop()
}

// pin gives the service a core of its own and PostgreSQL another, where that can be done, and says which.
func (r *rig) pin() (service, postgres string, err error) {
	list, err := cores()
	if err != nil {
		return "", "", err
	}
	if len(list) < 2 {
		const unpinned = "not pinned: there are no two cores that Linux gives out"
		return unpinned, unpinned, nil
	}
	err = errors.Join(pinTo(r.service.pid(), list[0]), pinTo(r.pg.Pid(), list[1]))
	return fmt.Sprintf("core %d", list[0]), fmt.Sprintf("core %d", list[1]), err
}

// The servers of Pub/Sub.
const (
	fake     = "Google's fake"
	emulator = "Google's emulator"
)

// moveToEmulator has the service publish to Google's emulator from now on, where that is installed, and says which server
// it is. The caller ends it.
func (r *rig) moveToEmulator(ctx context.Context) (server string, end func(), err error) {
	if _, err := pubsub.Emulator(); err != nil {
		return fake, func() {}, nil //nolint:nilerr // it is not installed: the study says so
	}
	if err := r.service.stop(); err != nil {
		return "", nil, err
	}
	if r.pubAddr, end, err = pubsub.StartEmulator(ctx); err != nil {
		return "", nil, err
	}
	if err := r.createTopics(ctx); err != nil {
		end()
		return "", nil, err
	}
	if err := r.startService(ctx); err != nil {
		end()
		return "", nil, err
	}
	return emulator, end, nil
}

func (r *rig) createTopics(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	conn, err := grpc.NewClient(r.pubAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	return errors.Join(pubsub.CreateTopics(ctx, conn), conn.Close())
}

// employ gives each cluster its eight controllers, of which the last has given up on every so many, brings the fleet to
// rest and checks that so many are in attention.
func (r *rig) employ(ctx context.Context, every int) error {
	more := robotNames(0)[len(controllers(0)):]
	added := len(more)
	if _, err := r.db.Exec(ctx, `SET session_replication_role = replica`); err != nil {
		return fmt.Errorf("switch triggers off: %w", err)
	}
	if _, err := r.db.Exec(ctx, `DELETE FROM controller_status WHERE controller_name = ANY ($1)`, more); err != nil {
		return fmt.Errorf("remove controllers: %w", err)
	}
	rows := pgx.CopyFromSlice(r.options.clusters*added, func(k int) ([]any, error) {
		i := k / added
		return reportRow(i, robotReport(i, robots-added+k%added, every), r.then), nil
	})
	if _, err := r.db.CopyFrom(ctx, pgx.Identifier{"controller_status"}, reportFields(), rows); err != nil {
		return fmt.Errorf("add controllers: %w", err)
	}
	for _, sql := range []string{
		`RESET session_replication_role`,
		`UPDATE clusters SET status_dirty = true`,
		`UPDATE nodepool_schedule SET enabled = false`,
	} {
		if _, err := r.db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("add controllers: %w", err)
		}
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	var failed, ready int
	err := r.db.QueryRow(ctx, `SELECT count(*) FILTER (WHERE phase = 'Failed'), count(*) FILTER (WHERE phase = 'Ready') FROM clusters`).
		Scan(&failed, &ready)
	if want := r.options.clusters / every; err == nil && (failed != want || ready != r.options.clusters-want) {
		err = fmt.Errorf("%d clusters have failed and %d are ready, want %d and the rest", failed, ready, want)
	}
	return err
}

// state is a steady state.
type state struct {
	name   string
	every  int  // which clusters are in attention
	judged bool // whether the machine must hold it
}

// steadied is what came of one.
type steadied struct {
	state

	watched     watched
	reads       opened
	reports     []sample
	answered    []sample
	refused     int // of the controllers' requests
	undelivered int // events that the controllers have not had
	again       int // deliveries of an event that had come before
	used        usage
	memory      int64
	unpublished int
	lanes       []lane
	took        time.Duration
}

// steadily has the fleet be woken, the controllers answer and others read for a while.
func (l *lab) steadily(ctx context.Context, r *rig, of state, d time.Duration) (f steadied, err error) {
	f.state = of
	if err := r.employ(ctx, of.every); err != nil {
		return f, err
	}
	a, err := r.startAnswering(ctx, of.every)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, a.end()) }()
	if err := r.rest(ctx); err != nil {
		return f, err
	}
	if err := wait(ctx, dosed(l, 500*time.Millisecond, 10*time.Second)); err != nil { // Connections are made and statements planned.
		return f, err
	}
	rng := rand.New(rand.NewPCG(l.options.seed, uint64(of.every)))
	due := arrivals(rng, readRate, d)
	b := &bench{rig: r}
	var both errgroup.Group
	both.Go(func() (err error) {
		f.reads, err = generateOpen(ctx, r.apiAddr, arriving, due, func(k int) request { return l.anyRead(r.options.clusters, k) })
		return err
	})
	both.Go(func() (err error) {
		began, from := time.Now(), time.Since(a.began)
		f.used, err = b.meter(ctx, r.service, r.db, func() (err error) {
			f.watched, err = r.watch(ctx, d, min(d/3, lookEvery))
			f.took = time.Since(began)
			return err
		})
		a.mu.Lock()
		defer a.mu.Unlock()
		f.reports, f.answered = between(a.reports, from, from+f.took), between(a.answered, from, from+f.took)
		return err
	})
	if err := both.Wait(); err != nil {
		return f, err
	}
	err = r.closeSteady(ctx, a, &f)
	return f, err
}

// closeSteady adds what is to be seen after the end only.
func (r *rig) closeSteady(ctx context.Context, a *answering, f *steadied) (err error) {
	if f.memory, err = residentMemory(r.service.pid()); err != nil {
		return err
	}
	if err := r.db.QueryRow(ctx, `SELECT count(*) FROM outbox WHERE published_at IS NULL`).Scan(&f.unpublished); err != nil {
		return err
	}
	patience := time.Duration(0) // What a machine cannot hold would take long.
	if f.judged {
		patience = settleLimit
	}
	if f.undelivered, err = r.undelivered(ctx, a, f.watched.to.at, patience); err != nil {
		return err
	}
	f.lanes = lanesOf(f.watched, r.options.clusters, f.every)
	a.mu.Lock()
	defer a.mu.Unlock()
	f.refused = a.refused
	for _, n := range a.events {
		f.again += n - 1
	}
	if len(f.reports) == 0 || len(f.answered) == 0 {
		return errors.New("no event was answered")
	}
	return nil
}

// undelivered waits a while until the controllers have had each event that was written before a moment, and returns how
// many they had not when the wait is over.
func (r *rig) undelivered(ctx context.Context, a *answering, until time.Time, patience time.Duration) (missing int, err error) {
	for began := time.Now(); ; {
		rows, err := r.db.Query(ctx, `SELECT id::text FROM outbox WHERE wake AND kind = 'cluster' AND created_at <= $1`, until)
		if err != nil {
			return 0, err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return 0, err
		}
		missing = 0
		a.mu.Lock()
		for _, id := range ids {
			if a.events[id] == 0 {
				missing++
			}
		}
		a.mu.Unlock()
		if missing == 0 || time.Since(began) > patience {
			return missing, nil
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return missing, err
		}
	}
}

// anyRead is what some caller reads.
func (l *lab) anyRead(clusters, k int) request {
	rng := rand.New(rand.NewPCG(l.options.seed, uint64(k)))
	i := rng.IntN(clusters)
	switch dice := rng.IntN(10); {
	case dice < 7:
		return get(i)
	case dice < 9:
		return lists(clusters)[dice-7].next(rng, k) // of all, and of an owner's own
	default:
		return newRequest(http.MethodGet, clusterPath(i)+"/status", owner(i), nil, http.StatusOK)
	}
}

// lane is what the scheduler did for the clusters of one.
type lane struct {
	name             string
	interval         time.Duration
	clusters, events int
	must             float64 // events
	least, most      int     // of any cluster
	off              int     // clusters that were woken less or more often than any jitter allows
}

// lanesOf counts by lane. An interval is drawn within a tenth, and a pass comes up to a second or so later.
func lanesOf(w watched, clusters, every int) []lane {
	const late = 3 * time.Second
	all := []lane{{name: v1.ReasonAttention, interval: 30 * time.Second}, {name: v1.ReasonStable, interval: 5 * time.Minute}}
	for i := range clusters {
		at := &all[1]
		if i%every == every-1 {
			at = &all[0]
		}
		n := w.events(clusterID(i))
		if at.clusters++; at.clusters == 1 {
			at.least = n
		}
		at.events, at.least, at.most = at.events+n, min(at.least, n), max(at.most, n)
		d := w.to.at.Sub(w.from.at)
		if n < int(d/(at.interval*11/10+late)) || n > int(d/(at.interval*9/10))+1 {
			at.off++
		}
	}
	if all[1].clusters == 0 {
		all = all[:1]
	}
	for i := range all {
		all[i].must = float64(all[i].clusters) * w.seconds() / all[i].interval.Seconds()
	}
	return all
}
