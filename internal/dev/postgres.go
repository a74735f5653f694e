// Package dev starts what CLS Backend needs on a machine with nothing
// configured: a private PostgreSQL server in a folder of its own, and a Pub/Sub
// server inside this process that other programs can subscribe to. "cls-backend
// dev" and the tests run on them; nothing in production imports this package.
//
// Both are reachable over loopback only, and neither outlives its user: Pub/Sub
// ends with the process, and PostgreSQL is told by the kernel when its parent
// is gone (Linux) or ended by the next start on its folder (elsewhere).
package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	loopback = "127.0.0.1"
	// databaseName is both the superuser and the database of a private server.
	databaseName = "cls"
	// readyPoll is how often a starting server is looked at; it is up after
	// about 60 ms, so that a longer pause would be most of a warm start.
	readyPoll = 5 * time.Millisecond
	// portTries bounds how often another free port is picked when somebody
	// takes the first between our look and PostgreSQL's bind.
	portTries = 5
)

// PostgresOptions says where and how a private server runs.
type PostgresOptions struct {
	// Dir holds everything of one server: data, password, log and lock. It is
	// created when missing and belongs to the account that PostgreSQL runs as.
	Dir string
	// Port is the loopback port; 0 picks a free one at each start.
	Port int
	// Durable keeps every commit through a crash. Without it fsync,
	// synchronous_commit and full_page_writes are off, for data that is thrown
	// away: a crash of PostgreSQL loses the last fraction of a second, one of the
	// machine may lose all.
	Durable bool
	// Settings are further server parameters, as in postgresql.conf.
	Settings map[string]string
}

// Postgres is a running private server. Its methods are safe for concurrent
// use. Its owner ends it with Stop or Kill.
type Postgres struct {
	folder  *folder
	child   *child
	options PostgresOptions
	secret  string
}

// StartPostgres runs a private PostgreSQL server on opts.Dir and returns once
// that very process accepts connections and the database "cls" exists. The first
// start on a folder creates its data (about a second); later ones keep it.
//
// The server asks for a password, on loopback TCP only, and opens no unix
// socket: any other user of the machine can reach a loopback port, and a
// superuser of PostgreSQL can run programs as the account that it runs as.
//
// As root, PostgreSQL runs as the account postgres or else nobody, which must
// be able to reach the folder. ctx bounds the start only. Errors: ErrNoBinaries,
// ErrInUse, ctx's own, or what the server's log says.
func StartPostgres(ctx context.Context, opts PostgresOptions) (*Postgres, error) {
	f, err := openFolder(ctx, opts.Dir)
	if err != nil {
		return nil, err
	}
	p, err := startIn(ctx, f, opts)
	if err != nil {
		f.release()
		return nil, err
	}
	return p, nil
}

