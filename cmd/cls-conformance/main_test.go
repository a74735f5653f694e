package main

import (
	"bytes"
	"encoding/xml"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cls-backend/cls-backend/clstest"
)

func TestMain(m *testing.M) { clstest.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// front is a proxy before a backend.
func front(t *testing.T, backend string, serve func(http.ResponseWriter, *http.Request, *httputil.ReverseProxy)) string {
	t.Helper()
	to, err := url.Parse(backend)
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, proxy) }))
	t.Cleanup(server.Close)
	return server.URL
}

// forgetful is a front that forgets ETags.
func forgetful(w http.ResponseWriter, r *http.Request, to *httputil.ReverseProxy) {
	to.ModifyResponse = func(r *http.Response) error {
		r.Header.Del("ETag")
		return nil
	}
	to.ServeHTTP(w, r)
}

// gateway is a front that lets nobody in without a token.
func gateway(w http.ResponseWriter, r *http.Request, to *httputil.ReverseProxy) {
	if r.Header.Get("Authorization") != "Bearer s3cret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	to.ServeHTTP(w, r)
}

// silent is one that never answers.
func silent(_ http.ResponseWriter, r *http.Request, _ *httputil.ReverseProxy) { <-r.Context().Done() }

// TestConformance judges our backend, which is as it should be, and one that forgets its ETags, which is an error; in both forms.
func TestConformance(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	broken, gated, hung := front(t, b.URL(), forgetful), front(t, b.URL(), gateway), front(t, b.URL(), silent)
	only := []string{"--only", "api/etag*"}
	for _, row := range []struct {
		why, url string
		env      map[string]string
		args     []string
		want     string // the beginning of the error; "" for none
		says     string
	}{
		{
			"all is kept, events too", b.URL(), nil,
			[]string{"--only", "api/etag*,events/created", "--project", b.PubSub().ProjectID, "--pubsub", b.PubSub().EmulatorHost},
			"", "2 passed, 0 failed, 0 skipped",
		},
		{"a promise is broken", broken, nil, only, "1 of 1 promises are not kept", "FAIL  api/etag"},
		{"for a machine", broken, nil, append([]string{"-o", "junit"}, only...), "1 of 1 promises are not kept", `failures="1"`},
		{"a gateway", gated, map[string]string{"CLS_TOKEN": "s3cret"}, only, "", "1 passed, 0 failed, 0 skipped"},
		{"a gateway, without a token", gated, nil, only, "1 of 1 promises are not kept", "FAIL  api/etag"},
		{"nobody answers", hung, map[string]string{"CLS_REQUEST_TIMEOUT": "50ms"}, only, "the backend cannot be reached", ""},
		{"a limit that is none", b.URL(), map[string]string{"CLS_REQUEST_TIMEOUT": "soon"}, nil, "CLS_REQUEST_TIMEOUT: ", ""},
		{"a form that there is not", b.URL(), nil, []string{"-o", "yaml"}, `a report has no form "yaml": it is table or junit`, ""},
		{"nothing of the name", b.URL(), nil, []string{"--only", "nothing"}, `no check is called "nothing"`, ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"CLS_URL": row.url, "CLS_IDENTITY": clstest.User}
			maps.Copy(env, row.env)
			var out bytes.Buffer
			cmd := command(func(name string) string { return env[name] })
			cmd.SetOut(&out)
			cmd.SetArgs(row.args)
			err := cmd.ExecuteContext(t.Context())
			if row.want == "" != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), row.want) {
				t.Errorf("ended with %v, want %q", err, row.want)
			}
			if !strings.Contains(out.String(), row.says) {
				t.Errorf("says %s, want %s", out.String(), row.says)
			}
			if row.says == `failures="1"` {
				must(t, xml.Unmarshal(out.Bytes(), new(struct{})))
			}
		})
	}
}

// TestClsBecomesIt: cls and this program fit together, side by side, with a context of cls and flags of both.
func TestClsBecomesIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", ".", "../cls").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	b := clstest.NewBackend(t)
	run := func(in string, args ...string) (string, int) {
		cls := exec.Command(filepath.Join(dir, "cls"), args...)
		cls.Env, cls.Stdin = []string{"CLS_CONFIG=" + dir + "/config.yaml", "PATH=" + os.Getenv("PATH")}, strings.NewReader(in)
		out, _ := cls.CombinedOutput()
		return string(out), cls.ProcessState.ExitCode()
	}
	if out, code := run("s3cret", "config", "set-context", "it", "--url", front(t, b.URL(), gateway), "--as", clstest.User, "--token-stdin"); code != 0 {
		t.Fatal(out)
	}
	out, code := run("", "--request-timeout=20s", "conformance", "--only", "api/etag*", "-o", "junit", "--as", clstest.User)
	if code != 0 || !strings.Contains(out, `failures="0"`) {
		t.Errorf("it ended with %d: %s", code, out)
	}
	if out, code := run("", "conformance", "--nonsense"); code != exitFailed || !strings.Contains(out, "error: unknown flag: --nonsense") {
		t.Errorf("it ended with %d: %s", code, out)
	}
}
