package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/cls-backend/cls-backend/internal/database/migrations"
)

// migrationLock is the key of the advisory lock under which the schema changes. It is
// polled for: a session that waits for it holds a snapshot, which deadlocks with
// an index being built CONCURRENTLY by the one that has the lock.
const (
	migrationLock = 0x636c735f646231 // "cls_db1"
	migrationPoll = 50 * time.Millisecond
)

// Migrate brings the schema of the database at url up to this binary's version. Any
// number of replicas may call it at once: one works, the others wait until it is done.
// A schema that is newer already is left alone.
func Migrate(ctx context.Context, url string, log *slog.Logger) error {
	return withSchema(ctx, url, func(ctx context.Context, p *goose.Provider) error {
		results, err := p.Up(ctx)
		for _, r := range results {
			log.InfoContext(ctx, "migration applied", "version", r.Source.Version, "latency", r.Duration)
		}
		return wrap("migrate up", err)
	})
}

// MigrateDown takes back the newest migration.
func MigrateDown(ctx context.Context, url string, log *slog.Logger) error {
	return withSchema(ctx, url, func(ctx context.Context, p *goose.Provider) error {
		result, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return errors.New("there is no migration to take back")
		}
		if err != nil {
			return fmt.Errorf("migrate down: %w", err)
		}
		log.InfoContext(ctx, "migration taken back", "version", result.Source.Version, "latency", result.Duration)
		return nil
	})
}

// Migration is one migration that this binary knows.
type Migration struct {
	Version int64
	Name    string
	// AppliedAt is zero for one that is not applied.
	AppliedAt time.Time
}

// Migrations returns all migrations, the oldest first.
func Migrations(ctx context.Context, url string) ([]Migration, error) {
	var list []Migration
	err := withSchema(ctx, url, func(ctx context.Context, p *goose.Provider) error {
		all, err := p.Status(ctx)
		for _, m := range all {
			list = append(list, Migration{Version: m.Source.Version, Name: m.Source.Path, AppliedAt: m.AppliedAt})
		}
		return wrap("read migrations", err)
	})
	return list, err
}

// withSchema runs work on a connection of its own that holds the migration lock. The
// connection has no statement timeout, since building an index may take its time.
func withSchema(ctx context.Context, url string, work func(context.Context, *goose.Provider) error) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("read the database's URL: %w", err)
	}
	cfg.ConnectTimeout = 5 * time.Second
	cfg.RuntimeParams["application_name"] = "cls-backend migrate"
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()

	lock, err := db.Conn(ctx)
	if err != nil {
		return translate("connect", err)
	}
	defer func() { _ = lock.Close() }() // Ends the session's lock with the session.
	if err := acquire(ctx, lock); err != nil {
		return translate("lock the schema", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return translate("schema", work(ctx, provider))
}

func acquire(ctx context.Context, conn *sql.Conn) error {
	poll := time.NewTicker(migrationPoll)
	defer poll.Stop()
	for {
		var mine bool
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(migrationLock)).Scan(&mine); err != nil {
			return err
		}
		if mine {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}

// CheckSchema reports whether the schema is of this binary's version or newer.
func (db *DB) CheckSchema(ctx context.Context) error {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	var version int64
	err := db.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	if err != nil {
		return translate("read the schema's version", err)
	}
	if want := newestVersion(); version < want {
		return fmt.Errorf("the schema is at version %d, older than %d", version, want)
	}
	return nil
}

// newestVersion returns the version of the newest embedded migration.
func newestVersion() int64 {
	var newest int64
	files, err := migrations.FS.ReadDir(".")
	if err != nil { // The files are embedded: they cannot be missing.
		panic("database: read embedded migrations: " + err.Error())
	}
	for _, f := range files {
		if v, err := goose.NumericComponent(f.Name()); err == nil {
			newest = max(newest, v)
		}
	}
	return newest
}
