package dev

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// helperDir names the folder that a copy of this test program starts a server
// on, as "cls-backend dev" would, instead of running tests.
const helperDir = "CLS_DEV_TEST_FOLDER"

// limit is far above what anything here takes, on a busy machine too.
const limit = time.Minute

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		os.Exit(helper(dir))
	}
	code := m.Run()
	_ = os.RemoveAll(prepared.dir)
	os.Exit(code)
}

// helper starts a server, says its pid and URL, and stops it when its standard
// input ends. It takes no notice of SIGINT, to show who else does.
func helper(dir string) int {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	fmt.Println("starting")
	pg, err := StartPostgres(context.Background(), PostgresOptions{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(pg.Pid())
	fmt.Println(pg.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := pg.Stop(context.Background()); err != nil {
		return 1
	}
	return 0
}

// program is a helper that runs.
type program struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
}

// startHelper runs file, a copy of this test program, as a helper in a process
// group of its own.
func startHelper(t *testing.T, file, dir string, as *syscall.Credential) *program {
	t.Helper()
	cmd := exec.Command(file)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &program{cmd: cmd, stdin: in, stdout: bufio.NewReader(out)}
	p.line(t)
	return p
}

// line reads what the helper says next.
func (p *program) line(t *testing.T) string {
	t.Helper()
	line, err := p.stdout.ReadString('\n')
	must(t, err)
	return strings.TrimSpace(line)
}

// server reads the pid and URL that a helper says.
func (p *program) server(t *testing.T) (pid int, url string) {
	t.Helper()
	line := p.line(t)
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatalf("the helper says %s", line)
	}
	return pid, p.line(t)
}

// prepared is a folder with new data that tests copy: initdb takes most of a
// second, a copy a tenth.
var prepared struct {
	once sync.Once
	dir  string
	err  error
}

// newFolder is a folder that every account can reach, removed at the end.
func newFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(ScratchDir(), "cls-dev-test-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "pg")
}

// newData is a folder with data in it and no server.
func newData(t *testing.T) string {
	t.Helper()
	prepared.once.Do(func() {
		if prepared.dir, prepared.err = os.MkdirTemp(ScratchDir(), "cls-dev-test-"); prepared.err != nil {
			return
		}
		var pg *Postgres
		pg, prepared.err = StartPostgres(context.Background(), PostgresOptions{Dir: prepared.dir})
		if prepared.err == nil {
			prepared.err = pg.Stop(context.Background())
		}
	})
	must(t, prepared.err)
	dir := newFolder(t)
	out, err := exec.Command("cp", "-a", prepared.dir, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("copy the prepared folder: %v: %s", err, out)
	}
	return dir
}

// start runs a server that is killed at the end.
func start(t *testing.T, opts PostgresOptions) *Postgres {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	pg, err := StartPostgres(ctx, opts)
	must(t, err)
	t.Cleanup(func() {
		pg.Kill()
		<-pg.Done()
	})
	return pg
}

// query runs one statement and returns its single value as text.
func query(t *testing.T, url, statement string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(t.Context())
	var value string
	must(t, conn.QueryRow(t.Context(), statement).Scan(&value))
	return value
}

// execute runs statements that answer nothing.
func execute(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(t.Context())
	for _, statement := range statements {
		_, err := conn.Exec(t.Context(), statement)
		must(t, err)
	}
}

// awaitGone waits for a process that is not our child to end.
func awaitGone(t *testing.T, pid int) time.Duration {
	t.Helper()
	begun := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for alive(pid) && !zombie(pid) {
		<-tick.C
		if time.Since(begun) > limit {
			t.Fatalf("process %d still lives", pid)
		}
	}
	return time.Since(begun)
}

// zombie says whether a process has ended and merely was not waited for, as
// orphans are where process 1 reaps nobody. The state is the field after the
// name in proc_pid_stat(5).
func zombie(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(after, "Z")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
