package app_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func showEnvironment(t *testing.T) {
	t.Helper()
	var info v1.Info
	newWorld(t, "ENVIRONMENT=staging").call(http.MethodGet, "/api/v1/info", "", "", &info)
	want := v1.Info{Service: "cls-backend", Version: "v1.2.3", GitCommit: "abc", BuildTime: "today", APIVersion: "v1", Environment: "staging"}
	if info != want {
		t.Errorf("got %+v", info)
	}
}

func showAddresses(t *testing.T) {
	t.Helper()
	host := "127.0.0.2"
	if runtime.GOOS != "linux" {
		host = "127.0.0.1" // elsewhere loopback is one address
	}
	port, metrics := freePort(t), freePort(t)
	w := newWorld(t, "HOST="+host, "PORT="+port, "METRICS_PORT="+metrics)
	if w.at.API != net.JoinHostPort(host, port) || w.at.Metrics != net.JoinHostPort(host, metrics) {
		t.Errorf("it says that it listens at %+v", w.at)
	}
	w.send(http.MethodGet, "/livez", "").expect(t, http.StatusOK, "ok")
	if text := w.scrape(); !strings.Contains(text, "cls_build_info") {
		t.Errorf("no metrics: %.200s", text)
	}
}

// dial opens a connection and sends a text.
func (w *world) dial(text string) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.at.API)
	must(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	must(w.t, conn.SetDeadline(time.Now().Add(10*time.Second))) // below the defaults of the timeouts
	_, err = io.WriteString(conn, text)
	must(w.t, err)
	return conn
}

// expectEnd reads until the service closes the connection.
func expectEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	var timeout net.Error
	if text, err := io.ReadAll(conn); errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the connection is still open after %q", text)
	}
}

func showReadTimeout(t *testing.T) {
	t.Helper()
	w := newWorld(t, "SERVER_READ_TIMEOUT=100ms")
	expectEnd(t, w.dial("POST /api/v1/clusters HTTP/1.1\r\nHost: x\r\n"))
	expectEnd(t, w.dial("POST /api/v1/clusters HTTP/1.1\r\nHost: x\r\nX-User-Email: "+user+
		"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"))
}

func showWriteTimeout(t *testing.T) {
	t.Helper()
	w := newWorld(t, "SERVER_WRITE_TIMEOUT=1s")
	id := w.create("locked", `{}`).ID
	release := w.lock(id)
	defer release()
	a := w.send(http.MethodPost, "/api/v1/clusters/"+id+"/reconcile", "", as(user)...)
	a.expect(t, http.StatusServiceUnavailable, "UNAVAILABLE") // in time to say so
	if a.took > 5*time.Second {
		t.Errorf("answered after %v", a.took)
	}
}

