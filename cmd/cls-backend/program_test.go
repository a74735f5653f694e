package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/dev"
)

// asProgram makes a copy of this test program be the program under test: a process of
// its own with real signals, and nothing to build.
const asProgram = "CLS_TEST_AS_PROGRAM"

// patience is far above what anything here takes, on a busy machine too. What is promised
// to take less has a limit of its own.
const patience = time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	dbtest.Main(m)
}

// process is a program that runs.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *output // standard output and error
	done chan struct{}
	api  string // host and port, once it listens
	meta string // the same of the metrics
}

// output is text that may be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// command prepares the program with the settings in env and no others.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, args...)
	cmd.Dir = "/"
	cmd.Env = []string{asProgram + "=1"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "CLS_POSTGRES_BIN"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// launch starts a command in a process group of its own, and kills the group at the end.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, out: &output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = 10 * time.Second // a child that outlives the program has the output open
	must(t, cmd.Start())
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			t.Logf("%v said:\n%.8000s", cmd.Args[1:], p.out)
		}
	})
	return p
}

// run runs the program to its end and returns its exit code and what it said.
func run(t *testing.T, env []string, args ...string) (code int, out string) {
	t.Helper()
	p := launch(t, command(t, env, args...))
	return p.exit(patience), p.out.String()
}

// serve starts the service on free ports and returns once it listens.
func serve(t *testing.T, database, pubsub string, env ...string) *process {
	t.Helper()
	p := launch(t, command(t, append([]string{
		"DATABASE_URL=" + database, "PUBSUB_EMULATOR_HOST=" + pubsub, "HOST=127.0.0.1", "PORT=0", "METRICS_PORT=0",
	}, env...), "serve"))
	p.await("it to listen", func() bool { return len(p.logged("listening")) > 0 })
	line := p.logged("listening")[0]
	p.api, p.meta = line["api"].(string), line["metrics"].(string)
	return p
}

// ready waits until the service serves.
func (p *process) ready() *process {
	p.t.Helper()
	p.await("it to serve", func() bool { return len(p.logged("serving")) > 0 })
	return p
}

// logged returns the lines of the log with a message, decoded.
func (p *process) logged(message string) []map[string]any {
	var found []map[string]any
	for line := range strings.Lines(p.out.String()) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

// await waits for something that the process does, and fails when it ends before.
func (p *process) await(what string, done func() bool) {
	p.t.Helper()
	await(p.t, what, patience, func() bool {
		if done() {
			return true
		}
		select {
		case <-p.done:
			p.t.Fatalf("waiting for %s: the process has ended: %s\n%s", what, p.cmd.ProcessState, p.out)
		default:
		}
		return false
	})
}

// signal sends a signal to the process alone, as a supervisor does.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(sig))
}

// exit waits for the end of the process, at most limit, and returns its code: -1 when a
// signal ended it.
func (p *process) exit(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		p.t.Fatalf("%v still runs after %v\n%s", p.cmd.Args[1:], limit, p.out)
		return 0
	}
}

// await polls for what another process does.
func await(t *testing.T, what string, limit time.Duration, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); !done(); <-tick.C {
		if time.Since(begun) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

const (
	user  = "you@example.com" // as in the line that dev prints
	robot = "controller@system.local"
)

// answer is what became of a request.
type answer struct {
	status int // 0 when no whole answer came
	header http.Header
	body   []byte
	err    error
	took   time.Duration
}

// text returns a field of a JSON answer, "" when it is not there.
func (a answer) text(field string) string {
	var object map[string]any
	_ = json.Unmarshal(a.body, &object)
	s, _ := object[field].(string)
	return s
}

// newClient returns a client that keeps no connections, so that each request says
// for itself whether the service takes it.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
}

// request makes one request as somebody. It does not fail the test: a service that is
// stopped or starved may refuse.
func request(client *http.Client, method, url, as, body string) (a answer) {
	begun := time.Now()
	defer func() { a.took = time.Since(begun) }()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("X-User-Email", as)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{err: err}
	}
	return answer{status: res.StatusCode, header: res.Header, body: text}
}

// call makes a request below /api/v1 as the user.
func (p *process) call(method, path, body string) answer {
	return request(newClient(), method, "http://"+p.api+"/api/v1"+path, user, body)
}

// probe asks one of the probes.
func (p *process) probe(path string) answer {
	return request(newClient(), http.MethodGet, "http://"+p.api+path, "", "")
}

// create declares a cluster and returns its id.
func (p *process) create(name string) string {
	p.t.Helper()
	a := p.call(http.MethodPost, "/clusters", `{"name":"`+name+`","spec":{"platform":{"type":"gcp"}}}`)
	if a.status != http.StatusCreated {
		p.t.Fatalf("create %s: %d %s %v", name, a.status, a.body, a.err)
	}
	return a.text("id")
}

// pubSub starts a Pub/Sub of the test's own.
func pubSub(t *testing.T) *dev.PubSub {
	t.Helper()
	ps, err := dev.StartPubSub(t.Context(), "127.0.0.1:0")
	must(t, err)
	t.Cleanup(ps.Close)
	return ps
}

// published returns the types of the events on record of a cluster.
func published(ps *dev.PubSub, id string) []string {
	var types []string
	for _, m := range ps.Server().Messages() {
		if m.OrderingKey == id {
			types = append(types, m.Attributes["event_type"])
		}
	}
	return types
}

// freePort is a port that nobody listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// openDir is a folder that every account can reach, removed at the end.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(dev.ScratchDir(), "cls-backend-test-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// processesIn lists the living processes whose working folder lies below dir.
func processesIn(t *testing.T, dir string) []int {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	var pids []int
	for _, folder := range folders {
		cwd, err := os.Readlink(folder + "/cwd") // fails for one that has ended
		if err == nil && strings.HasPrefix(cwd, dir) {
			pid, _ := strconv.Atoi(filepath.Base(folder))
			pids = append(pids, pid)
		}
	}
	return pids
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused reports whether nobody listens.
func refused(a answer) bool { return errors.Is(a.err, syscall.ECONNREFUSED) }
