package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/dev"
)

// TestMain lets this test program be the helpers, as the command itself is.
func TestMain(m *testing.M) {
	if code, ok := runHelper(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestEverythingOnce runs every operation and every baseline for a moment on a small
// fleet, so that the harness does not rot. The bars are not judged: it is too short.
func TestEverythingOnce(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("CPU time is read from /proc")
	}
	if testing.Short() {
		t.Skip("builds and runs the service")
	}
	o := options{
		binary: buildService(t), dir: filepath.Join(dev.ScratchDir(), fmt.Sprintf("cls-load-test-%d", os.Getpid())), out: t.TempDir(),
		clusters: 600, connections: []int{2}, warmUp: 50 * time.Millisecond, duration: 100 * time.Millisecond, rounds: 1,
		only: regexp.MustCompile(""), inMemory: true,
	}
	var out bytes.Buffer
	if err := run(t.Context(), o, &out); err != nil && !errors.Is(err, errMissed) {
		t.Fatalf("%v\n%s", err, &out)
	}
	summary := read(t, filepath.Join(o.out, "summary.md"))
	for _, op := range operations(o.clusters) {
		if !strings.Contains(summary, "| "+op.name+" | 2 |") {
			t.Errorf("the summary has no row for %q:\n%s", op.name, summary)
		}
	}
	for _, file := range []string{"service-get-2-round-1.csv", "pgbench-list-2.csv", "bare-handler-create-2.csv", "service-get-after-report-1.csv"} {
		if lines := strings.Count(read(t, filepath.Join(o.out, file)), "\n"); lines < 2 {
			t.Errorf("%s holds no samples", file)
		}
	}
	if _, err := os.Stat(o.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the private PostgreSQL's folder is left behind: %v", err)
	}
}

func buildService(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "cls-backend")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/cls-backend")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the service: %v\n%s", err, out)
	}
	return binary
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestInterruptedLeavesNothing ends a measurement half way, as Ctrl-C does.
func TestInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs PostgreSQL")
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := emptyRig(t, "interrupt")
	if err := r.startStores(ctx); err != nil {
		t.Fatal(errors.Join(err, r.stop()))
	}
	cancel()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.options.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the private PostgreSQL's folder is left behind: %v", err)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", r.pubsub.pid())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the Pub/Sub helper runs on: %v", err)
	}
}

// emptyRig is one that has not started anything.
func emptyRig(t *testing.T, name string) *rig {
	t.Helper()
	return &rig{options: options{
		dir: filepath.Join(dev.ScratchDir(), fmt.Sprintf("cls-load-%s-%d", name, os.Getpid())), out: t.TempDir(), inMemory: true,
	}}
}

// TestMeterLeavesItselfOut has the same work done for the measuring program and for another.
func TestMeterLeavesItselfOut(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("CPU time is read from /proc")
	}
	if testing.Short() {
		t.Skip("runs PostgreSQL")
	}
	r := emptyRig(t, "meter")
	defer func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := r.startStores(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(t.Context(), r.pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(context.WithoutCancel(t.Context())) }()
	b := &bench{rig: r}
	work := func(db *pgx.Conn) time.Duration {
		used, err := b.meter(t.Context(), nil, r.db, func() error {
			_, err := db.Exec(t.Context(), `SELECT count(*) FROM generate_series(1, 3000000)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return used.postgres
	}
	if own, others := work(r.db), work(other); own > others/2 {
		t.Errorf("%v of CPU counted for what the program asked itself, %v for the same of another", own, others)
	}
}
