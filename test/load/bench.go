package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// The subjects of a measurement.
const (
	subjectService = "service"
	subjectBare    = "bare handler"
	subjectPgbench = "pgbench"
)

// bench measures on a rig and keeps the results.
type bench struct {
	rig     *rig
	options options
	out     io.Writer

	results    []result       // of the service, in order
	baselines  []result       // of pgbench and the bare handler, in order
	baseline   map[key]result // the same, by what they are compared with
	idle       []result
	background usage // of the service at rest, in a second
	counted    bool  // PostgreSQL counts pages
}

// key names a baseline.
type key struct {
	subject     string
	kind        kind
	connections int
}

// result is one measurement.
type result struct {
	operation   string
	subject     string
	connections int
	bar         time.Duration
	kind        kind

	samples []sample
	elapsed time.Duration
	used    usage
	// pace is how many times slower the machine was right before and after than the one that the
	// bars are set for.
	pace float64
	// beside is how many the bare handler did a second, right before and after.
	beside float64
	// least and most are what the rounds, of which this is the middle one, were judged as, in microseconds.
	least, most float64
}

// usage is CPU time and write-ahead log.
type usage struct {
	process  time.Duration // the service's, or the bare handler's
	postgres time.Duration // of all PostgreSQL processes
	wal      int64         // bytes
	buffers  int64         // pages that the statements looked at; 0 where nobody counts
}

func (u usage) cpu() time.Duration { return u.process + u.postgres }

