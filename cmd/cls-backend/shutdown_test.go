package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/dbtest"
)

// shutdownLimit is the longest that a stop may take, whatever hangs: Kubernetes kills
// after thirty seconds.
const shutdownLimit = 25 * time.Second

// Under load a stop answers what is in flight and takes no more.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	database, ps := dbtest.New(t), pubSub(t)
	p := serve(t, database, ps.Addr()).ready()
	l := startLoad(p, 6)
	held := p.create("held")
	release := lock(t, database, held)
	const inFlight = 5
	finished := make(chan answer, inFlight)
	for i := range inFlight {
		go func() {
			finished <- p.call(http.MethodPut, "/clusters/"+held, fmt.Sprintf(`{"spec":{"n":%d}}`, i))
		}()
	}
	await(t, "requests that wait for the row", patience, func() bool { return waiting(t, database) == inFlight })

	stopped := time.Now()
	p.signal(syscall.SIGTERM)
	p.await("the stop", func() bool { return len(p.logged("stopping")) == 1 })
	await(t, "the end of readiness", 2*time.Second, func() bool { return p.probe("/readyz").status == http.StatusServiceUnavailable })
	if a := p.call(http.MethodGet, "/clusters", ""); a.status != http.StatusOK {
		t.Errorf("a request that came before anybody could notice: %d %s %v", a.status, a.body, a.err)
	}
	if got := len(finished); got != 0 {
		t.Errorf("%d requests were cut off", got)
	}
	await(t, "an end of taking requests", patience, func() bool { return refused(p.probe("/livez")) })
	release()
	for range inFlight {
		if a := <-finished; a.status != http.StatusOK {
			t.Errorf("a request in flight: %d %s %v", a.status, a.body, a.err)
		}
	}
	if code := p.exit(shutdownLimit); code != 0 {
		t.Errorf("exit code %d", code)
	}
	l.end()
	l.verifyStop(t, database, stopped)
	successor := serve(t, database, ps.Addr()).ready() // for what was committed last
	l.verifyKept(t, database, ps)
	successor.signal(syscall.SIGTERM)
	if code := successor.exit(shutdownLimit); code != 0 {
		t.Errorf("exit code of an idle service: %d", code)
	}
}

// verifyStop looks at every answer of a load through a stop. A request is answered whole or
// was never begun: an idle connection may be closed just when a client uses it again.
func (l *load) verifyStop(t *testing.T, database string, stopped time.Time) {
	t.Helper()
	kinds := map[string]int{}
	var lost []string
	for _, s := range l.samples {
		switch {
		case s.status == http.StatusOK || s.status == http.StatusCreated:
			kinds["answered"]++
		case s.status != 0 || s.at.Before(stopped):
			t.Errorf("%s: %d %s %v", s.what, s.status, s.body, s.err)
		case refused(s.answer):
			kinds["refused"]++
		default:
			kinds["not taken"]++
			lost = append(lost, s.name)
		}
	}
	t.Logf("requests: %v", kinds)
	if n := count(t, database, "SELECT count(*) FROM clusters WHERE name = ANY($1)", lost); n != 0 {
		t.Errorf("%d of %d requests without an answer were carried out", n, len(lost))
	}
}

// lock holds the row of a cluster until the returned func is called.
func lock(t *testing.T, database, id string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN")
	must(t, err)
	_, err = conn.Exec(t.Context(), "SELECT FROM clusters WHERE id = $1 FOR UPDATE", id)
	must(t, err)
	return func() { must(t, conn.Close(t.Context())) }
}

