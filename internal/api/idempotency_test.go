package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/models"
)

// once is the header of a call with a key.
func once(key string) http.Header { return http.Header{"Idempotency-Key": {key}} }

// post declares a resource of somebody's under a key.
func (c collection) post(as, key, body string) reply {
	c.t.Helper()
	return c.do(call{method: http.MethodPost, path: c.path, as: as, body: c.body(body), header: once(key)})
}

// made counts the resources of the kind and their events, but not the cluster of node pools.
func (c collection) made() (rows, events int) {
	c.t.Helper()
	err := c.pool.QueryRow(c.t.Context(), `SELECT (SELECT count(*) FROM `+string(c.kind)+`s WHERE id::text <> $1),
		(SELECT count(*) FROM outbox WHERE kind = $2 AND resource_id::text <> $1)`, c.home, string(c.kind)).Scan(&rows, &events)
	if err != nil {
		c.t.Fatal(err)
	}
	return rows, events
}

// holds checks that there are n resources, with an event each.
func (c collection) holds(n int) {
	c.t.Helper()
	if rows, events := c.made(); rows != n || events != n {
		c.t.Errorf("%d rows and %d events, want %d", rows, events, n)
	}
}

// same checks that two calls were given one answer.
func same(t testing.TB, first, again reply) {
	t.Helper()
	for _, name := range []string{"ETag", "Location", "Content-Type"} {
		if first.header.Get(name) != again.header.Get(name) {
			t.Errorf("%s %q, and before %q", name, again.header.Get(name), first.header.Get(name))
		}
	}
	if first.status != again.status || first.body != again.body {
		t.Errorf("answered %d %s, and before %d %s", again.status, again.body, first.status, first.body)
	}
}

// A key that comes again with the same body gets the answer that it got, byte for byte, whatever
// has become of the resource.
func TestIdempotency_TheSameAnswerAgain(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		first := of.post(ada, "k", `{"name":"one","spec":{"a":1,"b":[1.5,"x"]}}`).is(201)
		for _, body := range []string{
			`{"name":"one","spec":{"a":1,"b":[1.5,"x"]}}`, `{ "spec": {"b": [15e-1, "\u0078"], "a": 1.0}, "name": "\u006fne" }`,
		} {
			same(of.t, first, of.post(ada, "k", body))
		}
		path := of.path + "/" + into[resource](first).ID
		of.do(call{method: "PUT", path: path, as: ada, body: `{"spec":{"a":2}}`}).is(200)
		same(of.t, first, of.post(ada, "k", `{"name":"one","spec":{"a":1,"b":[1.5,"x"]}}`))
		of.do(call{method: "DELETE", path: path, as: ada}).is(202)
		same(of.t, first, of.post(ada, "k", `{"name":"one","spec":{"a":1,"b":[1.5,"x"]}}`))
		if rows, _ := of.made(); rows != 1 {
			of.t.Errorf("%d rows", rows)
		}
	})
}

func TestIdempotency_AnotherBodyIsRefused(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		of.post(ada, "k", `{"name":"one","spec":{"a":1}}`).is(201)
		for _, body := range []string{`{"name":"two","spec":{"a":1}}`, `{"name":"one","spec":{"a":"1"}}`, `{"name":"one"}`, `{"name":"one","spec":{"a":1},"labels":{}}`} {
			of.post(ada, "k", body).failsAt(v1.CodeIdempotencyKeyReused, "Idempotency-Key")
		}
		of.holds(1)
	})
}

// Who calls, where, and with which key: each makes another call of it.
func TestIdempotency_TheScopeOfAKey(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	in := of.collection(models.KindCluster, ada)
	mine := into[resource](in.post(ada, "k", `{"name":"one"}`).is(201))
	his := into[resource](in.post(bob, "k", `{"name":"one"}`).is(201))
	other := into[resource](in.post(ada, "K", `{"name":"two"}`).is(201))
	pool := into[resource](of.post(ada, "k", `{"name":"one"}`).is(201))
	ids := map[string]bool{mine.ID: true, his.ID: true, other.ID: true, pool.ID: true}
	if len(ids) != 4 || his.CreatedBy != bob {
		t.Errorf("%d resources, bob's is %s's", len(ids), his.CreatedBy)
	}
}

