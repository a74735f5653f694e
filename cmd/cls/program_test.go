package main

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/mail"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
)

// before is a server before a backend, which serve passes requests on to.
func before(t *testing.T, b *clstest.Backend, serve func(w http.ResponseWriter, r *http.Request, on http.Handler)) string {
	t.Helper()
	to, err := url.Parse(b.URL())
	must(t, err)
	on := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, on) }))
	t.Cleanup(front.Close)
	return front.URL
}

// execute runs the program with an environment and no configuration, and returns what it says and the code that it ends with.
func execute(t *testing.T, env []string, in string, args ...string) (string, int) {
	t.Helper()
	cls := exec.Command(build(t)+"/cls", args...)
	cls.Env, cls.Stdin = slices.Concat(env, []string{"CLS_CONFIG=" + t.TempDir() + "/config"}), strings.NewReader(in)
	out, err := cls.CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return string(out), cls.ProcessState.ExitCode()
}

// TestCreateMayBeRepeated loses the answer to a creation that was carried out: the program asks again, and there is one cluster.
func TestCreateMayBeRepeated(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	var posts atomic.Int64
	front := before(t, b, func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		if r.Method == http.MethodPost && posts.Add(1) == 1 {
			on.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		on.ServeHTTP(w, r)
	})
	env := []string{"CLS_URL=" + front, "CLS_IDENTITY=" + clstest.User}
	if out, code := execute(t, env, "", "create", "cluster", "once"); code != 0 || out != "cluster/once created\n" {
		t.Fatalf("it ended with %d: %s", code, out)
	}
	l, err := b.Client(clstest.User).ListClusters(t.Context(), client.ListOptions{})
	must(t, err)
	if posts.Load() != 2 || len(l.Clusters) != 1 {
		t.Errorf("%d tries made %d clusters", posts.Load(), len(l.Clusters))
	}
}

// TestWhomATokenStandsFor: an administrator who is known by a token alone, and applies a document by its name, changes nobody
// else's cluster.
func TestWhomATokenStandsFor(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	theirs := b.Create("hello", `{"whose":"theirs"}`)
	gateway := before(t, b, func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		if r.Header.Get("Authorization") == "Bearer s3cret" {
			r.Header.Set("X-User-Email", clstest.Admin)
		}
		on.ServeHTTP(w, r)
	})
	env := []string{"CLS_URL=" + gateway, "CLS_TOKEN=s3cret"}
	const document = `{"name":"hello","spec":{"whose":"mine"}}`
	for _, want := range []string{"cluster/hello created\n", "cluster/hello unchanged\n"} {
		if out, code := execute(t, env, document, "apply", "-f", "-"); code != 0 || out != want {
			t.Errorf("it ended with %d: %s, want %s", code, out, want)
		}
	}
	if c, err := b.Client(clstest.Admin).GetCluster(t.Context(), theirs.ID); err != nil || c.Generation != 1 {
		t.Errorf("the other's is %+v: %v", c, err)
	}
}

// TestAnIDIsAskedForOnce: an id that is unknown is no beginning of one, for which every page would be read.
func TestAnIDIsAskedForOnce(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	var mu sync.Mutex
	var asked []string
	front := before(t, b, func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		mu.Lock()
		asked = append(asked, r.URL.RequestURI())
		mu.Unlock()
		on.ServeHTTP(w, r)
	})
	env := []string{"CLS_URL=" + front, "CLS_IDENTITY=" + clstest.User}
	out, code := execute(t, env, "", "get", "cluster", "019a5b0e-6a1c-7c3e-9d3c-0f0f4a5a7d11")
	if code != exitFailed || len(asked) != 2 {
		t.Errorf("it ended with %d: %s\nafter it had asked for %q", code, out, asked)
	}
}

// TestLateAnswerIsTold: whoever waits for a service that hangs is told so before it is given up.
func TestLateAnswerIsTold(t *testing.T) {
	t.Parallel()
	told := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-told:
		case <-r.Context().Done():
		}
		_, _ = w.Write([]byte(`{"clusters":[],"total":0,"limit":100,"offset":0}`))
	}))
	t.Cleanup(slow.Close)
	cls := exec.Command(build(t)+"/cls", "get", "clusters", "-o", "name")
	cls.Env = []string{"CLS_URL=" + slow.URL, "CLS_CONFIG=" + t.TempDir() + "/config"}
	says, err := cls.StderrPipe()
	must(t, err)
	must(t, cls.Start())
	line, err := bufio.NewReader(says).ReadString('\n')
	close(told)
	if err != nil || line != "the service at "+slow.URL+" has not answered yet\n" {
		t.Errorf("it says %q: %v", line, err)
	}
	if err := cls.Wait(); err != nil {
		t.Error(err)
	}
}

