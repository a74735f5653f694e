package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/dev"
)

// settings lists the names of all settings, by the documented example, which a test of
// their package holds against the code.
func settings(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", ".env.example"))
	must(t, err)
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^#([A-Z_]+)=`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, found[1])
	}
	if len(names) < 40 {
		t.Fatalf("only %d settings are found", len(names))
	}
	return names
}

// wrong is a value that no setting allows: none holds a control character.
const wrong = "\x01"

func TestEveryWrongSettingEndsTheStart(t *testing.T) {
	t.Parallel()
	var all []string
	for _, name := range settings(t) {
		all = append(all, name+"="+wrong)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out := run(t, []string{
				"DATABASE_URL=postgres://127.0.0.1:1/none", "PUBSUB_EMULATOR_HOST=127.0.0.1:1", "PORT=0", "METRICS_PORT=0", name + "=" + wrong,
			}, "serve")
			if code != 1 || !strings.Contains(out, name+"=") {
				t.Errorf("exit code %d: %s", code, out)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		code, out := run(t, all, "serve")
		for _, name := range settings(t) {
			if !strings.Contains(out, name+"=") {
				t.Errorf("%s is not named", name)
			}
		}
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestMissingAndContradictorySettingsAreNamedTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why     string
		args    []string
		env     []string
		mention []string
	}{
		{"serve needs both stores", []string{"serve"}, nil, []string{"DATABASE_URL", "GOOGLE_CLOUD_PROJECT"}},
		{"migrate needs the database only", []string{"migrate"}, nil, []string{"DATABASE_URL"}},
		{
			"production without authentication, two listeners on one port, and a typing error",
			[]string{"serve"},
			[]string{
				"DATABASE_URL=postgres://127.0.0.1:1/none", "PUBSUB_EMULATOR_HOST=127.0.0.1:1",
				"ENVIRONMENT=production", "AUTH_MODE=disabled", "PORT=9000", "METRICS_PORT=9000", "LOG_LEVEL=loud",
			},
			[]string{"ENVIRONMENT", "AUTH_MODE", "PORT", "METRICS_PORT", "LOG_LEVEL"},
		},
		{"dev reads the same settings", []string{"dev"}, []string{"PORT=http", "LOG_FORMAT=xml"}, []string{"PORT", "LOG_FORMAT"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			code, out := run(t, c.env, c.args...)
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			for _, name := range c.mention {
				if !strings.Contains(out, name) {
					t.Errorf("%s is not named: %s", name, out)
				}
			}
		})
	}
}

// A listener of somebody else ends the process, even while the database is away: it must
// not live on without HTTP.
func TestTrap32_ATakenPortEndsTheProcess(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	_, port, err := net.SplitHostPort(taken.Addr().String())
	must(t, err)
	for _, name := range []string{"PORT", "METRICS_PORT"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{"DATABASE_URL=postgres://127.0.0.1:1/none", "PUBSUB_EMULATOR_HOST=127.0.0.1:1", "HOST=127.0.0.1", "PORT=0", "METRICS_PORT=0"}
			p := launch(t, command(t, append(env, name+"="+port), "serve"))
			if code := p.exit(10 * time.Second); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if out := p.out.String(); !strings.Contains(out, name+"="+port) || !strings.Contains(out, "address already in use") {
				t.Errorf("it says: %s", out)
			}
		})
	}
}

func TestPostgresAwayAtTheStart(t *testing.T) {
	t.Parallel()
	pg := dbtest.NewServer(t)
	pg.Kill()
	p := serve(t, pg.URL(), pubSub(t).Addr())
	p.await("it to say that it waits", func() bool { return len(p.logged("waiting for PostgreSQL")) > 0 })
	expectProbes(p, http.StatusServiceUnavailable, http.StatusServiceUnavailable)
	a := p.call(http.MethodGet, "/clusters", "")
	if a.status != http.StatusServiceUnavailable || a.text("code") != string(v1.CodeUnavailable) || a.header.Get("Retry-After") == "" {
		t.Errorf("the API answers %d %s, Retry-After %q", a.status, a.body, a.header.Get("Retry-After"))
	}
	again, err := dev.StartPostgres(t.Context(), pg.Options())
	must(t, err)
	t.Cleanup(again.Kill)
	p.ready()
	expectProbes(p, http.StatusOK, http.StatusOK)
	p.create("patient")
	if n := len(p.logged("waiting for PostgreSQL")); n != 1 {
		t.Errorf("it says %d times that it waits", n)
	}
}