// measure measures what is asked for. Each operation comes right after its baselines,
// so that a machine that changes its pace changes it for both.
func (b *bench) measure(ctx context.Context) error {
	if err := b.measureIdle(ctx); err != nil {
		return err
	}
	for _, op := range operations(b.options.clusters) {
		if !b.options.only.MatchString(op.name) {
			continue
		}
		for _, n := range b.options.connections {
			if err := b.measureBeside(ctx, op, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// measureBeside measures an operation right after its baselines.
func (b *bench) measureBeside(ctx context.Context, op operation, connections int) error {
	for _, k := range []kind{paces[op.kind].of, op.kind} {
		if err := b.measureBaselines(ctx, k, connections); err != nil {
			return err
		}
	}
	return b.measureOperation(ctx, op, connections)
}

// measureRest takes what the service uses by itself.
func (b *bench) measureRest(ctx context.Context, d time.Duration) (err error) {
	began := time.Now()
	b.background, err = b.meter(ctx, b.rig.service, b.rig.db, func() error { return wait(ctx, d) })
	if err != nil {
		return err
	}
	b.background = b.background.times(float64(time.Second) / float64(time.Since(began)))
	return nil
}

// measureIdle takes the service at rest: what it uses by itself, and how fast it answers
// one caller.
func (b *bench) measureIdle(ctx context.Context) error {
	if err := b.measureRest(ctx, b.options.duration); err != nil {
		return err
	}
	for _, op := range idle(b.options.clusters) {
		if !b.options.only.MatchString(op.name) {
			continue
		}
		if err := b.prepare(ctx, op); err != nil {
			return err
		}
		if err := b.warm(ctx, op, b.rig.apiAddr, 1); err != nil {
			return fmt.Errorf("%s, idle: %w", op.name, err)
		}
		r, err := b.load(ctx, op, b.rig.service, b.rig.apiAddr, b.rig.db, 1)
		if err != nil {
			return fmt.Errorf("%s, idle: %w", op.name, err)
		}
		if err := b.putBack(ctx, op); err != nil {
			return err
		}
		b.idle = append(b.idle, r)
		b.say(r)
		if err := b.writeSamples(r, ""); err != nil {
			return err
		}
	}
	return nil
}

// wait lets a measurement of what others do take its time.
func wait(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return nil
	}
	return ctx.Err()
}

func (u usage) minus(v usage) usage {
	return usage{u.process - v.process, u.postgres - v.postgres, u.wal - v.wal, u.buffers - v.buffers}
}

func (u usage) times(f float64) usage {
	return usage{
		time.Duration(float64(u.process) * f), time.Duration(float64(u.postgres) * f), int64(float64(u.wal) * f), int64(float64(u.buffers) * f),
	}
}

// measureOperation measures an operation in rounds, with the pace of the machine between them, and
// keeps the middle one: a neighbour who takes the machine for a second spoils a round, not the result.
func (b *bench) measureOperation(ctx context.Context, op operation, connections int) error {
	if err := b.prepare(ctx, op); err != nil {
		return err
	}
	if err := b.warm(ctx, op, b.rig.apiAddr, connections); err != nil {
		return fmt.Errorf("%s: %w", op.name, err)
	}
	before, err := b.pace(ctx, op.kind, connections)
	if err != nil {
		return err
	}
	var rounds []result
	for range b.options.rounds {
		r, err := b.load(ctx, op, b.rig.service, b.rig.apiAddr, b.rig.db, connections)
		if err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		after, err := b.pace(ctx, op.kind, connections)
		if err != nil {
			return err
		}
		r.pace, r.beside = (before.slower+after.slower)/2, (before.perSecond+after.perSecond)/2
		before = after
		rounds = append(rounds, r)
		if err := b.writeSamples(r, fmt.Sprintf("-round-%d", len(rounds))); err != nil {
			return err
		}
	}
	r := middle(rounds)
	b.results = append(b.results, r)
	b.say(r)
	return b.putBack(ctx, op)
}

// middle is the round of the median judgement.
func middle(rounds []result) result {
	slices.SortFunc(rounds, func(a, b result) int { return cmp.Compare(a.judged(), b.judged()) })
	r := rounds[len(rounds)/2]
	r.least, r.most = rounds[0].judged(), rounds[len(rounds)-1].judged()
	return r
}

// prepare makes the rows what an operation is about.
func (b *bench) prepare(ctx context.Context, op operation) error {
	if op.before == "" {
		return nil
	}
	if _, err := b.rig.db.Exec(ctx, op.before); err != nil {
		return fmt.Errorf("prepare %s: %w", op.name, err)
	}
	return b.rig.restore(ctx, b.rig.db)
}

// putBack undoes what an operation and its preparation have left.
func (b *bench) putBack(ctx context.Context, op operation) error {
	if !op.writes {
		return nil
	}
	if op.after != "" {
		if _, err := b.rig.db.Exec(ctx, op.after); err != nil {
			return fmt.Errorf("put back after %s: %w", op.name, err)
		}
	}
	return b.rig.restore(ctx, b.rig.db)
}

// The CPU time of the bare handler on the machine that the bars are set for. A get took 94 to 124 us there. What
// writes took is not known but for pgbench's rates, 60,000 gets, 15,600 reports and 9,000 creations a second
// on two cores: what a statement takes more than a get is at most what these allow it. The body adds 10.
const (
	referenceGet    = 109 * time.Microsecond
	referenceReport = referenceGet + 2*time.Second/15_600 - 2*time.Second/60_000 + 10*time.Microsecond
	referenceCreate = referenceGet + 2*time.Second/9_000 - 2*time.Second/60_000 + 10*time.Microsecond
)

// paces say what the bare handler does to tell how slow the machine is for operations of a kind, and what that
// takes where the bars are set. Writes have their own: a slower disk costs CPU too, and reads do not feel it.
var paces = map[kind]struct { //nolint:gochecknoglobals // a constant table
	of        kind
	reference time.Duration
}{
	kindGet:    {kindGet, referenceGet},
	kindList:   {kindGet, referenceGet},
	kindReport: {kindReport, referenceReport},
	kindCreate: {kindCreate, referenceCreate},
}

// tempo is how the bare handler did at a moment.
type tempo struct{ slower, perSecond float64 }

// pace measures how many times slower the machine is at the moment, for operations of a kind, than the one that
// the bars are set for.
func (b *bench) pace(ctx context.Context, k kind, connections int) (tempo, error) {
	p := paces[k]
	r, err := b.load(ctx, bareOperation(p.of, b.options.clusters), b.rig.bare, b.rig.bareAddr, b.rig.bareDB, connections)
	if err != nil {
		return tempo{}, fmt.Errorf("measure the pace of the machine: %w", err)
	}
	if p.of != kindGet {
		err = b.rig.restore(ctx, b.rig.bareDB)
	}
	return tempo{float64(r.used.cpu()) / float64(len(r.samples)) / float64(p.reference), r.perSecond()}, err
}

// measureBaselines runs the bare statement and the bare handler, once for all operations
// that are compared with them.
func (b *bench) measureBaselines(ctx context.Context, k kind, connections int) error {
	if _, done := b.baseline[key{subjectPgbench, k, connections}]; done {
		return nil
	}
	pgbench, err := b.pgbench(ctx, k, connections)
	if err != nil {
		return err
	}
	op := bareOperation(k, b.options.clusters)
	if err := b.warm(ctx, op, b.rig.bareAddr, connections); err != nil {
		return fmt.Errorf("%s, bare handler: %w", k, err)
	}
	bare, err := b.load(ctx, op, b.rig.bare, b.rig.bareAddr, b.rig.bareDB, connections)
	if err != nil {
		return fmt.Errorf("%s, bare handler: %w", k, err)
	}
	bare.subject = subjectBare
	for _, r := range []result{pgbench, bare} {
		b.baseline[key{r.subject, k, connections}] = r
		b.baselines = append(b.baselines, r)
		b.say(r)
		if err := b.writeSamples(r, ""); err != nil {
			return err
		}
	}
	return b.rig.restore(ctx, b.rig.bareDB)
}

// bareOperation is the operation of a kind that the bare handler can do too.
func bareOperation(k kind, clusters int) operation {
	name := map[kind]string{kindGet: "get", kindList: "list", kindReport: "report changed", kindCreate: "create"}[k]
	for _, op := range operations(clusters) {
		if op.name == name {
			return operation{name: string(k), kind: k, next: op.next}
		}
	}
	panic("load: no operation of kind " + string(k))
}

// warm puts load on a subject that does not count: connections are made and statements prepared once in a
// process's life.
func (b *bench) warm(ctx context.Context, op operation, addr string, connections int) error {
	if _, err := generate(ctx, addr, connections, b.options.warmUp, op.next); err != nil {
		return err
	}
	return b.settle(ctx, op)
}

// settle waits for what an operation leaves to be done after its answer.
func (b *bench) settle(ctx context.Context, op operation) error {
	if !op.writes {
		return nil
	}
	return b.rig.settle(ctx)
}

// load puts an operation's load on a subject that is warm. What the operations leave to be done after their
// answers counts; what the service does at rest does not.
func (b *bench) load(ctx context.Context, op operation, p *process, addr string, db *pgx.Conn, connections int) (result, error) {
	r := result{operation: op.name, subject: subjectService, connections: connections, bar: op.bar, kind: op.kind}
	var err error
	began := time.Now()
	r.used, err = b.meter(ctx, p, db, func() error {
		r.samples, err = generate(ctx, addr, connections, b.options.duration, op.next)
		r.elapsed = time.Since(began)
		if err != nil {
			return err
		}
		return b.settle(ctx, op)
	})
	rest := b.background.times(time.Since(began).Seconds())
	if p != b.rig.service {
		rest.process = 0
	}
	r.used = r.used.minus(rest)
	if err == nil && len(r.samples) == 0 {
		err = fmt.Errorf("nothing was measured in %v", b.options.duration)
	}
	return r, err
}

// meter returns what was used while something was done. p may be nil.
func (b *bench) meter(ctx context.Context, p *process, db *pgx.Conn, do func() error) (usage, error) {
	before, err := b.used(ctx, p, db)
	if err != nil {
		return usage{}, err
	}
	if err := do(); err != nil {
		return usage{}, err
	}
	after, err := b.used(ctx, p, db)
	return after.minus(before), err
}

// used is what has been used so far, without what this program asks the database itself: waiting for
// the service to come to rest is a query over the whole queue, ten times a second.
func (b *bench) used(ctx context.Context, p *process, db *pgx.Conn) (u usage, err error) {
	if err := db.QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint`).Scan(&u.wal); err != nil {
		return u, fmt.Errorf("read the position of the write-ahead log: %w", err)
	}
	if b.counted {
		if err := db.QueryRow(ctx, countBuffers).Scan(&u.buffers); err != nil {
			return u, fmt.Errorf("read how many pages the statements looked at: %w", err)
		}
	}
	if p != nil {
		if u.process, err = processCPU(p.pid()); err != nil {
			return u, err
		}
	}
	if u.postgres, err = treeCPU(b.rig.pg.Pid()); err != nil {
		return u, err
	}
	asking, err := processCPU(int(b.rig.db.PgConn().PID()))
	u.postgres -= asking
	return u, err
}
