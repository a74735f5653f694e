package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/dbtest"
)

// readyLimit is how soon after its POST a first cluster is Ready.
const readyLimit = 10 * time.Second

// developer is a "cls-backend dev" that is up, and what it printed.
type developer struct {
	*process

	dir             string
	pubsub, project string
	curl            string // the line to declare a cluster
	// newest has the id of the newest cluster in $ID, for the other lines: to give it a node pool, to
	// pause it, to delete it.
	newest, pool, pause, remove string
}

// startDev runs "cls-backend dev" on a folder and free ports.
func startDev(t *testing.T, dir string, env ...string) *developer {
	t.Helper()
	env = append([]string{"PORT=0", "METRICS_PORT=0"}, env...)
	return developing(t, launch(t, command(t, env, "dev", "--dir", dir)), dir)
}

// developing waits for the help that dev prints, and reads it as a person would.
func developing(t *testing.T, p *process, dir string) *developer {
	t.Helper()
	p.await("the help", func() bool { return strings.Contains(p.out.String(), "Ctrl-C ends everything") })
	d := &developer{process: p, dir: dir}
	d.api = d.printed(`API +http://([^/]+)/api/v1`)
	d.meta = d.printed(`Metrics +http://([^/]+)/metrics`)
	d.pubsub = d.printed(`PUBSUB_EMULATOR_HOST=(\S+)`)
	d.project = d.printed(`GOOGLE_CLOUD_PROJECT=(\S+)`)
	d.curl = d.printed(`(?m)^ +(curl .*/clusters .* -d .*)$`)
	d.newest = d.printed(`(?m)^ +(ID=.*)$`)
	d.pool = d.printed(`(?m)^ +(curl .*/nodepools .* -d .*)$`)
	d.pause = d.printed(`(?m)^ +(curl .* PATCH .* -d .*)$`)
	d.remove = d.printed(`(?m)^ +(curl .* DELETE .*)$`)
	return d
}

func (d *developer) printed(pattern string) string {
	d.t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(d.out.String())
	if found == nil {
		d.t.Fatalf("dev does not print %s:\n%s", pattern, d.out)
	}
	return found[1]
}

// paste runs a line as somebody who pastes it into a shell, and returns the cluster.
func (d *developer) paste(line string) v1.Cluster {
	d.t.Helper()
	var c v1.Cluster
	if d.pasted(line, &c); c.ID == "" {
		d.t.Fatalf("%s: no cluster", line)
	}
	return c
}

func (d *developer) pasted(lines string, into any) {
	d.t.Helper()
	out, err := exec.Command("sh", "-c", lines).Output()
	if err != nil || json.Unmarshal(out, into) != nil {
		d.t.Fatalf("%s: %v: %s", lines, err, out)
	}
}

func (d *developer) get(path string, into any) {
	d.t.Helper()
	a := d.call(http.MethodGet, path, "")
	if err := json.Unmarshal(a.body, into); err != nil || a.status != http.StatusOK {
		d.t.Fatalf("GET %s: %d %s %v", path, a.status, a.body, a.err)
	}
}

// servers lists the processes of the private PostgreSQL.
func (d *developer) servers() []int {
	d.t.Helper()
	return processesIn(d.t, d.dir)
}

// expectNothingLeft waits for PostgreSQL to be gone.
func (d *developer) expectNothingLeft(limit time.Duration) {
	d.t.Helper()
	if runtime.GOOS == "linux" {
		await(d.t, "the end of PostgreSQL", limit, func() bool { return len(d.servers()) == 0 })
	}
}

// subscriber receives events as a program of another author does: with what dev prints
// and nothing of ours.
type subscriber struct {
	t    *testing.T
	rpc  pb.SubscriberClient
	name string
	got  map[string]v1.Event
}

