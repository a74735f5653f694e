package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sync/errgroup"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
)

func TestMain(m *testing.M) { clstest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// program makes the program as a release is made, once, and returns its folder: that of the test program, which go test removes.
var program = sync.OnceValues(func() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(self), "bin")
	cmd := exec.Command("go", "build", "-ldflags", "-X main.version=v1.2.3 -X main.commit=abc -X main.buildTime=today", "-o", dir+"/cls", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// build returns the folder of the program.
func build(t testing.TB) string {
	t.Helper()
	dir, err := program()
	must(t, err)
	return dir
}

// TestScripts runs each script in testdata against a service of its own. In them $URL is the service, and the commands
// of stage are there beside those of testscript. With -update the golden tables are written anew.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := build(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireUniqueNames: true, UpdateScripts: *update,
		Cmds: commands(),
		Setup: func(env *testscript.Env) error {
			b := clstest.NewBackend(env.T().(testing.TB))
			env.Values[stage{}] = b
			env.Setenv("BIN", bin)
			env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("URL", b.URL())
			env.Setenv("CLS_URL", b.URL())
			env.Setenv("CLS_IDENTITY", clstest.User)
			env.Setenv("CLS_CONFIG", filepath.Join(env.WorkDir, "config", "config.yaml"))
			return nil
		},
	})
}

// stage is the key of a script's backend.
type stage struct{}

func backend(ts *testscript.TestScript) *clstest.Backend { return ts.Value(stage{}).(*clstest.Backend) }

type command = func(ts *testscript.TestScript, neg bool, args []string)

func commands() map[string]command {
	return map[string]command{
		"exits": exits, "tidy": tidy, "report": reports, "register": registers, "spec": respec, "many": many, "id": setID,
		"await": await, "until": until, "quick": quick, "mode": mode,
	}
}

