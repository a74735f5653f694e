package dev

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestDataSurvivesARestart(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	pg := start(t, PostgresOptions{Dir: newFolder(t), Durable: true, Settings: map[string]string{"max_connections": "17"}})
	cold := time.Since(begun)
	execute(t, pg.URL(), "CREATE TABLE kept (v text)", "INSERT INTO kept VALUES ('here')")

	must(t, pg.Stop(t.Context()))
	select {
	case <-pg.Done():
	default:
		t.Error("Done is open after Stop")
	}
	if alive(pg.Pid()) {
		t.Error("the server lives after Stop")
	}
	must(t, pg.Stop(t.Context())) // stopping twice is no error

	begun = time.Now()
	again := start(t, pg.Options())
	t.Logf("cold start %v, warm start %v", cold, time.Since(begun))
	if got := query(t, again.URL(), "SELECT v FROM kept"); got != "here" {
		t.Errorf("got %q", got)
	}
	if again.URL() != pg.URL() {
		t.Errorf("the URL changed from %s to %s", pg.URL(), again.URL())
	}
	for setting, want := range map[string]string{
		"max_connections": "17", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "server_encoding": "UTF8",
	} {
		if got := query(t, again.URL(), "SHOW "+setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
}

func TestKilledServerRecovers(t *testing.T) {
	t.Parallel()
	pg := start(t, PostgresOptions{Dir: newData(t), Durable: true})
	execute(t, pg.URL(), "CREATE TABLE kept (v text)", "INSERT INTO kept VALUES ('committed')")
	pg.Kill()
	<-pg.Done()
	again := start(t, pg.Options())
	if got := query(t, again.URL(), "SELECT v FROM kept"); got != "committed" {
		t.Errorf("got %q", got)
	}
}

func TestStopEndsAtOnceWhenTimeIsUp(t *testing.T) {
	t.Parallel()
	pg := start(t, PostgresOptions{Dir: newData(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Either the server was quick enough, or the error says that it was not.
	if err := pg.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-pg.Done()
}

func TestOneServerAFolder(t *testing.T) {
	t.Parallel()
	pg := start(t, PostgresOptions{Dir: newData(t)})
	_, err := StartPostgres(t.Context(), pg.Options())
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("a second start: %v; want ErrInUse with our pid", err)
	}
	if err := RemovePostgres(t.Context(), pg.Options().Dir); !errors.Is(err, ErrInUse) {
		t.Errorf("remove while in use: %v; want ErrInUse", err)
	}
	if got := query(t, pg.URL(), "SELECT 'unharmed'"); got != "unharmed" {
		t.Errorf("got %q", got)
	}
	must(t, pg.Stop(t.Context()))
	must(t, RemovePostgres(t.Context(), pg.Options().Dir))
	if _, err := os.Stat(pg.Options().Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	must(t, RemovePostgres(t.Context(), pg.Options().Dir)) // nothing there is no error
}

func TestWhatARunningServerIs(t *testing.T) {
	t.Parallel()
	pg := start(t, PostgresOptions{Dir: newData(t)})
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if got := query(t, pg.URL(), "SHOW "+setting); got != "off" {
			t.Errorf("not durable: %s = %q, want off", setting, got)
		}
	}
	expectPassword(t, pg)
	uid := os.Geteuid()
	if uid == 0 {
		account, err := serverAccount()
		must(t, err)
		uid = int(account.uid)
	}
	expectOwner(t, pg.Pid(), uid)
}

func expectPassword(t *testing.T, pg *Postgres) {
	t.Helper()
	cfg, err := pgx.ParseConfig(pg.URL())
	must(t, err)
	cfg.Password = "guessed"
	_, err = pgx.ConnectConfig(t.Context(), cfg)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "28P01" {
		t.Errorf("a wrong password gives %v, want invalid_password", err)
	}
	info, err := os.Stat(filepath.Join(pg.Options().Dir, "password"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the password's file has mode %v", info.Mode())
	}
}

func TestStartsOnATroubledFolder(t *testing.T) {
	t.Parallel()
	dir := newData(t)
	restart := func() {
		pg := start(t, PostgresOptions{Dir: dir})
		must(t, pg.Stop(t.Context()))
	}

	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, err = StartPostgres(t.Context(), PostgresOptions{Dir: dir, Port: l.Addr().(*net.TCPAddr).Port})
	if err == nil || !strings.Contains(err.Error(), "could not bind") {
		t.Errorf("a taken port: got %v, want what the server's log says", err)
	}
	restart() // the failure left the folder free

	// A server was killed, and its number came again: another process of the account has it.
	stale := strconv.Itoa(os.Getppid()) + "\n" + filepath.Join(dir, "data") + "\n"
	must(t, os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(stale), 0o600))
	restart()

	log := filepath.Join(dir, "postgres.log")
	must(t, os.Truncate(log, maxLog+1))
	restart()
	if info, err := os.Stat(log); err != nil || info.Size() > maxLog {
		t.Errorf("the log was not begun anew: %v, %v", info, err)
	}

	long := filepath.Join(filepath.Dir(dir), strings.Repeat("n", 150)) // a socket's path has 108
	must(t, os.Rename(dir, long))
	dir = long
	restart()
}

func TestServerStartedByHand(t *testing.T) {
	t.Parallel()
	dir := newData(t)
	f, err := openFolder(t.Context(), dir)
	must(t, err)
	byHand := startChildOn(t, f)
	must(t, f.lock.Truncate(0))
	must(t, syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN)) // by hand: without our lock
	f.release()
	if _, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	if !alive(byHand.cmd.Process.Pid) {
		t.Error("the server that was started by hand was ended")
	}
}

// startChildOn starts a ready server on a folder, as a child that no Postgres
// looks after.
func startChildOn(t *testing.T, f *folder) *child {
	t.Helper()
	bin, err := findBinaries(t.Context(), f.version())
	must(t, err)
	port, err := freePort(t.Context())
	must(t, err)
	const noSignal = 0
	cmd := bin.command("postgres", f, noSignal, serverArgs(f.data(), PostgresOptions{Port: port})...)
	c, err := startChild(cmd)
	must(t, err)
	t.Cleanup(func() { c.signal(syscall.SIGQUIT); <-c.done })
	must(t, (&Postgres{folder: f, child: c}).awaitReady(t.Context()))
	return c
}

func TestStartGivenUp(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // in the midst of initdb
	defer cancel()
	if _, err := StartPostgres(ctx, PostgresOptions{Dir: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	start(t, PostgresOptions{Dir: dir})
}

func TestDataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := newFolder(t)
	must(t, os.MkdirAll(filepath.Join(dir, "data"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("12\n"), 0o644))
	_, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir})
	if !errors.Is(err, ErrNoBinaries) || !strings.Contains(err.Error(), "version 12, which made the data") {
		t.Errorf("got %v", err)
	}
}
