package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func upgrades() []scenario {
	return []scenario{{
		name: "upgrade/two-versions", promise: "An upgrade and a downgrade across two migrations cost no client a request and lose nothing.",
		about: "The world begins with the binary and the schema from before the last two migrations. Under load its replicas are replaced by " +
			"present ones, one after the other, the first of which migrates; then by previous ones again, and when the last present one " +
			"has gone the two migrations are taken back (cls-backend migrate down).",
		full: dose{times: 10}, short: dose{times: 1}, unit: "upgrades and downgrades", run: upgradeAndBack, previous: true,
		settings: []string{fmt.Sprintf("SERVER_SHUTDOWN_TIMEOUT=%ds", drain)}, // A tenth of it serves on, and the load balancer looks more often.
	}}
}

// takenBack is how many migrations the previous release does not have.
const takenBack = 2

// drain is how long a replica may take to end, in seconds.
const drain = 10

// release is a commit that can be built, and where the repository is.
type release struct{ root, commit string }

// previousRelease finds the last commit before the last two migrations. Where the history is missing, as in an archive or
// a shallow clone, it says so.
func previousRelease(ctx context.Context) (release, error) {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", args...).Output()
		if err != nil {
			return "", fmt.Errorf("find the release before: git %s: %w", args[0], err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	root, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		return release{}, err
	}
	files, err := filepath.Glob(filepath.Join(root, "internal/database/migrations/*.sql")) // In their order.
	if err != nil || len(files) <= takenBack {
		return release{}, fmt.Errorf("find the migrations: %d files, %w", len(files), err)
	}
	first := files[len(files)-takenBack]
	added, err := git("log", "-1", "--diff-filter=A", "--format=%H", "--", first)
	if err != nil {
		return release{}, err
	}
	if added == "" {
		return release{}, fmt.Errorf("%s is in no commit", filepath.Base(first))
	}
	before, err := git("rev-parse", "--verify", "--quiet", added+"^")
	if err != nil {
		return release{}, fmt.Errorf("the history ends before the release before: %w", err)
	}
	return release{root, before}, nil
}

// buildPrevious builds the release before, once for each folder of results.
func (r *rig) buildPrevious(ctx context.Context) (binary string, err error) {
	of, err := previousRelease(ctx)
	if err != nil {
		return "", err
	}
	binary, err = filepath.Abs(filepath.Join(r.work(), "release-"+of.commit[:12]))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	sources := filepath.Join(r.dir, "release")
	if err := os.MkdirAll(sources, 0o755); err != nil {
		return "", err
	}
	archive := filepath.Join(sources, "sources.tar")
	for _, cmd := range [][]string{
		{"git", "-C", of.root, "archive", "-o", archive, of.commit},
		{"tar", "-x", "-C", sources, "-f", archive},
		{
			"go", "build", "-C", sources, "-buildvcs=false", "-tags=nomsgpack", "-ldflags=-X main.commit=" + of.commit,
			"-o", binary, "./cmd/cls-backend",
		},
	} {
		if out, err := exec.CommandContext(ctx, cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the release before: %s: %w\n%s", cmd[0], err, out)
		}
	}
	return binary, os.RemoveAll(sources)
}

// migrateDown takes back the last migrations, with the binary that has them.
func (w *world) migrateDown(ctx context.Context) error {
	for range takenBack {
		cmd := exec.CommandContext(ctx, w.rig.binary, "migrate", "down")
		cmd.Env = []string{"DATABASE_URL=" + withDatabase(w.postgres.URL(), w.database)}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("migrate down: %w\n%s", err, out)
		}
	}
	return nil
}

// schemaVersion is the number of the last migration that the database has.
const schemaVersion = "SELECT max(version_id) FROM goose_db_version WHERE is_applied"

func upgradeAndBack(ctx context.Context, w *world, d dose) ([]figure, error) {
	began, before := time.Now(), w.binary
	l := w.startLoad(ctx, 8, 30)
	old := w.count(ctx, schemaVersion)
	var (
		longest, migrated time.Duration
		wrong             int
	)
	for range d.times {
		stopped, err := w.replaceAll(ctx, w.rig.binary)
		if err != nil {
			return nil, fmt.Errorf("upgrade: %w", err)
		}
		longest = max(longest, stopped)
		if w.count(ctx, schemaVersion) != old+takenBack {
			wrong++
		}
		if stopped, err = w.replaceAll(ctx, before); err != nil {
			return nil, fmt.Errorf("downgrade: %w", err)
		}
		longest = max(longest, stopped)
		down := time.Now()
		if err := w.migrateDown(ctx); err != nil {
			return nil, err
		}
		migrated = max(migrated, time.Since(down))
		if w.count(ctx, schemaVersion) != old {
			wrong++
		}
		if err := w.serveFor(ctx, l, time.Second); err != nil {
			return nil, err
		}
	}
	return w.over(ctx, l, "upgrades and downgrades", began,
		measured("number of the last migration that the release before has", float64(old), ""),
		atMost("times that the schema was not that of the binaries", float64(wrong), "", 0),
		atMost("tries that found no replica ready", float64(w.nobody.Load()), "", 0),
		measured("longest that two migrations took back under load", migrated.Seconds(), "s"),
		atMost("longest stop", longest.Seconds(), "s", drain))
}

// replaceAll puts processes of another binary in the places of all replicas, one after the other, and returns how long
// the longest stop took. Each serves for a while before the next goes.
func (w *world) replaceAll(ctx context.Context, binary string) (longest time.Duration, err error) {
	for _, r := range w.replicas {
		r.use(binary)
		took, err := r.restart(ctx)
		if err != nil {
			return longest, err
		}
		longest = max(longest, took)
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return longest, err
		}
	}
	return longest, nil
}

// serveFor lets the load go on for a while, in which operations must succeed.
func (*world) serveFor(ctx context.Context, l *load, lasts time.Duration) error {
	before := l.done.Load()
	if err := pause(ctx, lasts); err != nil {
		return err
	}
	if l.done.Load() == before {
		return errors.New("nothing was done meanwhile")
	}
	return nil
}
