package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/dev"
	"github.com/cls-backend/cls-backend/test/fault/checker"
	"github.com/cls-backend/cls-backend/test/proof"
)

// rig is what all worlds have in common. It is safe for concurrent use.
type rig struct {
	options options
	dir     string // thrown away in the end
	binary  string // the service, with fault points
	commit  string

	noting  sync.Mutex
	machine proof.Machine // servers start at the same time, and each tells its version

	mu       sync.Mutex
	postgres *dev.Postgres // shared; nil until somebody needs it
	worlds   int
}

const (
	dirPrefix = "cls-fault-"
	// template is the database that those of the worlds are copies of.
	template = "template_fault"
	// startLimit bounds the start of whatever is started.
	startLimit = time.Minute
)

// newRig builds the service. The caller ends it with close.
func newRig(ctx context.Context, o options) (*rig, error) {
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000)
	}
	removeLeftovers(ctx)
	dir, err := os.MkdirTemp(dev.ScratchDir(), fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	r := &rig{options: o, dir: dir, binary: filepath.Join(dir, "cls-backend"), commit: proof.Commit(ctx)}
	err = errors.Join(os.Chmod(dir, 0o755), os.MkdirAll(r.work(), 0o755)) // PostgreSQL's account must be able to reach its own.
	if err == nil {
		err = r.build(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	r.machine = proof.LookAtMachine()
	return r, nil
}

// removeLeftovers deletes the folders of runs that were killed.
func removeLeftovers(ctx context.Context) {
	dirs, err := filepath.Glob(filepath.Join(dev.ScratchDir(), dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		pid, err := strconv.Atoi(text)
		if err != nil || exists(pid) {
			continue
		}
		servers, _ := filepath.Glob(filepath.Join(dir, "postgres*")) // The pattern is right.
		for _, server := range servers {
			_ = dev.RemovePostgres(ctx, server) // What cannot be removed hinders nobody.
		}
		_ = os.RemoveAll(dir)
	}
}

// build builds the service with fault points. The path is an import path: a test runs in another folder.
func (r *rig) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags=nomsgpack,faultpoint", "-ldflags=-X main.commit="+r.commit,
		"-o", r.binary, "github.com/cls-backend/cls-backend/cmd/cls-backend")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the service: %w\n%s", err, out)
	}
	return nil
}

// work is where results and logs go.
func (r *rig) work() string { return filepath.Join(r.options.out, "work") }

// random returns what follows from the seed for a scenario.
func (r *rig) random(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // It never fails.
	return rand.New(rand.NewPCG(r.options.seed, h.Sum64()))
}

// sharedPostgres is the server of all worlds that do nothing to it.
func (r *rig) sharedPostgres(ctx context.Context) (*dev.Postgres, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.postgres != nil {
		return r.postgres, nil
	}
	pg, err := r.startPostgres(ctx, "postgres", dev.PostgresOptions{Settings: map[string]string{"max_connections": "400"}})
	if err != nil {
		return nil, err
	}
	r.postgres = pg
	return pg, nil
}

// startPostgres starts a server in a folder of the rig, with the template on it.
func (r *rig) startPostgres(ctx context.Context, folder string, o dev.PostgresOptions) (*dev.Postgres, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	o.Dir = filepath.Join(r.dir, folder)
	pg, err := dev.StartPostgres(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := execute(ctx, pg.URL(), "CREATE DATABASE "+template); err != nil {
		pg.Kill()
		return nil, err
	}
	migrate := exec.CommandContext(ctx, r.binary, "migrate")
	migrate.Env = []string{"DATABASE_URL=" + withDatabase(pg.URL(), template)}
	if out, err := migrate.CombinedOutput(); err != nil {
		pg.Kill()
		return nil, fmt.Errorf("migrate: %w\n%s", err, out)
	}
	if err := r.noteVersion(ctx, pg.URL()); err != nil {
		pg.Kill()
		return nil, err
	}
	return pg, nil
}

// noteVersion adds the version of PostgreSQL to what is known of the machine.
func (r *rig) noteVersion(ctx context.Context, at string) error {
	version, err := serverVersion(ctx, at)
	if err != nil {
		return err
	}
	r.noting.Lock()
	defer r.noting.Unlock()
	r.machine.Postgres = version
	return nil
}

func (r *rig) knownMachine() proof.Machine {
	r.noting.Lock()
	defer r.noting.Unlock()
	return r.machine
}

// execute runs a statement on a connection of its own.
func execute(ctx context.Context, at, sql string) error {
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

func serverVersion(ctx context.Context, at string) (version string, err error) {
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	return version, err
}

// withDatabase is a URL with another database in it.
func withDatabase(text, name string) string {
	u, err := url.Parse(text)
	if err != nil { // It is of our own making.
		panic("fault: " + err.Error())
	}
	u.Path = "/" + name
	return u.String()
}

// close ends the shared server and removes everything but the results.
func (r *rig) close() error {
	if r.postgres != nil {
		r.postgres.Kill()
	}
	return os.RemoveAll(r.dir)
}

// dose is that of a scenario which is asked for.
func (r *rig) dose(s scenario) dose {
	if r.options.short {
		return s.short
	}
	return s.full
}

// play has a scenario happen and judges it.
func (r *rig) play(ctx context.Context, s scenario) result {
	began := time.Now()
	res := result{
		Scenario: s.name, Promise: s.promise, About: s.about, Dose: r.dose(s).text(s.unit), Short: r.options.short,
		Seed: r.options.seed, Commit: r.commit, Began: began.UTC().Truncate(time.Second), Excepted: map[string]string{},
	}
	var except []checker.Invariant
	for _, e := range s.except {
		except = append(except, e.invariant)
		res.Excepted[e.invariant.String()] = e.why
	}
	w, err := r.newWorld(ctx, s)
	if err == nil {
		res.Figures, err = s.run(ctx, w, r.dose(s))
	}
	if err == nil {
		err = w.rest(ctx)
	}
	if err == nil {
		h := w.record.history()
		res.Calls, res.Events = len(h.Calls), len(h.Deliveries)
		res.Report = checker.Check(h, except...)
		err = res.Report.Err()
	}
	err = errors.Join(err, w.broken(), w.close())
	for _, f := range res.Figures {
		if f.Missed() {
			err = errors.Join(err, fmt.Errorf("the bar is missed: %s", f.Text()))
		}
	}
	if res.Passed = err == nil; err != nil {
		res.Error = err.Error()
	}
	res.Took, res.Machine = time.Since(began), r.knownMachine()
	return res
}