func showServerIdleTimeout(t *testing.T) {
	t.Helper()
	w := newWorld(t, "SERVER_IDLE_TIMEOUT=100ms")
	conn := w.dial("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	must(t, err)
	must(t, res.Body.Close())
	expectEnd(t, conn)
}

func showShutdownTimeout(t *testing.T) {
	t.Helper()
	w := newWorld(t, "SERVER_SHUTDOWN_TIMEOUT=1s")
	id := w.create("locked", `{}`).ID
	release := w.lock(id)
	defer release()
	conn := w.dial("POST /api/v1/clusters/" + id + "/reconcile HTTP/1.1\r\nHost: x\r\nX-User-Email: " + user + "\r\n\r\n")
	await(t, "a request that hangs", func() bool { return w.sessions("wait_event_type = 'Lock'") == 1 })
	begun := time.Now()
	_ = w.end() // it cannot drain: only how long that takes matters
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	expectEnd(t, conn)
}

func showMaxBody(t *testing.T) {
	t.Helper()
	w := newWorld(t, "SERVER_MAX_BODY_BYTES=100")
	body := `{"name":"big","description":"` + strings.Repeat("x", 100) + `"}`
	w.send(http.MethodPost, "/api/v1/clusters", body, as(user)...).expect(t, http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE")
	w.create("small", `{}`)
}

func showAuthMode(t *testing.T) {
	t.Helper()
	showNoAuthentication(t, "AUTH_MODE=disabled")
}

func showDisableAuth(t *testing.T) {
	t.Helper()
	showNoAuthentication(t, "DISABLE_AUTH=true")
}

func showNoAuthentication(t *testing.T, setting string) {
	t.Helper()
	newWorld(t).send(http.MethodGet, "/api/v1/clusters", "").expect(t, http.StatusUnauthorized, "AUTH_REQUIRED")
	w := newWorld(t, setting)
	w.send(http.MethodPost, "/api/v1/clusters", `{"name":"mine","spec":{}}`).expect(t, http.StatusCreated, "developer@localhost")
	if !strings.Contains(w.log.String(), "authentication is disabled") {
		t.Error("the log does not say so")
	}
}

const list = "/api/v1/clusters"

func showProxies(t *testing.T) {
	t.Helper()
	w := newWorld(t, "AUTH_TRUSTED_PROXIES=192.0.2.0/24", "AUTH_PROXY_SECRET=open-sesame")
	w.send(http.MethodGet, list, "", as(user)...).expect(t, http.StatusUnauthorized, "UNTRUSTED_PROXY")
	w.send(http.MethodGet, list, "", append(as(user), "X-Proxy-Secret", "open-barley")...).expect(t, http.StatusUnauthorized, "UNTRUSTED_PROXY")
	w.send(http.MethodGet, list, "", append(as(user), "X-Proxy-Secret", "open-sesame")...).expect(t, http.StatusOK, "clusters")
	if strings.Contains(w.log.String(), "open-sesame") {
		t.Error("the secret is in the log")
	}
}

// expectSees says whether somebody sees a cluster of the user's.
func (w *world) expectSees(id string, want bool, headers ...string) {
	w.t.Helper()
	status := http.StatusNotFound
	if want {
		status = http.StatusOK
	}
	w.send(http.MethodGet, list+"/"+id, "", headers...).expect(w.t, status, "")
}

func showRoles(t *testing.T) {
	t.Helper()
	const other = "bob@example.com"
	w := newWorld(t, "AUTH_TRUST_ROLES=true")
	id := w.create("one", `{}`).ID
	w.expectSees(id, false, as(other)...)
	w.expectSees(id, true, append(as(other), "X-User-Roles", "viewer, admin")...)
	strict := newWorld(t)
	strict.expectSees(strict.create("one", `{}`).ID, false, append(as(other), "X-User-Roles", "admin")...)
}

func showControllers(t *testing.T) {
	t.Helper()
	w := newWorld(t, "AUTH_TRUSTED_PROXIES=192.0.2.0/24", "AUTH_PROXY_SECRET=gw",
		"CONTROLLER_NETWORKS=127.0.0.0/8", "CONTROLLER_IDENTITIES=bot@x.example=dns")
	made := w.send(http.MethodPost, list, `{"name":"one","spec":{}}`, append(as(user), "X-Proxy-Secret", "gw")...)
	made.expect(t, http.StatusCreated, "one")
	status := made.header.Get("Location") + "/status"
	report := func(name string) string {
		return `{"controller_name":"` + name + `","conditions":[{"type":"Available","status":"True"}]}`
	}
	w.send(http.MethodPut, status, report("dns"), as("bot@x.example")...).expect(t, http.StatusOK, `"applied":true`)
	w.send(http.MethodPut, status, report("net"), as("bot@x.example")...).expect(t, http.StatusForbidden, "FORBIDDEN")
	w.send(http.MethodPut, status, report("dns"), as(robot)...).expect(t, http.StatusUnauthorized, "UNTRUSTED_PROXY")
	w.send(http.MethodGet, list, "", as(user)...).expect(t, http.StatusUnauthorized, "UNTRUSTED_PROXY")
}

func showAdmins(t *testing.T) {
	t.Helper()
	w := newWorld(t, "ADMIN_IDENTITIES=root@example.com")
	id := w.create("one", `{}`).ID
	w.expectSees(id, false, as("bob@example.com")...)
	w.expectSees(id, true, as("root@example.com")...)
}

func showCORS(t *testing.T) {
	t.Helper()
	const origin = "https://console.example.com"
	allowed := func(w *world, origin string) string {
		return w.send(http.MethodOptions, list, "", "Origin", origin, "Access-Control-Request-Method", "POST").
			header.Get("Access-Control-Allow-Origin")
	}
	w := newWorld(t, "CORS_ALLOWED_ORIGINS="+origin)
	if got := allowed(w, origin); got != origin {
		t.Errorf("%s is answered %q", origin, got)
	}
	if got := allowed(w, "https://evil.example.com"); got != "" {
		t.Errorf("another origin is answered %q", got)
	}
	if got := allowed(newWorld(t), origin); got != "" {
		t.Errorf("without the setting: %q", got)
	}
}