func subscribe(t *testing.T, d *developer) *subscriber {
	t.Helper()
	conn, err := grpc.NewClient(d.pubsub, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	s := &subscriber{t: t, rpc: pb.NewSubscriberClient(conn), name: "projects/" + d.project + "/subscriptions/outsider", got: map[string]v1.Event{}}
	await(t, "the subscription", patience, func() bool { // the topic may be yet to come
		_, err := s.rpc.CreateSubscription(t.Context(), &pb.Subscription{
			Name: s.name, Topic: "projects/" + d.project + "/topics/cluster-events",
		})
		return err == nil
	})
	return s
}

// received reports whether an event of a type has come for a cluster.
func (s *subscriber) received(kind, id string) bool {
	s.t.Helper()
	return s.count(kind, id) > 0
}

// count returns how many events of a type have come for a cluster, each counted once.
func (s *subscriber) count(kind, id string) int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	res, err := s.rpc.Pull(ctx, &pb.PullRequest{Subscription: s.name, MaxMessages: 100})
	must(s.t, err)
	for _, m := range res.GetReceivedMessages() {
		var e v1.Event
		must(s.t, json.Unmarshal(m.GetMessage().GetData(), &e))
		s.got[e.ID] = e
	}
	n := 0
	for _, e := range s.got {
		if e.Type == kind && e.ClusterID == id {
			n++
		}
	}
	return n
}

// TestDev is the first quarter of an hour of somebody new, from an empty folder.
//
//nolint:tparallel // one folder and one story
func TestDev(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDir(t), "dev")
	// A wake-up a second, for those who wait for one.
	d := startDev(t, dir, "RECONCILIATION_ATTENTION_INTERVAL=1s", "REACTIVE_RECONCILIATION_DEBOUNCE=1s")
	outsider := subscribe(t, d)

	begun := time.Now()
	hello := d.paste(d.curl)
	d.expectReady(begun, hello.ID, "gcp")
	d.printed("method=POST route=/api/v1/(clusters) status=201")
	await(t, "cluster.created", patience, func() bool { return outsider.received(v1.ClusterCreated, hello.ID) })
	for _, platform := range []string{"aws", "azure"} {
		line := strings.NewReplacer("gcp", platform, "hello-", platform+"-").Replace(d.curl)
		begun := time.Now()
		c := d.paste(line)
		d.expectReady(begun, c.ID, platform)
		await(t, "cluster.created", patience, func() bool { return outsider.received(v1.ClusterCreated, c.ID) })
		if platform == "azure" { // the newest
			d.expectLifecycle(c.ID, outsider, hello.ID)
		}
	}
	d.expectPending(strings.NewReplacer("gcp", "mars", "hello-", "mars-").Replace(d.curl))

	if runtime.GOOS == "linux" && len(d.servers()) == 0 {
		t.Error("the test finds no PostgreSQL, and so could not find one that is left")
	}
	must(t, syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT)) // as a terminal does: to the whole group
	if code := d.exit(patience); code != 0 {
		t.Errorf("Ctrl-C: exit code %d", code)
	}
	d.expectNothingLeft(0)

	t.Run("the data survive a restart", func(t *testing.T) { restarted(t, dir, 3) })
	t.Run("and go with a reset", func(t *testing.T) {
		if code, out := run(t, nil, "dev", "--dir", dir, "--reset"); code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
		restarted(t, dir, 0)
	})
}

// expectReady waits for a cluster to be Ready, and looks at how it came to be.
func (d *developer) expectReady(begun time.Time, id, platform string) {
	d.t.Helper()
	var s v1.ClusterStatus
	for s.Status.Phase != v1.PhaseReady {
		d.get("/clusters/"+id+"/status", &s)
		if took := time.Since(begun); took > readyLimit {
			d.t.Fatalf("%s: after %v the cluster is %s: %s", platform, took, s.Status.Phase, s.Status.Message)
		}
	}
	d.t.Logf("%s: Ready after %v", platform, time.Since(begun).Round(time.Millisecond))
	if len(s.ControllerStatus) != 1 || !strings.Contains(s.ControllerStatus[0].ControllerName, platform) {
		d.t.Errorf("%s: reports %+v", platform, s.ControllerStatus)
	}
}

