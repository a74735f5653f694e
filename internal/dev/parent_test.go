package dev

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// self is this test program.
func self(t *testing.T) string {
	t.Helper()
	file, err := os.Executable()
	must(t, err)
	return file
}

func TestKilledParentLeavesNothing(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child of its parent's death")
	}
	dir := newData(t)
	p := startHelper(t, self(t), dir, nil)
	pid, _ := p.server(t)
	must(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
	t.Logf("the server ended %v after its parent was killed", awaitGone(t, pid))
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the server did not end in order: %v", err)
	}
}

func TestStartRightAfterAKilledParent(t *testing.T) {
	t.Parallel()
	dir := newData(t)
	p := startHelper(t, self(t), dir, nil)
	p.server(t)
	must(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
	start(t, PostgresOptions{Dir: dir}) // the old server is still ending
}

// Where the kernel tells no child of its parent's death, a killed parent leaves
// its server behind, which holds the lock. Here is one such.
func TestOrphanIsEnded(t *testing.T) {
	t.Parallel()
	f, err := openFolder(t.Context(), newData(t))
	must(t, err)
	orphan := startChildOn(t, f)
	f.release()
	start(t, PostgresOptions{Dir: f.path})
	<-orphan.done
	if orphan.err != nil {
		t.Errorf("the orphan did not end in order: %v", orphan.err)
	}
}

func TestKilledInTheMidstOfTheFirstStart(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 300 * time.Millisecond} {
		dir := newFolder(t)
		p := startHelper(t, self(t), dir, nil)
		<-time.After(after) // where it dies does not matter, only that it may be anywhere
		must(t, p.cmd.Process.Kill())
		_ = p.cmd.Wait()
		start(t, PostgresOptions{Dir: dir})
	}
}

func TestCtrlCDoesNotReachTheServer(t *testing.T) {
	t.Parallel()
	p := startHelper(t, self(t), newData(t), nil)
	pid, url := p.server(t)
	must(t, syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT)) // as the terminal does: to the whole group
	if got := query(t, url, "SELECT 'still here'"); got != "still here" {
		t.Errorf("got %q", got)
	}
	must(t, p.stdin.Close())
	must(t, p.cmd.Wait())
	if alive(pid) && !zombie(pid) {
		t.Error("the server outlived an orderly end")
	}
}

func TestNotAsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("all other tests show this: we are not root")
	}
	const nobody = 65534
	dir := newFolder(t)
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Chown(dir, nobody, nobody))
	programs, err := os.MkdirTemp("", "cls-dev-test-") // "go test" builds where only we may go
	must(t, err)
	defer os.RemoveAll(programs)
	must(t, os.Chmod(programs, 0o755))
	copied := filepath.Join(programs, "program")
	copyFile(t, self(t), copied)

	p := startHelper(t, copied, filepath.Join(dir, "pg"), &syscall.Credential{Uid: nobody, Gid: nobody})
	pid, url := p.server(t)
	if got := query(t, url, "SELECT current_user::text"); got != "cls" {
		t.Errorf("got %q", got)
	}
	expectOwner(t, pid, nobody)
	must(t, p.stdin.Close())
	must(t, p.cmd.Wait())
}

func TestUnreachableFolderIsNamed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root changes its account")
	}
	private := newFolder(t)
	must(t, os.Mkdir(private, 0o700))
	_, err := StartPostgres(t.Context(), PostgresOptions{Dir: filepath.Join(private, "pg")})
	if err == nil || !strings.Contains(err.Error(), "cannot enter "+private) {
		t.Errorf("got %v, want an error that names %s", err, private)
	}
}

// expectOwner fails unless the process runs as uid.
func expectOwner(t *testing.T, pid, uid int) {
	t.Helper()
	info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
	if err != nil {
		t.Skip("no /proc here")
	}
	if got := int(info.Sys().(*syscall.Stat_t).Uid); got != uid {
		t.Errorf("the server runs as %d, want %d", got, uid)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	must(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, err)
	must(t, out.Close())
}

// A first start whose initdb is killed too leaves half-made data behind.
func TestHalfMadeDataAreMadeAnew(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("finds initdb in /proc")
	}
	dir := newFolder(t)
	result := make(chan error, 1)
	go func() {
		pg, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir})
		if err == nil {
			pg.Kill()
		}
		result <- err
	}()
	awaitFile(t, filepath.Join(dir, "data*", "PG_VERSION"))
	must(t, syscall.Kill(-initdbIn(t, dir), syscall.SIGKILL))
	if err := <-result; err == nil {
		t.Error("a killed initdb gave no error")
	}
	start(t, PostgresOptions{Dir: dir})
}

func awaitFile(t *testing.T, pattern string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < limit; <-tick.C {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return
		}
	}
	t.Fatalf("%s never came", pattern)
}

// initdbIn finds the initdb that works in a folder.
func initdbIn(t *testing.T, dir string) int {
	t.Helper()
	comms, err := filepath.Glob("/proc/[0-9]*/comm")
	must(t, err)
	for _, comm := range comms {
		process := filepath.Dir(comm)
		name, _ := os.ReadFile(comm)
		cwd, _ := os.Readlink(filepath.Join(process, "cwd"))
		if strings.TrimSpace(string(name)) == "initdb" && cwd == dir {
			pid, err := strconv.Atoi(filepath.Base(process))
			must(t, err)
			return pid
		}
	}
	t.Fatal("no initdb runs")
	return 0
}

// Threads of a Go program come and go. The server must not take the end of one
// for the end of its parent.
func TestServerOutlivesTheThreadsOfItsParent(t *testing.T) {
	t.Parallel()
	dir := newData(t)
	over := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			default:
				endSomeThreads()
			}
		}
	}()
	pg := start(t, PostgresOptions{Dir: dir})
	for range 20 {
		endSomeThreads()
	}
	if got := query(t, pg.URL(), "SELECT 'alive'"); got != "alive" {
		t.Errorf("got %q", got)
	}
	close(over)
	<-ended
}

// endSomeThreads ends threads: one whose goroutine ends while locked to it does.
func endSomeThreads() {
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { runtime.LockOSThread() })
	}
	wg.Wait()
}
