// Package deletions_test holds the service to its promises while its processes are killed and its
// connections to PostgreSQL are ended, at random: real processes, real signals, and judged by what
// PostgreSQL and Pub/Sub have on record in the end.
package deletions_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/internal/app"
	"github.com/cls-backend/cls-backend/internal/config"
	"github.com/cls-backend/cls-backend/internal/dbtest"
)

// replicaEnv makes the test binary a replica of the service, whose settings are the environment.
const replicaEnv = "CLS_TEST_DELETIONS_REPLICA"

// patience is far above what anything here takes, on a busy machine too.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(replicaEnv) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // It should have been killed.
	}
	dbtest.Main(m)
}

// serve is the whole service, as `cls-backend serve` is. It says where it listens, and ends with
// its standard input, so that it does not outlive a test that has died.
func serve() error {
	cfg, err := config.Load(os.Environ())
	if err != nil {
		return err
	}
	log, err := app.NewLogger(os.Stderr, cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return app.Run(ctx, cfg, app.Options{Log: log, Serving: func(at app.Addresses) { fmt.Println(at.API) }})
}

// replica is a place for a process of the service. When that is killed another takes its place.
type replica struct {
	env  []string
	at   atomic.Pointer[string] // where it listens; nil while there is none
	cmd  *exec.Cmd
	dead chan struct{}
}

// start runs a process and returns once it serves.
func (r *replica) start(ctx context.Context) error {
	r.cmd = exec.CommandContext(ctx, os.Args[0])
	r.cmd.Env = append([]string{replicaEnv + "=1", "HOST=127.0.0.1", "PORT=0", "METRICS_PORT=0"}, r.env...)
	var log strings.Builder
	r.cmd.Stderr = &log
	if _, err := r.cmd.StdinPipe(); err != nil { // Never written to.
		return err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	r.dead = make(chan struct{})
	go func() {
		defer close(r.dead)
		_, _ = io.Copy(io.Discard, out)
		_ = r.cmd.Wait()
	}()
	if err != nil {
		_ = r.cmd.Process.Kill()
		<-r.dead
		return fmt.Errorf("a replica does not start: %w: %s", err, log.String())
	}
	at := strings.TrimSpace(line)
	r.at.Store(&at)
	return nil
}

// kill ends the process as kill -9 does, and returns once it is gone.
func (r *replica) kill() error {
	r.at.Store(nil)
	if err := r.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-r.dead
	if status, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		return errors.New("a replica had ended before it was killed: " + r.cmd.ProcessState.String())
	}
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await asks until the answer is yes. What is waited for happens in another process, and gives no signal.
func await(t testing.TB, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !yes() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}