func startIn(ctx context.Context, f *folder, opts PostgresOptions) (*Postgres, error) {
	bin, err := findBinaries(ctx, f.version())
	if err != nil {
		return nil, err
	}
	secret, err := f.password()
	if err != nil {
		return nil, err
	}
	if f.version() == 0 {
		if err := initialize(ctx, bin, f); err != nil {
			return nil, err
		}
	}
	if err := f.clearStalePID(); err != nil {
		return nil, err
	}
	p := &Postgres{folder: f, options: opts, secret: secret}
	if err := p.launchOnPort(ctx, bin); err != nil {
		return nil, err
	}
	if err := p.ensureDatabase(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// launchOnPort launches on the wanted port, or on free ones until one holds.
func (p *Postgres) launchOnPort(ctx context.Context, bin binaries) error {
	if p.options.Port != 0 {
		return p.launch(ctx, bin)
	}
	var err error
	for range portTries {
		if p.options.Port, err = freePort(ctx); err != nil {
			return err
		}
		if err = p.launch(ctx, bin); err == nil || ctx.Err() != nil || !portTaken(ctx, p.options.Port) {
			return err
		}
	}
	return err
}

// launch starts the server and waits until it is ready.
func (p *Postgres) launch(ctx context.Context, bin binaries) error {
	log, from, err := p.folder.openLog()
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := bin.command("postgres", p.folder, syscall.SIGINT, serverArgs(p.folder.data(), p.options)...)
	cmd.Stdout, cmd.Stderr = log, log
	if p.child, err = startChild(cmd); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := p.awaitReady(ctx); err != nil {
		p.child.kill()
		return fmt.Errorf("start PostgreSQL: %w%s", err, p.folder.logSince(from))
	}
	go p.releaseAtEnd()
	return nil
}

// releaseAtEnd frees the folder once the server is gone, however it went.
func (p *Postgres) releaseAtEnd() {
	<-p.child.done
	p.folder.release()
}

// serverArgs is the command line of one server. Later -c settings win, so that
// opts.Settings may override any of ours.
func serverArgs(data string, opts PostgresOptions) []string {
	args := []string{
		"-D", data,
		"-c", "listen_addresses=" + loopback,
		"-c", "port=" + strconv.Itoa(opts.Port),
		"-c", "unix_socket_directories=",
		"-c", "log_checkpoints=off",
	}
	if !opts.Durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	names := make([]string, 0, len(opts.Settings))
	for name := range opts.Settings {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		args = append(args, "-c", name+"="+opts.Settings[name])
	}
	return args
}

// awaitReady returns once our own child says in postmaster.pid that it accepts
// connections. That something accepts on the port would prove nothing: it could
// be another server.
func (p *Postgres) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if pid, state := p.folder.serverPID(); pid == p.Pid() && state == "ready" {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.child.done:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ensureDatabase creates the database of a new server.
func (p *Postgres) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL())
	if err == nil {
		return conn.Close(ctx)
	}
	const invalidCatalogName = "3D000" // PostgreSQL manual, appendix A: no such database
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != invalidCatalogName {
		return fmt.Errorf("connect to the private PostgreSQL: %w", err)
	}
	if conn, err = pgx.Connect(ctx, p.url("postgres")); err != nil {
		return fmt.Errorf("connect to the private PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+databaseName); err != nil {
		return fmt.Errorf("create the database %s: %w", databaseName, err)
	}
	return nil
}

// URL is the connection string of the database "cls", with its password, for
// the superuser "cls".
func (p *Postgres) URL() string { return p.url(databaseName) }

func (p *Postgres) url(database string) string {
	return p.urlAs(url.UserPassword(databaseName, p.secret), database)
}

func (p *Postgres) urlWithoutPassword() string { return p.urlAs(url.User(databaseName), databaseName) }

func (p *Postgres) urlAs(user *url.Userinfo, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     user,
		Host:     net.JoinHostPort(loopback, strconv.Itoa(p.options.Port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Options are those that the server was started with, with the port that was
// picked: after Stop or Kill they start it again where it was.
func (p *Postgres) Options() PostgresOptions { return p.options }

// Pid is the process id of the server's first process, which is our child.
func (p *Postgres) Pid() int { return p.child.cmd.Process.Pid }

// Done is closed when the server has ended, wanted or not, and its folder is free.
func (p *Postgres) Done() <-chan struct{} { return p.folder.released }

// Stop ends the server in order: sessions are cut off, data is written. When
// ctx ends first the server is ended at once, which costs the next start a
// recovery, and ctx's error is returned. Stopping what has ended is no error.
func (p *Postgres) Stop(ctx context.Context) error {
	p.child.signal(syscall.SIGINT)
	select {
	case <-p.Done():
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("stop PostgreSQL in order: %w", ctx.Err())
	}
}

// Kill ends the server at once, as a crash would, and waits for its end. The
// next start on the folder recovers what was committed.
func (p *Postgres) Kill() {
	p.child.kill()
	<-p.Done()
}

// initialize creates the data folder. It works beside its place and renames, so
// that a start that is killed half way leaves nothing that looks whole.
func initialize(ctx context.Context, bin binaries, f *folder) error {
	draft := f.data() + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return fmt.Errorf("remove a half-made data folder: %w", err)
	}
	var out strings.Builder
	cmd := bin.command("initdb", f, syscall.SIGTERM,
		"-D", draft, "-U", databaseName, "--pwfile="+f.passwordFile(), "--auth=scram-sha-256",
		"--encoding=UTF8", "--no-locale", "--no-sync")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runChild(ctx, cmd); err != nil {
		return fmt.Errorf("create a PostgreSQL data folder in %s: %w\n%s", f.path, err, out.String())
	}
	if err := os.Rename(draft, f.data()); err != nil {
		return fmt.Errorf("put the data folder in place: %w", err)
	}
	return nil
}

// freePort asks the kernel for a loopback port that nobody listens on.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	addr, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return int(addr.Port()), nil
}

// portTaken says whether somebody listens on the port now.
func portTaken(ctx context.Context, port int) bool {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}
