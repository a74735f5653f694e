// Package dbtest gives each test a PostgreSQL database of its own with the real
// schema, in a few milliseconds: the first test of a process starts one
// throw-away server and migrates a template, every test gets a clone of it.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { dbtest.Main(m) }
//
// so that the server is stopped and its folder removed at the end. A process
// that dies before (a panic, a kill) takes the server along on Linux, and the
// next run removes its folder. Where PostgreSQL is missing a test fails: one
// that skips proves nothing.
//
// With CLS_TEST_DATABASE_URL set to a URL of a superuser, that server is used
// instead and left running.
package dbtest

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/dev"
)

const (
	// startLimit bounds the start of a server and the migration of its template.
	startLimit = time.Minute
	// cloneLimit bounds the making or dropping of one database. A checkpoint is
	// part of both, on a machine that may be busy with all packages' tests.
	cloneLimit = time.Minute
	// admins is how many databases are made or dropped at a time.
	admins = 4
)

// shared is the server of this test process. A test has no other way to share
// with the tests beside it than a variable of the package.
var shared server //nolint:gochecknoglobals // see above

// server is one PostgreSQL server with a migrated template on it.
type server struct {
	once     sync.Once
	err      error
	own      *dev.Postgres // nil with CLS_TEST_DATABASE_URL
	dir      string
	base     *url.URL
	admin    *pgxpool.Pool
	template string
}

// Main runs the tests of a package and ends the process with their result,
// after stopping the server that New may have started.
func Main(m *testing.M) {
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// New returns the URL of a fresh, migrated database that is dropped when the
// test ends, with whatever sessions it still has. It is safe for parallel tests.
func New(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.err = shared.start() })
	if shared.err != nil {
		t.Fatalf("dbtest: %v", shared.err)
	}
	name := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if err := shared.exec("CREATE DATABASE " + name + " TEMPLATE " + shared.template); err != nil {
		t.Fatalf("dbtest: clone the template: %v", err)
	}
	t.Cleanup(func() {
		if err := shared.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("dbtest: drop the test's database: %v", err)
		}
	})
	return shared.url(name)
}

// NewServer starts a private server for a test that stops, kills or restarts it,
// without our schema. It is ended and removed when the test ends. To restart it,
// stop it and call dev.StartPostgres with its Options; what the test started it
// stops.
func NewServer(t testing.TB) *dev.Postgres {
	t.Helper()
	dir, err := newDir()
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	pg, err := dev.StartPostgres(ctx, dev.PostgresOptions{Dir: dir})
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		defer cancel()
		pg.Kill()
		if err := dev.RemovePostgres(ctx, dir); err != nil {
			t.Errorf("dbtest: %v", err)
		}
	})
	return pg
}

// start brings up the server and its template.
func (s *server) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	text := os.Getenv("CLS_TEST_DATABASE_URL")
	if text == "" {
		if err := s.startOwn(ctx); err != nil {
			return err
		}
		text = s.own.URL()
	}
	var err error
	if s.base, err = url.Parse(text); err != nil {
		return fmt.Errorf("read CLS_TEST_DATABASE_URL: %w", err)
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	return s.makeTemplate(ctx)
}

func (s *server) startOwn(ctx context.Context) error {
	removeLeftovers(ctx)
	var err error
	if s.dir, err = newDir(); err != nil {
		return err
	}
	s.own, err = dev.StartPostgres(ctx, dev.PostgresOptions{
		Dir:      s.dir,
		Settings: map[string]string{"max_connections": "400"},
	})
	return err
}

func (s *server) connect(ctx context.Context) error {
	cfg, err := pgxpool.ParseConfig(s.base.String())
	if err != nil {
		return fmt.Errorf("read the URL of the test server: %w", err)
	}
	cfg.MaxConns = admins
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	if s.admin, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	return nil
}

// makeTemplate migrates a database and closes it to sessions, since one session
// on a template, autovacuum's too, holds up every clone of it.
func (s *server) makeTemplate(ctx context.Context) error {
	s.template = "template_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if err := s.exec("CREATE DATABASE " + s.template); err != nil {
		return fmt.Errorf("create the template: %w", err)
	}
	if err := database.Migrate(ctx, s.url(s.template), slog.New(slog.DiscardHandler)); err != nil {
		return fmt.Errorf("migrate the template: %w", err)
	}
	if err := s.exec("ALTER DATABASE " + s.template + " ALLOW_CONNECTIONS false"); err != nil {
		return fmt.Errorf("close the template: %w", err)
	}
	return nil
}

// close undoes start, as far as that came.
func (s *server) close() error {
	var err error
	if s.admin != nil {
		if s.own == nil && s.template != "" {
			err = s.exec("DROP DATABASE IF EXISTS " + s.template + " WITH (FORCE)")
		}
		s.admin.Close()
	}
	if s.own != nil {
		s.own.Kill() // the data goes anyway
	}
	if s.dir == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	return dev.RemovePostgres(ctx, s.dir)
}

func (s *server) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), cloneLimit)
	defer cancel()
	_, err := s.admin.Exec(ctx, statement)
	return err
}

// url is the server's URL with another database in it.
func (s *server) url(name string) string {
	u := *s.base
	u.Path = "/" + name
	return u.String()
}
