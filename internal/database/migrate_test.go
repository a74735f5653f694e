package database_test

import (
	"context"
	"log/slog"
	"net/url"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// newEmpty returns a database without any schema.
func newEmpty(t *testing.T) fixture {
	t.Helper()
	f := newFixture(t)
	name := "empty_" + uuid.NewString()
	f.exec(t, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0")
	t.Cleanup(func() {
		_, err := f.raw.Exec(context.Background(), "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
		must(t, err)
	})
	u, err := url.Parse(f.url)
	must(t, err)
	u.Path = "/" + name
	db, err := database.Open(t.Context(), database.Options{URL: u.String()})
	must(t, err)
	t.Cleanup(db.Close)
	raw, err := pgxpool.New(t.Context(), u.String())
	must(t, err)
	t.Cleanup(raw.Close)
	return fixture{db.Resources(models.KindCluster), models.KindCluster, u.String(), raw}
}

func migrate(ctx context.Context, f fixture) error {
	return database.Migrate(ctx, f.url, slog.New(slog.DiscardHandler))
}

// schema describes everything that migrations make, a line each.
func (f fixture) schema(t *testing.T) []string {
	t.Helper()
	rows, err := f.raw.Query(t.Context(), `
		SELECT 'column ' || concat_ws(' ', c.relname, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull,
			a.attgenerated, a.attidentity, pg_get_expr(d.adbin, d.adrelid))
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND c.relname NOT LIKE 'goose%'
		UNION ALL SELECT 'relation ' || concat_ws(' ', relname, relkind, reloptions) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'goose%'
		UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'goose_db_version'
		UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
			FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'goose_db_version'
		UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		ORDER BY 1`)
	must(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return lines
}

// TestUpDownUp: each Down undoes its Up whole, so that a second Up gives the same schema.
func TestUpDownUp(t *testing.T) {
	t.Parallel()
	f := newEmpty(t)
	must(t, migrate(t.Context(), f))
	first := f.schema(t)
	if len(first) < 80 {
		t.Fatalf("the schema has only %d parts: the description misses some", len(first))
	}
	known, err := database.Migrations(t.Context(), f.url)
	must(t, err)
	for _, m := range known {
		if m.AppliedAt.IsZero() {
			t.Errorf("%s is not applied after Migrate", m.Name)
		}
	}
	for range known {
		must(t, database.MigrateDown(t.Context(), f.url, slog.New(slog.DiscardHandler)))
	}
	if left := f.schema(t); len(left) > 0 {
		t.Errorf("left after taking everything back: %v", left)
	}
	if err := database.MigrateDown(t.Context(), f.url, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("taking back more than there is succeeded")
	}
	must(t, migrate(t.Context(), f))
	if diff := cmp.Diff(first, f.schema(t)); diff != "" {
		t.Errorf("the second schema differs (-first +second):\n%s", diff)
	}
}

// TestReplicasMigrateTogether: eight start at once, and one of them does the work.
func TestReplicasMigrateTogether(t *testing.T) {
	t.Parallel()
	f := newEmpty(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := migrate(t.Context(), f); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	applied := value[int64](t, f, `SELECT count(*) FROM goose_db_version WHERE version_id > 0`)
	if applied != value[int64](t, f, `SELECT count(DISTINCT version_id) FROM goose_db_version WHERE version_id > 0`) {
		t.Errorf("%d migrations recorded: some more than once", applied)
	}
	must(t, f.CheckSchema(t.Context()))
}

// TestTrap34_AMigrationThatFailsLeavesNothing: half of one applied, and recorded as done, is
// what nobody can repair.
func TestTrap34_AMigrationThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newEmpty(t)
	f.exec(t, `CREATE TABLE outbox (in_the_way integer)`) // The schema's own comes after other tables.
	if err := migrate(t.Context(), f); err == nil {
		t.Fatal("a migration succeeded with its table in the way")
	}
	if got := value[string](t, f, `SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'goose%'`); got != "outbox" {
		t.Errorf("tables left behind: %s", got)
	}
	if n := value[int64](t, f, `SELECT count(*) FROM goose_db_version WHERE version_id > 0`); n > 0 {
		t.Errorf("%d migrations recorded as done", n)
	}
	if err := f.CheckSchema(t.Context()); err == nil {
		t.Error("the schema passes for complete")
	}
	f.exec(t, `DROP TABLE outbox`)
	must(t, migrate(t.Context(), f))
	must(t, f.CheckSchema(t.Context()))
}

// TestCheckSchema: none and an older one are no good; a newer one is, and is left alone.
func TestCheckSchema(t *testing.T) {
	t.Parallel()
	f := newEmpty(t)
	if err := f.CheckSchema(t.Context()); err == nil {
		t.Error("no schema at all passes")
	}
	must(t, migrate(t.Context(), f))
	must(t, f.CheckSchema(t.Context()))
	f.exec(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, true)`, database.NewestVersion()+1)
	must(t, f.CheckSchema(t.Context()))
	before := f.schema(t)
	must(t, migrate(t.Context(), f))
	if diff := cmp.Diff(before, f.schema(t)); diff != "" {
		t.Errorf("an older binary changed a newer schema:\n%s", diff)
	}
	f.exec(t, `DELETE FROM goose_db_version WHERE version_id >= $1`, database.NewestVersion())
	if err := f.CheckSchema(t.Context()); err == nil {
		t.Error("an older schema passes")
	}
}

// TestMigrateWaitsForTheLock without holding a snapshot, and gives up with its context.
func TestMigrateWaitsForTheLock(t *testing.T) {
	t.Parallel()
	f := newEmpty(t)
	conn, err := f.raw.Acquire(t.Context())
	must(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, int64(0x636c735f646231))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- migrate(ctx, f) }()
	await(t, f, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'cls-backend migrate' AND query LIKE '%pg_try_advisory_lock%' AND state = 'idle')`)
	cancel()
	if err := <-done; models.CodeOf(err) != v1.CodeUnavailable {
		t.Errorf("given up with %v", err)
	}
}

// TestMigrateWithoutAServer says so in the service's words.
func TestMigrateWithoutAServer(t *testing.T) {
	t.Parallel()
	err := database.Migrate(t.Context(), "postgres://127.0.0.1:1/x", slog.New(slog.DiscardHandler))
	if models.CodeOf(err) != v1.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	if err := database.Migrate(t.Context(), "postgres://%zz", slog.New(slog.DiscardHandler)); err == nil || models.CodeOf(err) != v1.CodeInternal {
		t.Errorf("an unreadable URL: %v", err)
	}
}

// TestTriggers hold the rules that the tables keep by themselves, also for those who come
// by psql.
func TestTriggers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := value[string](t, f, `INSERT INTO clusters (name, created_by, spec) VALUES ('by-hand', 'dba@example.com', '{"platform":{"type":"GCP"}}') RETURNING id::text`)
	if got := value[string](t, f, `SELECT platform || ' ' || phase || ' ' || status_dirty FROM clusters`); got != "gcp Pending true" {
		t.Errorf("inserted by hand: %s", got)
	}
	if !value[bool](t, f, `SELECT enabled AND next_reconcile_at BETWEEN now() AND now() + interval '31 s' FROM reconciliation_schedule WHERE cluster_id = $1`, id) {
		t.Error("a cluster by hand has no place on the schedule")
	}
	const insert = `INSERT INTO controller_status (cluster_id, controller_name) VALUES ($1, 'dns')`
	for _, row := range []struct {
		why             string
		sql             string
		touched, marked bool
		versions        int64
	}{
		{"a new spec without a generation", `UPDATE clusters SET spec = '{}' WHERE id = $1`, true, false, 0},
		{"a new generation", `UPDATE clusters SET spec = '{"n":1}', generation = generation + 1 WHERE id = $1`, true, true, 0},
		{"labels", `UPDATE clusters SET labels = '{"a":"b"}' WHERE id = $1`, true, false, 0},
		{"the description", `UPDATE clusters SET description = 'd' WHERE id = $1`, true, false, 0},
		{"a pause", `UPDATE clusters SET paused = true WHERE id = $1`, true, false, 0},
		{"a calculated status", `UPDATE clusters SET status = '{"phase":"Ready"}', status_dirty = false, recheck_at = now() WHERE id = $1`, false, false, 0},
		{"a first report", insert, false, true, 1},
		{"a heartbeat", `UPDATE controller_status SET updated_at = clock_timestamp() WHERE cluster_id = $1`, false, false, 0},
		{"another report that a status does not depend on", `UPDATE controller_status SET stored_at = clock_timestamp(), conditions = '[{}]' WHERE cluster_id = $1`, false, false, 1},
		{"an Available of another status", `UPDATE controller_status SET stored_at = clock_timestamp(), available = 'True' WHERE cluster_id = $1`, false, true, 1},
		{"Failed", `UPDATE controller_status SET stored_at = clock_timestamp(), failed = true WHERE cluster_id = $1`, false, true, 1},
		{"an error", `UPDATE controller_status SET stored_at = clock_timestamp(), error_type = 'Fatal' WHERE cluster_id = $1`, false, true, 1},
		{"no error", `UPDATE controller_status SET stored_at = clock_timestamp(), error_type = NULL WHERE cluster_id = $1`, false, true, 1},
		{"a report of a newer generation", `UPDATE controller_status SET stored_at = clock_timestamp(), observed_generation = 2 WHERE cluster_id = $1`, false, true, 1},
		{"a report dropped", `DELETE FROM controller_status WHERE cluster_id = $1`, false, true, 1},
	} {
		f.exec(t, `UPDATE clusters SET status_dirty = false`)
		const state = `SELECT extract(epoch FROM updated_at)::text FROM clusters`
		const version = `SELECT resource_version FROM clusters`
		touched, versions := value[string](t, f, state), value[int64](t, f, version)
		f.exec(t, row.sql, id)
		if got := value[string](t, f, state) != touched; got != row.touched {
			t.Errorf("%s: updated_at moved %t, want %t", row.why, got, row.touched)
		}
		if got := value[bool](t, f, `SELECT status_dirty FROM clusters`); got != row.marked {
			t.Errorf("%s: marked dirty %t, want %t", row.why, got, row.marked)
		}
		if got := value[int64](t, f, version) - versions; got != row.versions {
			t.Errorf("%s: %d resource versions, want %d", row.why, got, row.versions)
		}
	}
	f.exec(t, `DELETE FROM clusters`)
	if n := value[int64](t, f, `SELECT count(*) FROM reconciliation_schedule`); n != 0 {
		t.Errorf("%d places on the schedule without a cluster", n)
	}
}

// TestTrap21_TimesCarryTheirZone: a schedule in timestamps without one moved with the
// server's setting.
func TestTrap21_TimesCarryTheirZone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if n := value[int64](t, f, `SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version' AND data_type = 'timestamp without time zone'`); n > 0 {
		t.Errorf("%d columns of timestamps without a zone", n)
	}
	// A session elsewhere in the world sees the same clusters as due.
	c := f.create(t, "one")
	f.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = now() + interval '1 min'`)
	for _, zone := range []string{"Asia/Tokyo", "America/Los_Angeles"} {
		f.exec(t, `ALTER DATABASE `+pgx.Identifier{value[string](t, f, `SELECT current_database()`)}.Sanitize()+` SET timezone = '`+zone+`'`)
		db, err := database.Open(t.Context(), database.Options{URL: f.url})
		must(t, err)
		t.Cleanup(db.Close)
		must(t, db.Resources(models.KindCluster).InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			early, err := tx.ClaimDue(ctx, 0, 10)
			if err != nil || len(early) > 0 {
				t.Errorf("%s: due early: %v, %v", zone, early, err)
			}
			due, err := tx.ClaimDue(ctx, 61e9, 10)
			if err != nil || len(due) != 1 || due[0].ID != c.ID {
				t.Errorf("%s: due: %v, %v", zone, due, err)
			}
			return err
		}))
	}
}
