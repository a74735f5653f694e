package database_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/dev"
	"github.com/cls-backend/cls-backend/internal/models"
)

// TestTranslate holds the table of errors: what may be gone on the next try is
// UNAVAILABLE, a mistake of ours is INTERNAL, and what is translated already stays.
func TestTranslate(t *testing.T) {
	t.Parallel()
	state := func(code string) error { return &pgconn.PgError{Code: code, Message: "SELECT secret"} }
	for _, row := range []struct {
		why  string
		err  error
		want v1.Code
	}{
		{"connection failure", state("08006"), v1.CodeUnavailable},
		{"too many connections", state("53300"), v1.CodeUnavailable},
		{"disk full", state("53100"), v1.CodeUnavailable},
		{"statement timeout", state("57014"), v1.CodeUnavailable},
		{"shutting down", state("57P01"), v1.CodeUnavailable},
		{"starting up", state("57P03"), v1.CodeUnavailable},
		{"deadlock", state("40P01"), v1.CodeUnavailable},
		{"serialization", state("40001"), v1.CodeUnavailable},
		{"idle transaction ended", state("25P03"), v1.CodeUnavailable},
		{"lock not to be had in time", state("55P03"), v1.CodeUnavailable},
		{"read-only during a fail-over", state("25006"), v1.CodeUnavailable},
		{"an I/O error", state("58030"), v1.CodeUnavailable},
		{"no schema yet", state("42P01"), v1.CodeUnavailable},
		{"a name that is taken", &pgconn.PgError{Code: "23505", ConstraintName: "clusters_name_key"}, v1.CodeClusterNameExists},
		{"a name that is taken in a cluster", &pgconn.PgError{Code: "23505", ConstraintName: "nodepools_name_key"}, v1.CodeNodePoolNameExists},
		{"another unique key", &pgconn.PgError{Code: "23505", ConstraintName: "outbox_pkey"}, v1.CodeInternal},
		{"bad SQL", state("42601"), v1.CodeInternal},
		{"a value that does not fit", state("22001"), v1.CodeInternal},
		{"a missing right", state("42501"), v1.CodeInternal},
		{"refused", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, v1.CodeUnavailable},
		{"cut off", io.ErrUnexpectedEOF, v1.CodeUnavailable},
		{"ended", io.EOF, v1.CodeUnavailable},
		{"closed", net.ErrClosed, v1.CodeUnavailable},
		{"too late", context.DeadlineExceeded, v1.CodeUnavailable},
		{"the caller has gone", context.Canceled, v1.CodeUnavailable},
		{"wrapped", fmt.Errorf("begin: %w", state("57P01")), v1.CodeUnavailable},
		{"no row", pgx.ErrNoRows, v1.CodeInternal},
		{"our own", models.NotFound(models.KindCluster, "x"), v1.CodeNotFound},
		{"anything else", errors.New("?"), v1.CodeInternal},
	} {
		got := database.Translate(row.err)
		if models.CodeOf(got) != row.want {
			t.Errorf("%s: %s, want %s", row.why, models.CodeOf(got), row.want)
		}
		if !errors.Is(got, rootOf(row.err)) {
			t.Errorf("%s: the cause is lost for the log", row.why)
		}
		if e, ok := errors.AsType[*models.Error](got); ok && strings.Contains(e.Message, "secret") {
			t.Errorf("%s: SQL in the message: %s", row.why, e.Message)
		}
		if e, ok := errors.AsType[*models.Error](got); ok && e.Code == v1.CodeUnavailable && e.RetryAfter <= 0 {
			t.Errorf("%s: no time to try again at", row.why)
		}
	}
	if database.Translate(nil) != nil {
		t.Error("no error became one")
	}
}

func rootOf(err error) error {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

// TestNameTaken names the field.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.create(t, "one")
		c := &models.Resource{
			ID: newID(), ClusterID: f.home(t, "alice@example.com"), Name: "one", CreatedBy: "alice@example.com", Spec: v1.Object(`{}`),
		}
		_, err := f.Insert(t.Context(), c, pull, f.event(models.Created, v1.ReasonCreated))
		e, ok := errors.AsType[*models.Error](err)
		if !ok || e.Code != models.CodeOf(f.kind.NameExists(nil)) || len(e.Faults) != 1 || e.Faults[0].Field != "name" {
			t.Fatalf("got %v", err)
		}
		if n := value[int64](t, f, `SELECT count(*) FROM outbox`); n != 1 {
			t.Errorf("%d events of one resource: a refused change left one", n)
		}
		c.ID, c.CreatedBy, c.ClusterID = newID(), "bob@example.com", f.home(t, "bob@example.com")
		if _, err = f.Insert(t.Context(), c, pull, f.event(models.Created, v1.ReasonCreated)); err != nil {
			t.Errorf("somebody else's resource of the name: %v", err)
		}
	})
}