// What was refused may be tried again under its key, mended or not.
func TestIdempotency_AFailureLeavesTheKey(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		of.declare(ada, `{"name":"taken"}`)
		of.post(ada, "k", `{"name":"taken"}`).fails(of.nameExists)
		of.post(ada, "k", `{"name":"NOT A NAME"}`).fails(v1.CodeInvalidField)
		of.post(ada, "k", `{`).fails(v1.CodeInvalidJSON)
		of.post(controller, "k", `{"name":"one"}`).fails(v1.CodeForbidden)
		if n := of.count("idempotency_keys"); n != 0 {
			of.t.Errorf("%d keys are kept", n)
		}
		same(of.t, of.post(ada, "k", `{"name":"one"}`).is(201), of.post(ada, "k", `{"name":"one"}`))
		of.holds(2)
	})
}

func TestIdempotency_AnOldKeyIsNew(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindCluster, ada)
	age := func(d time.Duration) {
		t.Helper()
		if _, err := of.pool.Exec(t.Context(), `UPDATE idempotency_keys SET created_at = created_at - $1::interval`, d); err != nil {
			t.Fatal(err)
		}
	}
	first := of.post(ada, "k", `{"name":"one"}`).is(201)
	age(models.KeyRetention - time.Minute)
	same(t, first, of.post(ada, "k", `{"name":"one"}`))
	age(2 * time.Minute)
	second := of.post(ada, "k", `{"name":"two"}`).is(201)
	same(t, second, of.post(ada, "k", `{"name":"two"}`))
	of.post(ada, "k", `{"name":"one"}`).fails(v1.CodeIdempotencyKeyReused)
	of.holds(2)

	db := openDB(t, of.pool.Config().ConnString(), 1)
	if n, err := db.PurgeKeys(t.Context(), models.KeyRetention, 10); n != 0 || err != nil {
		t.Errorf("purged %d young keys, %v", n, err)
	}
	age(25 * time.Hour)
	of.post(bob, "k", `{"name":"one"}`).is(201)
	if n, err := db.PurgeKeys(t.Context(), models.KeyRetention, 10); n != 1 || err != nil || of.count("idempotency_keys") != 1 {
		t.Errorf("purged %d, %v; %d are left", n, err, of.count("idempotency_keys"))
	}
}

func TestIdempotency_KeysThatAreNone(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		for why, keys := range map[string][]string{
			"empty": {""}, "too long": {strings.Repeat("k", 256)}, "a control character": {"a\tb"}, "no ASCII": {"schlüssel"},
			"two": {"a", "b"}, "the same twice": {"a", "a"},
		} {
			r := of.do(call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"one"}`), header: http.Header{"Idempotency-Key": keys}})
			of.t.Log(why)
			r.failsAt(v1.CodeInvalidField, "Idempotency-Key")
		}
		of.holds(0)
		of.post(ada, strings.Repeat("~", 255), `{"name":"one"}`).is(201)
		of.post(ada, `"a key", in quotes`, `{"name":"two"}`).is(201)
	})
}

// A dry run says what the call would do, and leaves the key for it.
func TestIdempotency_ADryRunHasNoKey(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		dry := call{method: "POST", path: of.path + "?dry_run=true", as: ada, header: once("k")}
		dry.body = of.body(`{"name":"one"}`)
		of.do(dry).is(201)
		of.holds(0)
		first := of.post(ada, "k", `{"name":"two"}`).is(201)
		if got := into[resource](of.do(dry).is(201)); got.Name != "one" {
			of.t.Errorf("a dry run answered what is kept: %+v", got)
		}
		same(of.t, first, of.post(ada, "k", `{"name":"two"}`))
		of.holds(1)
	})
}

// What is kept is what was answered: no secret for who sees none.
func TestIdempotency_KeptAnswersHoldNoSecret(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		body := `{"name":"one","spec":{"serviceAccountSigningKey":"s3cret","credentials":{"token":"t0ken","user":"u"}}}`
		first := of.post(ada, "k", body).is(201)
		same(of.t, first, of.post(ada, "k", body))
		var kept string
		if err := of.pool.QueryRow(of.t.Context(), `SELECT k::text || convert_from(body, 'UTF8') FROM idempotency_keys k`).Scan(&kept); err != nil {
			of.t.Fatal(err)
		}
		for _, text := range []string{kept, first.body, of.logs.String()} {
			if strings.Contains(text, "s3cret") || strings.Contains(text, "t0ken") {
				of.t.Errorf("a secret: %s", text)
			}
		}
	})
}

// A second call waits for the first, and sees how that ends.
func TestIdempotency_TheSecondWaits(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindCluster, ada)
	for name, commit := range map[string]bool{"taken": true, "given-back": false} {
		release := of.take(t, name, commit)
		done := make(chan reply, 1)
		go func() { done <- of.post(ada, name, `{"name":"`+name+`"}`) }()
		of.awaitWaiters(t, 1)
		select {
		case r := <-done:
			t.Fatalf("answered %d while the first call was under way", r.status)
		default:
		}
		release()
		if r := <-done; commit {
			r.fails(v1.CodeIdempotencyKeyReused) // The first had another body.
		} else {
			r.is(201)
		}
	}
	of.holds(1)
}

// After ten seconds it is told to come again. Whoever holds the key meanwhile costs no more.
func TestIdempotency_TheSecondWaitsTenSeconds(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindCluster, ada)
	release := of.take(t, "k", false)
	began := time.Now()
	r := of.post(ada, "k", `{"name":"one"}`)
	r.fails(v1.CodeRequestInFlight)
	if took := time.Since(began); took < 10*time.Second || took > 15*time.Second {
		t.Errorf("after %v", took)
	}
	if after, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || after < 1 {
		t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
	}
	release()
	of.post(ada, "k", `{"name":"one"}`).is(201)
	of.holds(1)
}

// A first call that holds more than the key, while what it needs is locked, fails as any other does.
func TestIdempotency_ALockThatIsNotTheKeys(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	tx, err := of.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM clusters WHERE id = $1 FOR UPDATE`, of.home); err != nil {
		t.Fatal(err)
	}
	of.post(ada, "k", `{"name":"one"}`).fails(v1.CodeUnavailable)
}

