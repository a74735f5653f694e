package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMakeDev is the way of somebody with a fresh clone: make dev, the line that it prints,
// Ctrl-C. It builds the program and uses the real folder of the data, so that it is kept
// for CI, where nobody else does.
func TestMakeDev(t *testing.T) {
	t.Parallel()
	if os.Getenv("CI") == "" {
		t.Skip("CI is not set")
	}
	dir := defaultDir()
	if _, err := os.Stat(dir); err == nil {
		t.Skipf("%s is in use", dir)
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	clone := filepath.Join(openDir(t), "clone")
	copyTree(t, filepath.Join("..", ".."), clone)
	// All of it is compiled anew in a new folder, beside the tests of other packages: that has no bound.
	if out, err := makeIn(clone, "backend").CombinedOutput(); err != nil {
		t.Fatalf("make backend: %v\n%s", err, out)
	}

	d := makeDev(t, clone, dir)
	begun := time.Now()
	d.expectReady(begun, d.paste(d.curl).ID, "gcp")
	must(t, syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT))
	d.exit(patience) // with the code of make's own
	expectNobodyIn(t, time.Second, clone, dir)

	if runtime.GOOS != "linux" {
		return // elsewhere nothing tells a child of the death of its parent
	}
	d = makeDev(t, clone, dir)
	d.signal(syscall.SIGKILL)
	expectNobodyIn(t, shutdownLimit, clone, dir)
}

func makeDev(t *testing.T, clone, dir string) *developer {
	t.Helper()
	return developing(t, launch(t, makeIn(clone, "dev")), dir)
}

// makeIn is a call of make in a clone, with an environment of few settings.
func makeIn(clone, target string) *exec.Cmd {
	cmd := exec.Command("make", target)
	cmd.Dir = clone
	cmd.Env = []string{"PORT=0", "METRICS_PORT=0"}
	for _, name := range []string{"PATH", "HOME", "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOTOOLCHAIN", "CLS_POSTGRES_BIN"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// copyTree copies what git would clone, with what is not committed yet.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	git := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = from
	list, err := git.Output()
	must(t, err)
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue // removed, and the removal not committed
		}
		must(t, err)
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755))
		copyFile(t, filepath.Join(from, name), filepath.Join(to, name))
		must(t, os.Chmod(filepath.Join(to, name), info.Mode()))
	}
}

// expectNobodyIn waits until no process works in any of the folders.
func expectNobodyIn(t *testing.T, limit time.Duration, dirs ...string) {
	t.Helper()
	begun := time.Now()
	for _, dir := range dirs {
		await(t, "the end of what runs in "+dir, limit, func() bool { return len(processesIn(t, dir)) == 0 })
	}
	t.Logf("nothing is left after %v", time.Since(begun))
}
