package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/mail"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
)

// TestCreateMayBeRepeated loses the answer to a creation that was carried out: the program asks again, and there is one cluster.
func TestCreateMayBeRepeated(t *testing.T) {
	t.Parallel()
	bin, b := build(t), clstest.NewBackend(t)
	to, err := url.Parse(b.URL())
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	var posts atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && posts.Add(1) == 1 {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	cls := exec.Command(bin+"/cls", "create", "cluster", "once")
	cls.Env = []string{"CLS_URL=" + front.URL, "CLS_IDENTITY=" + clstest.User, "CLS_CONFIG=" + t.TempDir() + "/config"}
	if out, err := cls.CombinedOutput(); err != nil || string(out) != "cluster/once created\n" {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := b.Client(clstest.User).ListClusters(t.Context(), client.ListOptions{})
	must(t, err)
	if posts.Load() != 2 || len(l.Clusters) != 1 {
		t.Errorf("%d tries made %d clusters", posts.Load(), len(l.Clusters))
	}
}

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
	cls := func(in string, args ...string) string {
		cmd := exec.Command(bin+"/cls", args...)
		cmd.Env, cmd.Stdin = []string{"CLS_CONFIG=" + home + "/config", "USER=jo"}, strings.NewReader(in)
		out, _ := cmd.CombinedOutput()
		return string(out)
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

func TestSelfIdentityIsAnAddress(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"jo", "Jo", "", "DOMAIN\\jo", "jo o", "jo.", ".jo", "jöe", "日本", "a@b", "-", "_apt"} {
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