// exits CODE PROGRAM ARGS... runs a program that ends with a code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = e.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("it ended with %d, not %s\n%s%s", code, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// tidy is the output of the last command, with ids, times and ages that are the same in each run, and as wide as they were.
func tidy(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.ReadFile("stdout")
	ids := map[string]string{}
	text = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllStringFunc(text, func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("00000000-0000-7000-0000-%012d", len(ids)+1)
		}
		return ids[id]
	})
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`).ReplaceAllString(text, "2026-01-02T03:04:05Z")
	text = regexp.MustCompile(`"resource_version": "\d+"|resource_version: "\d+"`).ReplaceAllStringFunc(text, func(v string) string {
		return regexp.MustCompile(`\d+`).ReplaceAllString(v, "7")
	})
	text = regexp.MustCompile(`(?m)\b\d{1,3}s( ago|$)`).ReplaceAllString(text, "1s$1")
	text = regexp.MustCompile(`\b\d{1,3}s( +|\b)`).ReplaceAllStringFunc(text, func(age string) string {
		return "1s" + strings.Repeat(" ", max(0, len(age)-2))
	})
	_, err := io.WriteString(ts.Stdout(), text)
	ts.Check(err)
}

// lookUp returns the id of KIND/NAME.
func lookUp(ts *testscript.TestScript, title string) (kind, id string) {
	kind, name, _ := strings.Cut(title, "/")
	admin, ctx := backend(ts).Client(clstest.Admin), context.Background()
	o := client.NodePoolListOptions{ListOptions: client.ListOptions{Name: name}}
	if kind == "nodepool" {
		l, err := admin.ListNodePools(ctx, o)
		ts.Check(err)
		return kind, l.NodePools[0].ID
	}
	l, err := admin.ListClusters(ctx, o.ListOptions)
	ts.Check(err)
	return kind, l.Clusters[0].ID
}

// reports CONTROLLER KIND/NAME TYPE=STATUS[:REASON[:MESSAGE]]... [error=TYPE/CODE/MESSAGE] is what a controller does.
func reports(ts *testscript.TestScript, _ bool, args []string) {
	name, err := strconv.Unquote(`"` + args[0] + `"`)
	ts.Check(err)
	r := v1.StatusReport{ControllerName: name}
	for _, a := range args[2:] {
		name, value, _ := strings.Cut(a, "=")
		if name == "error" {
			p := strings.SplitN(value, "/", 3)
			r.LastError = &v1.ReportError{ErrorType: p[0], ErrorCode: p[1], Message: p[2]}
			continue
		}
		p := append(strings.SplitN(value, ":", 3), "", "")
		message, err := strconv.Unquote(`"` + p[2] + `"`)
		ts.Check(err)
		r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: name, Status: v1.ConditionStatus(p[0]), Reason: p[1], Message: message})
	}
	kind, id := lookUp(ts, args[1])
	robot, ctx := backend(ts).Client(clstest.Controller), context.Background()
	send := robot.ReportClusterStatus
	if kind == "nodepool" {
		send = robot.ReportNodePoolStatus
	}
	_, err = send(ctx, id, r)
	ts.Check(err)
}

// registers CONTROLLER [required] [finalizes] is how a controller makes itself known.
func registers(ts *testscript.TestScript, _ bool, args []string) {
	var r v1.RegisterController
	for _, a := range args[1:] {
		r.Required, r.Finalizes = r.Required || a == "required", r.Finalizes || a == "finalizes"
	}
	_, err := backend(ts).Client(clstest.Controller).RegisterController(context.Background(), args[0], r)
	ts.Check(err)
}

// respec NAME SPEC is a change of a cluster by somebody else.
func respec(ts *testscript.TestScript, _ bool, args []string) {
	_, id := lookUp(ts, "cluster/"+args[0])
	_, err := backend(ts).Client(clstest.Admin).UpdateCluster(context.Background(), id, v1.UpdateCluster{Spec: v1.Object(args[1])})
	ts.Check(err)
}

// many N PREFIX declares clusters PREFIX-0000 and so on, each later than the one before.
func many(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	user := backend(ts).Client(clstest.User)
	var group errgroup.Group
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error {
			_, err := user.CreateCluster(context.Background(), v1.CreateCluster{Name: fmt.Sprintf("%s-%04d", args[1], i), Spec: v1.Object(`{"platform":{"type":"gcp"}}`)})
			return err
		})
	}
	ts.Check(group.Wait())
}

// setID VARIABLE KIND/NAME [LENGTH] sets a variable to an id, or its beginning.
func setID(ts *testscript.TestScript, _ bool, args []string) {
	_, id := lookUp(ts, args[1])
	if len(args) > 2 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		id = id[:n]
	}
	ts.Setenv(args[0], id)
}

// await FILE PATTERN waits until what a program in the background writes matches.
func await(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[1])
	backend(ts).Await(args[1]+" in "+args[0], func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && pattern.Match(text)
	})
}

// until PATTERN PROGRAM ARGS... runs a program again and again until its output matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	backend(ts).Await(args[0], func() bool {
		ts.Check(ts.Exec(args[1], args[2:]...))
		return pattern.MatchString(ts.ReadFile("stdout"))
	})
}

// quick LIMIT PROGRAM ARGS... runs a program until it has once taken less than a limit: what else the machine does takes its time too.
func quick(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	best := time.Hour
	for tries := 0; tries < 20 && best >= limit; tries++ {
		begun := time.Now()
		ts.Check(ts.Exec(args[1], args[2:]...))
		best = min(best, time.Since(begun))
	}
	ts.Logf("%v took %v", args[1:], best)
	if best >= limit {
		ts.Fatalf("it took %v", best)
	}
}

// mode MODE FILE asks for the mode of a file.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, not %s", args[1], got, args[0])
	}
}

// startLimit is how long the program may take before it does anything: nobody is to feel it.
const startLimit = 50 * time.Millisecond

// mostStarts is how often it is tried to see a fast one.
const mostStarts = 200

// TestStart looks for one start that is fast enough: the others measure what else the machine does.
func TestStart(t *testing.T) { //nolint:paralleltest // it measures
	bin := build(t)
	best := time.Hour
	starts := 0
	for ; starts < mostStarts && best >= startLimit; starts++ {
		begun := time.Now()
		must(t, exec.Command(bin+"/cls", "version").Run())
		best = min(best, time.Since(begun))
	}
	t.Logf("a start takes %v, the best of %d", best, starts)
	if best >= startLimit {
		t.Errorf("a start takes %v, more than %v", best, startLimit)
	}
}