// expectLifecycle gives the newest cluster, which is on azure, a node pool, pauses it, while another cluster
// goes on, and watches it go.
func (d *developer) expectLifecycle(id string, outsider *subscriber, other string) {
	d.t.Helper()
	var pool v1.NodePool
	d.pasted(d.newest+"\n"+d.pool, &pool)
	if pool.ClusterID != id {
		d.t.Fatalf("the node pool is %+v, want one of cluster %s", pool, id)
	}
	await(d.t, "a node pool that is Ready", readyLimit, func() bool {
		d.get("/nodepools/"+pool.ID, &pool)
		return pool.Status.Phase == v1.PhaseReady
	})
	wakes := func(id string) int { return outsider.count(v1.ClusterReconcile, id) }
	await(d.t, "a wake-up", patience, func() bool { return wakes(id) > 0 })
	if c := d.paste(d.newest + "\n" + d.pause); !c.Paused {
		d.t.Errorf("not paused: %+v", c)
	}
	beat := func(n int) {
		d.t.Helper()
		n += wakes(other)
		await(d.t, "wake-ups of another cluster", patience, func() bool { return wakes(other) >= n })
	}
	beat(2) // By then what was on its way has come.
	woken := wakes(id)
	if beat(3); wakes(id) != woken {
		d.t.Errorf("%d wake-ups of a paused cluster", wakes(id)-woken)
	}
	begun := time.Now()
	var gone v1.Deletion
	d.pasted(d.newest+"\n"+d.remove, &gone)
	if len(gone.WaitingFor) != 1 || gone.WaitingFor[0] != "demo-azure" {
		d.t.Errorf("the deletion waits for %v", gone.WaitingFor)
	}
	for _, path := range []string{"/nodepools/" + pool.ID, "/clusters/" + id} {
		await(d.t, "the end of "+path, readyLimit, func() bool { return d.call(http.MethodGet, path, "").status == http.StatusNotFound })
	}
	d.t.Logf("azure: gone after %v", time.Since(begun).Round(time.Millisecond))
}

// expectPending declares a cluster that no controller looks after, which its status says.
func (d *developer) expectPending(line string) {
	d.t.Helper()
	var s v1.ClusterStatus
	d.get("/clusters/"+d.paste(line).ID+"/status", &s)
	if s.Status.Phase != v1.PhasePending || s.Status.Reason != "NoControllers" || s.Status.Message == "" {
		d.t.Errorf("an unknown platform: %+v", s.Status)
	}
	d.t.Logf("an unknown platform: %s: %s", s.Status.Phase, s.Status.Message)
}

// restarted runs dev again, counts the clusters, and kills it the hard way.
func restarted(t *testing.T, dir string, clusters int) {
	t.Helper()
	d := startDev(t, dir)
	var list v1.ClusterList
	d.get("/clusters", &list)
	if len(list.Clusters) != clusters {
		t.Errorf("%d clusters, want %d", len(list.Clusters), clusters)
	}
	d.signal(syscall.SIGKILL)
	d.exit(patience)
	d.expectNothingLeft(5 * time.Second)
}

// The first start takes a second, in which somebody may think better of it.
func TestCtrlCInTheMidstOfTheFirstStart(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("finds initdb in /proc")
	}
	dir := filepath.Join(openDir(t), "dev")
	p := launch(t, command(t, []string{"PORT=0", "METRICS_PORT=0"}, "dev", "--dir", dir))
	p.await("initdb", func() bool { return len(processesIn(t, dir)) > 0 })
	must(t, syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT))
	if code := p.exit(10 * time.Second); code != 0 {
		t.Errorf("exit code %d: %s", code, p.out)
	}
	if left := processesIn(t, dir); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
	restarted(t, dir, 0)
}