// expectProbes asks the probes, each of which answers within two seconds. The process is
// alive in any case.
func expectProbes(p *process, readyz, health int) {
	p.t.Helper()
	for path, want := range map[string]int{"/livez": http.StatusOK, "/readyz": readyz, "/health": health} {
		if a := p.probe(path); a.status != want || a.took > 2*time.Second {
			p.t.Errorf("%s: %d after %v, want %d: %s", path, a.status, a.took, want, a.body)
		}
	}
}

// A stop while it waits is an orderly one.
func TestStopWhileWaitingForPostgres(t *testing.T) {
	t.Parallel()
	p := serve(t, "postgres://127.0.0.1:"+freePort(t)+"/none", "127.0.0.1:1")
	p.await("it to say that it waits", func() bool { return len(p.logged("waiting for PostgreSQL")) > 0 })
	p.signal(syscall.SIGTERM)
	if code := p.exit(10 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A database that answers but cannot be migrated ends the start: waiting mends nothing.
func TestBrokenSchemaEndsTheStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ why, statement, mention string }{
		{"tables of somebody else are in the way", "DROP TABLE goose_db_version", "already exists"},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			database := dbtest.New(t)
			execute(t, database, c.statement)
			p := serve(t, database, pubSub(t).Addr())
			if code := p.exit(20 * time.Second); code != 1 || !strings.Contains(p.out.String(), c.mention) {
				t.Errorf("exit code %d: %s", code, p.out)
			}
		})
	}
}

// The previous binary runs on the schema of the next.
func TestNewerSchemaIsTaken(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	execute(t, database, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	p := serve(t, database, pubSub(t).Addr()).ready()
	expectProbes(p, http.StatusOK, http.StatusOK)
	p.create("previous")
}

// Replicas of one release start at the same moment, on a database that has nothing yet.
func TestEightReplicasStartTogether(t *testing.T) {
	t.Parallel()
	database, ps := emptyDatabase(t), pubSub(t)
	var replicas []*process
	for range 8 {
		cmd := command(t, []string{
			"DATABASE_URL=" + database, "PUBSUB_EMULATOR_HOST=" + ps.Addr(), "HOST=127.0.0.1", "PORT=0", "METRICS_PORT=0",
			"DATABASE_MAX_OPEN_CONNS=4", "DATABASE_MIN_IDLE_CONNS=0",
		}, "serve")
		replicas = append(replicas, launch(t, cmd))
	}
	applied := 0
	for _, p := range replicas {
		p.ready()
		p.api = p.logged("listening")[0]["api"].(string)
		expectProbes(p, http.StatusOK, http.StatusOK)
		applied += len(p.logged("migration applied"))
	}
	if want := count(t, database, "SELECT count(*) FROM goose_db_version WHERE version_id > 0"); applied != want {
		t.Errorf("%d migrations were applied, want each of %d once", applied, want)
	}
	for _, p := range replicas {
		p.create("from-" + p.api[strings.LastIndex(p.api, ":")+1:])
		p.signal(syscall.SIGTERM)
	}
	for _, p := range replicas {
		if code := p.exit(25 * time.Second); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// The commands of an operator, in the order of a first installation and its undoing.
func TestMigrateAndVersion(t *testing.T) {
	t.Parallel()
	env := []string{"DATABASE_URL=" + emptyDatabase(t)}
	expect := func(mention string, args ...string) {
		t.Helper()
		if code, out := run(t, env, args...); code != 0 || !strings.Contains(out, mention) {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
	expect("  no  ", "migrate", "status")
	expect("migration applied", "migrate", "up")
	expect("", "migrate")
	expect("20", "migrate", "status") // the year it was applied in
	expect("migration taken back", "migrate", "down")
	expect("migration applied", "migrate")
	expect("cls-backend dev (commit unknown", "version")
	if code, out := run(t, env, "deploy"); code != 1 || !strings.Contains(out, "deploy") {
		t.Errorf("an unknown command: exit code %d: %s", code, out)
	}
}

// emptyDatabase is a database without our schema.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	database := dbtest.New(t)
	execute(t, database, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
	return database
}

func execute(t *testing.T, database string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer conn.Close(t.Context())
	for _, statement := range statements {
		_, err := conn.Exec(t.Context(), statement)
		must(t, err)
	}
}