// take holds a key as a call that is under way does, with another body.
func (c collection) take(t *testing.T, key string, commit bool) (release func()) {
	t.Helper()
	tx, err := c.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k, err := models.NewKey(models.Actor{Email: ada}, c.path, key, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = tx.Exec(t.Context(), `INSERT INTO idempotency_keys (identity, route, key, request) VALUES ($1, $2, $3, $4)`,
		k.Identity, k.Route, k.Key, k.Request[:])
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if commit {
			err = tx.Commit(t.Context())
		} else {
			err = tx.Rollback(t.Context())
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// awaitWaiters returns once so many sessions wait for a lock.
func (c collection) awaitWaiters(t *testing.T, n int) {
	t.Helper()
	awaitIt(t, "sessions that wait", func() bool {
		var waiting int
		err := c.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		return waiting >= n
	})
}

// awaitIt polls for what another goroutine or process does.
func awaitIt(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !yes(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func openDB(t testing.TB, url string, conns int32) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{URL: url, MaxOpenConns: conns})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// on returns a backend on a database that is there.
func on(t *testing.T, url string, conns int32, change ...func(*api.Options)) *backend {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return newBackendOn(t, openDB(t, url, conns), pool, change...)
}

// outcome is what a client has of a call over the network.
type outcome struct {
	status     int
	body       string
	retryAfter string
}

// send makes a POST with a key over the network.
func send(client *http.Client, url, key, body string) (outcome, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return outcome{}, err
	}
	maps.Copy(req.Header, http.Header{"X-User-Email": {ada}, "Content-Type": {"application/json"}, "Idempotency-Key": {key}})
	res, err := client.Do(req)
	if err != nil {
		return outcome{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return outcome{res.StatusCode, string(text), res.Header.Get("Retry-After")}, err
}

// A thousand clients send the same under one key, each in its own spelling, to a server that has
// just started, over 25 connections to PostgreSQL. They come again when they are told to.
func TestIdempotency_AThousandClients(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		kind models.Kind
		// hangs says that another call has the key at first, until somebody has been told to come again.
		hangs bool
		limit time.Duration
	}{
		"clusters":                        {kind: models.KindCluster, limit: 10 * time.Second},
		"node pools":                      {kind: models.KindNodePool, limit: 10 * time.Second},
		"clusters, while a call has hung": {kind: models.KindCluster, hangs: true, limit: 25 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind, url := row.kind, dbtest.New(t)
			release := func() {}
			home := on(t, url, 4).collection(kind, ada)
			of := home
			of.backend = on(t, url, 25)
			server := httptest.NewServer(of.server)
			t.Cleanup(server.Close)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}, Timeout: time.Minute}
			t.Cleanup(client.CloseIdleConnections)
			const n = 1000
			if row.hangs {
				release = of.take(t, "k", false)
			}
			var told atomic.Int64
			var toldOne sync.Once
			answers := make([]outcome, n)
			began := time.Now()
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					body := of.body(`{"name":"one",` + strings.Repeat(" ", i) + `"spec":{"n":1.` + strings.Repeat("0", i%20) + `0}}`)
					for {
						got, err := send(client, server.URL+of.path, "k", body)
						if err != nil {
							t.Error(err)
							return
						}
						answers[i] = got
						if got.status != http.StatusConflict {
							return
						}
						told.Add(1)
						toldOne.Do(release)
						seconds, err := strconv.Atoi(got.retryAfter)
						if err != nil {
							t.Errorf("Retry-After: %v", err)
							return
						}
						<-time.After(time.Duration(seconds) * time.Second)
					}
				})
			}
			all.Wait()
			took := time.Since(began)
			t.Logf("%d answers after %v, %d of them to come again", n, took, told.Load())
			for i, got := range answers {
				if got.status != http.StatusCreated || got.body != answers[0].body {
					t.Fatalf("client %d got %d %s, client 0 %d %s", i, got.status, got.body, answers[0].status, answers[0].body)
				}
			}
			if took > row.limit || row.hangs == (told.Load() == 0) {
				t.Errorf("it took %v; %d were told to come again", took, told.Load())
			}
			of.holds(1)
		})
	}
}