// TestTrap22_StatementsAreBounded: a statement that waits for a lock ends with UNAVAILABLE
// after its time, and the pool works on.
func TestTrap22_StatementsAreBounded(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		id := f.create(t, "one").ID
		pool, err := database.Open(t.Context(), database.Options{URL: f.url, StatementTimeout: time.Second})
		must(t, err)
		t.Cleanup(pool.Close)
		db := pool.Resources(f.kind)
		lock, err := f.raw.Begin(t.Context())
		must(t, err)
		defer func() { _ = lock.Rollback(context.Background()) }()
		_, err = lock.Exec(t.Context(), f.sql(`SELECT FROM clusters FOR UPDATE`))
		must(t, err)
		began := time.Now()
		_, err = db.StoreReport(t.Context(), id, report("dns", 0, v1.ConditionTrue, "R", ""), debounce, "")
		wantUnavailable(t, err)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "57014" {
			t.Errorf("ended by the client alone, and still running on the server: %v", err)
		}
		err = db.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			_, err := tx.Lock(ctx, id, "")
			return err
		})
		wantUnavailable(t, err)
		if waited := time.Since(began); waited > 5*time.Second {
			t.Errorf("waited %s", waited)
		}
		must(t, lock.Rollback(t.Context()))
		_, err = db.StoreReport(t.Context(), id, report("dns", 0, v1.ConditionTrue, "R", ""), debounce, "")
		must(t, err)
	})
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if models.CodeOf(err) != v1.CodeUnavailable {
		t.Errorf("got %v, want UNAVAILABLE", err)
	}
}

// TestTrap22_AnAbandonedTransactionEnds: a replica that is stopped between two statements
// of a pass holds its share of the schedule. The server ends its session within ten
// seconds, and another pass takes the share.
func TestTrap22_AnAbandonedTransactionEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.create(t, "one").ID
	claim := func(ctx context.Context, tx *database.Tx) int {
		due, err := tx.ClaimDue(ctx, time.Hour, 10)
		if err != nil {
			t.Error(err)
		}
		return len(due)
	}
	stopped, resumed := make(chan struct{}), make(chan struct{})
	resume := sync.OnceFunc(func() { close(resumed) })
	t.Cleanup(resume) // Before the pool is closed, which waits for the connection.
	ended := make(chan error, 1)
	go func() {
		ended <- f.InTx(context.WithoutCancel(t.Context()), func(ctx context.Context, tx *database.Tx) error {
			if n := claim(ctx, tx); n != 1 {
				t.Errorf("the first pass claimed %d", n)
			}
			close(stopped)
			<-resumed
			_, err := tx.Lock(ctx, id, "")
			return err
		})
	}()
	<-stopped
	began := time.Now()
	other := func() (n int) {
		must(t, f.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			n = claim(ctx, tx)
			return nil
		}))
		return n
	}
	if n := other(); n != 0 {
		t.Errorf("another pass claimed %d that are held", n)
	}
	await(t, f, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction')`)
	if waited := time.Since(began); waited > 10*time.Second {
		t.Errorf("the share was held for %s", waited)
	}
	if n := other(); n != 1 {
		t.Errorf("after the end the other pass claimed %d", n)
	}
	resume()
	wantUnavailable(t, <-ended)
}

// TestServerGoesAndComes: UNAVAILABLE while the server is away, and again at work once it
// is back, with the same DB.
func TestServerGoesAndComes(t *testing.T) {
	t.Parallel()
	pg := dbtest.NewServer(t)
	f := fixture{url: pg.URL(), kind: models.KindCluster}
	must(t, migrate(t.Context(), f))
	pool, err := database.Open(t.Context(), database.Options{URL: pg.URL()})
	must(t, err)
	db := pool.Resources(models.KindCluster)
	t.Cleanup(db.Close)
	f.Resources = db
	id := f.create(t, "one").ID
	options := pg.Options() // with the port that it got
	must(t, pg.Stop(t.Context()))
	calls := map[string]func() error{
		"ping": func() error { return db.Ping(t.Context()) },
		"get":  func() error { _, err := db.Get(t.Context(), id, ""); return err },
		"report": func() error {
			_, err := db.StoreReport(t.Context(), id, report("dns", 0, "True", "R", ""), 0, "")
			return err
		},
		"list":   func() error { _, err := db.List(t.Context(), models.ListQuery{Limit: 1}, 0); return err },
		"claim":  func() error { _, err := db.ClaimEvents(t.Context(), newID(), 0, 1); return err },
		"purge":  func() error { _, err := db.PurgePublished(t.Context(), 0, 1); return err },
		"schema": func() error { return db.CheckSchema(t.Context()) },
		"transaction": func() error {
			return db.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error { _, err := tx.Lock(ctx, id, ""); return err })
		},
	}
	for name, call := range calls {
		if err := call(); models.CodeOf(err) != v1.CodeUnavailable {
			t.Errorf("%s while the server is away: %v", name, err)
		}
	}
	again, err := dev.StartPostgres(t.Context(), options)
	must(t, err)
	t.Cleanup(again.Kill)
	for name, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s once the server is back: %v", name, err)
		}
	}
}
