package wire_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/test/wire"
)

// TestDo: a server takes what goes over the wire, a body or none, and one connection carries all of it.
func TestDo(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, r.Method, " ", r.URL, " ", r.Header.Get("X-User-Email"), " ", r.Header.Get("Content-Type"), " ", string(body), " ", r.RemoteAddr)
	}))
	defer server.Close()
	c, err := wire.Dial(t.Context(), server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	remote := ""
	for _, r := range []struct{ method, body, want string }{
		{http.MethodGet, "", "GET /a?b=c me@example.com  "},
		{http.MethodPut, `{"d":1}`, `PUT /a?b=c me@example.com application/json {"d":1}`},
	} {
		var body []byte
		if r.body != "" {
			body = []byte(r.body)
		}
		answer, err := c.Do(wire.Request(r.method, "/a?b=c", "me@example.com", body), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		got := string(answer.Body)
		at := strings.LastIndex(got, " ")
		if got[:at] != r.want || answer.Status != http.StatusTeapot || answer.Header.Get("Retry-After") != "3" {
			t.Errorf("answered %d %v %q, want %q", answer.Status, answer.Header, got[:at], r.want)
		}
		if remote != "" && got[at:] != remote {
			t.Error("the second request came on another connection")
		}
		remote = got[at:]
	}
}

// TestDoGivesUp: an answer that does not come is an error, in time.
func TestDoGivesUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c, err := wire.Dial(t.Context(), server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do(wire.Request(http.MethodGet, "/", "me@example.com", nil), 50*time.Millisecond); err == nil {
		t.Error("no error")
	}
}