// waiting counts the statements that wait for a lock.
func waiting(t *testing.T, database string) int {
	t.Helper()
	return count(t, database, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
}

// What the relay has begun it finishes: an event that Pub/Sub is just taking is marked, so
// that nobody sends it again.
func TestStopFinishesTheBatch(t *testing.T) {
	t.Parallel()
	database, ps := dbtest.New(t), pubSub(t)
	way := newProxy(t, ps.Addr())
	p := serve(t, database, way.addr()).ready()
	await(t, "the topics", patience, func() bool { return strings.Count(p.out.String(), "topic is there") == 2 })
	way.hold(answers)
	id := p.create("last")
	await(t, "the event", patience, func() bool { return len(published(ps, id)) == 1 })
	p.signal(syscall.SIGTERM)
	p.await("the stop", func() bool { return len(p.logged("stopping")) == 1 })
	way.let(answers)
	if code := p.exit(shutdownLimit); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := count(t, database, "SELECT count(*) FROM outbox WHERE published_at IS NULL"); n != 0 {
		t.Errorf("%d events are left unmarked", n)
	}
	if got := published(ps, id); len(got) != 1 {
		t.Errorf("the events %v were published", got)
	}
}

// Pub/Sub accepts and never answers. Neither a request nor a stop waits for it, and
// another replica sends what is left.
func TestTrap34_StopWhilePubSubHangs(t *testing.T) {
	t.Parallel()
	database, ps := dbtest.New(t), pubSub(t)
	way := newProxy(t, ps.Addr())
	way.hold(requests)
	p := serve(t, database, way.addr()).ready()
	ids := createMany(p, 20)
	await(t, "a claim", patience, func() bool { return count(t, database, "SELECT count(*) FROM outbox WHERE claim IS NOT NULL") > 0 })
	begun := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.exit(shutdownLimit); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("the stop took %v", time.Since(begun))

	begun = time.Now()
	serve(t, database, ps.Addr()).ready()
	expectAll(t, ps, ids)
	t.Logf("another replica had sent what was left after %v", time.Since(begun))
}

// A killed replica leaves its leases, which end.
func TestAnotherReplicaTakesOverFromAKilledOne(t *testing.T) {
	t.Parallel()
	database, ps := dbtest.New(t), pubSub(t)
	way := newProxy(t, ps.Addr())
	way.hold(requests)
	victim := serve(t, database, way.addr()).ready()
	id := victim.create("orphan")
	await(t, "a claim", patience, func() bool { return count(t, database, "SELECT count(*) FROM outbox WHERE claim IS NOT NULL") == 1 })
	heir := serve(t, database, ps.Addr()).ready()
	victim.signal(syscall.SIGKILL)
	killed := time.Now()
	victim.exit(patience)
	await(t, "the event", 11*time.Second, func() bool { return len(published(ps, id)) == 1 })
	t.Logf("taken over after %v", time.Since(killed))
	heir.create("next")
}

// PostgreSQL stands still, with requests in the middle of their statements.
func TestStopWhilePostgresHangs(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("finds PostgreSQL's processes in /proc")
	}
	pg := dbtest.NewServer(t)
	p := serve(t, pg.URL(), pubSub(t).Addr()).ready()
	id := p.create("stuck")
	freeze(t, pg.Pid())
	finished := make(chan answer, 1)
	go func() { finished <- p.call(http.MethodGet, "/clusters/"+id, "") }()
	if a := p.probe("/health"); a.status != http.StatusServiceUnavailable || a.took > 2*time.Second {
		t.Errorf("/health: %d after %v", a.status, a.took)
	}
	begun := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.exit(shutdownLimit); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// A statement is given up after 11 s. To close its connection as well could take 15 s more.
	took := time.Since(begun)
	if took > 18*time.Second {
		t.Errorf("the stop took %v", took)
	}
	t.Logf("the stop took %v", took)
	if a := <-finished; a.status != http.StatusServiceUnavailable {
		t.Errorf("the request in flight: %d %s %v", a.status, a.body, a.err)
	}
}

// freeze stops a process and its children until the test ends. The process goes first, so that
// it has no more children afterwards; a child that has just ended is none.
func freeze(t *testing.T, pid int) {
	t.Helper()
	stop := func(pid int) {
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		if err := syscall.Kill(pid, syscall.SIGSTOP); !errors.Is(err, syscall.ESRCH) {
			must(t, err)
		}
	}
	stop(pid)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	children := 0
	for _, file := range stats {
		text, _ := os.ReadFile(file) // may be gone by now
		_, after, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			must(t, err)
			stop(child)
			children++
		}
	}
	if children < 2 {
		t.Fatalf("only %d children are PostgreSQL's", children)
	}
}