// A second dev on the same folder says what is wrong, and leaves the first alone.
func TestSecondDevOnAFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDir(t), "dev")
	first := startDev(t, dir)
	for _, args := range [][]string{{"dev", "--dir", dir}, {"dev", "--dir", dir, "--reset"}} {
		code, out := run(t, []string{"PORT=0", "METRICS_PORT=0"}, args...)
		if code != 1 || !strings.Contains(out, dir) || !strings.Contains(out, "in use") {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
	first.create("undisturbed")
	_, port, err := net.SplitHostPort(first.api)
	must(t, err)
	_, metrics, err := net.SplitHostPort(first.meta)
	must(t, err)
	for _, row := range []struct{ port, metrics, line string }{
		{"0", "0", "beside it: " + os.Args[0]},
		{port, metrics, "beside it: PORT=0 METRICS_PORT=0 " + os.Args[0]},
	} {
		code, out := run(t, []string{"PORT=" + row.port, "METRICS_PORT=" + row.metrics}, "dev", "--dir", dir)
		if want := "to run " + row.line + " dev --dir " + dir + "-2\n"; code != 1 || !strings.Contains(out, want) {
			t.Errorf("exit code %d: %swant %s", code, out, want)
		}
	}
	other := filepath.Join(filepath.Dir(dir), "other")
	code, out := run(t, []string{"PORT=" + port, "METRICS_PORT=0"}, "dev", "--dir", other)
	if code != 1 || !strings.Contains(out, "PORT="+port) || !strings.Contains(out, "beside it: PORT=0 "+os.Args[0]+" dev --dir "+other+"\n") {
		t.Errorf("on its port: exit code %d: %s", code, out)
	}
	if left := processesIn(t, other); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

func TestDevUsesWhatIsThere(t *testing.T) {
	t.Parallel()
	database, ps := dbtest.New(t), pubSub(t)
	port, metrics := freePort(t), freePort(t)
	unused := filepath.Join(openDir(t), "dev")
	d := startDev(t, unused, "DATABASE_URL="+database, "PUBSUB_EMULATOR_HOST="+ps.Addr(), "PORT="+port, "METRICS_PORT="+metrics)

	if want := "127.0.0.1:" + port; d.api != want {
		t.Errorf("PORT: the API is at %s, want %s", d.api, want)
	}
	if a := request(newClient(), http.MethodGet, "http://127.0.0.1:"+metrics+"/metrics", "", ""); a.status != http.StatusOK {
		t.Errorf("METRICS_PORT: %d %v", a.status, a.err)
	}
	begun := time.Now()
	c := d.paste(d.curl)
	d.expectReady(begun, c.ID, "gcp")
	if got := published(ps, c.ID); len(got) == 0 || got[0] != v1.ClusterCreated {
		t.Errorf("PUBSUB_EMULATOR_HOST: it has the events %v", got)
	}
	if n := count(t, database, "SELECT count(*) FROM clusters WHERE id = $1", c.ID); n != 1 {
		t.Errorf("DATABASE_URL: it has %d rows of the cluster", n)
	}
	if _, err := os.Stat(unused); !os.IsNotExist(err) {
		t.Errorf("a private PostgreSQL was made: %v", err)
	}
	d.signal(syscall.SIGTERM)
	if code := d.exit(patience); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
}

// Not as root everything lies below the home folder.
func TestDevAsAnybody(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("TestDev shows this: we are not root")
	}
	const nobody = 65534
	home := openDir(t)
	must(t, os.Chown(home, nobody, nobody))
	self, err := os.Executable()
	must(t, err)
	program := filepath.Join(home, "cls-backend") // "go test" builds where only we may go
	copyFile(t, self, program)
	cmd := command(t, []string{"PORT=0", "METRICS_PORT=0", "HOME=" + home}, "dev")
	cmd.Path = program
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	d := developing(t, launch(t, cmd), home)
	begun := time.Now()
	d.expectReady(begun, d.paste(d.curl).ID, "gcp")
	must(t, syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT))
	if code := d.exit(patience); code != 0 {
		t.Errorf("Ctrl-C: exit code %d", code)
	}
	d.expectNothingLeft(0)
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

// count runs a query for a number.
func count(t *testing.T, database, query string, args ...any) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer conn.Close(t.Context())
	must(t, conn.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}