// unansweredEnv makes the test binary a server; it holds the URL of its database. With "die" behind
// that it kills itself when a POST is done, before the first byte of the answer.
const unansweredEnv = "CLS_TEST_UNANSWERED"

// TestIdempotencyServer is that server.
func TestIdempotencyServer(t *testing.T) {
	t.Parallel()
	url, die, ok := strings.Cut(os.Getenv(unansweredEnv), " ")
	if !ok {
		return // Run as a test of its own it has nothing to say.
	}
	b := on(t, url, 4)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && die == "die" {
			w = deadly{w}
		}
		b.server.ServeHTTP(w, r)
	}))
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// deadly kills its process instead of answering.
type deadly struct{ http.ResponseWriter }

func (deadly) WriteHeader(int) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // Until the kernel has done it.
}

func (d deadly) Write([]byte) (int, error) {
	d.WriteHeader(0)
	return 0, nil
}

// startServer starts such a server and returns where it listens.
func startServer(t *testing.T, url, die string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestIdempotencyServer$")
	cmd.Env = append(os.Environ(), unansweredEnv+"="+url+" "+die)
	if _, err := cmd.StdinPipe(); err != nil { // Never written to: the server ends with this process.
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	return cmd, strings.TrimSpace(line)
}

// A process is killed between the commit and the answer. The client, which knows of neither, asks
// another one and is answered.
func TestIdempotency_KilledBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t.(*testing.T)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
		for kill := range 3 {
			key, body := fmt.Sprint("k-", kill), of.body(fmt.Sprintf(`{"name":"c%d"}`, kill))
			dying, at := startServer(t, of.pool.Config().ConnString(), "die")
			if got, err := send(client, at+of.path, key, body); err == nil {
				t.Fatalf("answered %d %s", got.status, got.body)
			}
			_ = dying.Wait()
			if status, ok := dying.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the server was to be killed: %v", dying.ProcessState)
			}
			of.holds(kill + 1) // It was committed.
			fresh, at := startServer(t, of.pool.Config().ConnString(), "")
			first, err := send(client, at+of.path, key, body)
			if err != nil || first.status != http.StatusCreated {
				t.Fatalf("again: %d %s, %v", first.status, first.body, err)
			}
			again, err := send(client, at+of.path, key, body)
			if err != nil || again != first {
				t.Errorf("and again: %+v, %v; before %+v", again, err, first)
			}
			var made resource
			if err := json.Unmarshal([]byte(first.body), &made); err != nil || of.get(ada, of.path+"/"+made.ID).status != 200 {
				t.Errorf("answered %s, %v", first.body, err)
			}
			of.holds(kill + 1)
			if err := fresh.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = fresh.Wait()
		}
	})
}