// TestWatchOutlivesAFailure: while the names of clusters cannot be had, node pools are watched on.
func TestWatchOutlivesAFailure(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	home := b.Create("home", `{}`)
	b.CreateNodePool(home.ID, "workers", `{}`)
	var tries atomic.Int64
	front := before(t, b, func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/api/v1/clusters") && tries.Add(1) <= tries503 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		on.ServeHTTP(w, r)
	})
	cls := exec.CommandContext(t.Context(), build(t)+"/cls", "watch", "nodepools", "--interval=10ms")
	cls.Env = []string{"CLS_URL=" + front, "CLS_IDENTITY=" + clstest.User, "CLS_CONFIG=" + t.TempDir() + "/config"}
	shows, err := cls.StdoutPipe()
	must(t, err)
	must(t, cls.Start())
	rows := bufio.NewScanner(shows)
	for rows.Scan() && !strings.HasPrefix(rows.Text(), "home ") {
	}
	must(t, cls.Process.Signal(os.Interrupt))
	if err := cls.Wait(); err != nil || tries.Load() != tries503+1 {
		t.Errorf("it ended with %v after %d tries; the last row was %q", err, tries.Load(), rows.Text())
	}
}

// tries503 is more often than the program repeats a call by itself.
const tries503 = tries + 1

// TestTokenStaysAtItsAddress sends the token of a context to the context's address, and neither to another that a flag names nor to
// where that address redirects to.
func TestTokenStaysAtItsAddress(t *testing.T) {
	t.Parallel()
	bin, home := build(t), t.TempDir()
	seen := make(chan http.Header, 10)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(elsewhere.Close)
	t.Cleanup(own.Close)
	cls := func(in string, args ...string) {
		cmd := exec.Command(bin+"/cls", args...)
		cmd.Env, cmd.Stdin = []string{"CLS_CONFIG=" + home + "/config", "USER=jo"}, strings.NewReader(in)
		_ = cmd.Run() // What it is answered is no list.
	}
	cls("s3cret\n", "config", "set-context", "own", "--url", own.URL, "--token-stdin")
	cls("", "get", "clusters")
	if got := (<-seen).Get("Authorization"); got != "Bearer s3cret" {
		t.Errorf("its own address was sent %q", got)
	}
	if len(seen) != 0 {
		t.Errorf("a redirect was followed: %v", <-seen)
	}
	cls("", "get", "clusters", "--url", elsewhere.URL)
	if h := <-seen; h.Get("Authorization") != "" || h.Get("X-User-Email") != "jo@localhost" {
		t.Errorf("another address was sent %v", h)
	}
}

// TestWaitOnASilentService: the time is up too where nobody answers at all.
func TestWaitOnASilentService(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	for _, args := range [][]string{{"cluster/hello"}, {"nodepool/hello", "--cluster", "home"}, {"nodepool/hello", "--cluster", "home", "--for=delete"}} {
		out, code := execute(t, []string{"CLS_URL=" + silent.URL}, "", append([]string{"wait", "--timeout=100ms"}, args...)...)
		if code != exitTimeout || !strings.Contains(out, "in vain for "+args[0]) {
			t.Errorf("it ended with %d: %s", code, out)
		}
	}
}

func TestSelfIdentityIsAnAddress(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"jo", "Jo", "", "DOMAIN\\jo", "jo o", "jo.", ".jo", "jöe", "a@b", "-", "_apt"} {
		of := selfIdentity(user)
		if a, err := mail.ParseAddress(of); err != nil || a.Address != of {
			t.Errorf("user %q is %q: %v", user, of, err)
		}
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, row := range []struct {
		ago  time.Duration
		want string
	}{
		{-time.Second, "0s"}, // The clocks of two machines differ.
		{90 * time.Second, "90s"},
		{2 * time.Minute, "2m"},
		{2*time.Hour + 5*time.Minute, "2h5m"},
		{30 * time.Hour, "30h"},
		{49 * time.Hour, "2d"},
	} {
		if got := age(now.Add(-row.ago), now); got != row.want {
			t.Errorf("%v ago is %s, not %s", row.ago, got, row.want)
		}
	}
}

// TestColumnsAlignInColour: escape codes take no room, so that a table is the same without them.
func TestColumnsAlignInColour(t *testing.T) {
	t.Parallel()
	table := table{header: []string{"NAME", "PHASE", "MESSAGE"}}
	table.add("a", "Ready", "x")
	table.add("longer", "Progressing", "y")
	table.add("b", "Nonsense", "z")
	var bare, coloured bytes.Buffer
	must(t, table.write(&bare, false))
	must(t, table.write(&coloured, true))
	text := coloured.String()
	for _, code := range []string{"\x1b[32m", "\x1b[33m", "\x1b[39m", "\x1b[0m"} {
		if !strings.Contains(text, code) {
			t.Errorf("no %q in it", code)
		}
		text = strings.ReplaceAll(text, code, "")
	}
	if text != bare.String() {
		t.Errorf("in colour it is\n%swithout\n%s", text, bare.String())
	}
}
