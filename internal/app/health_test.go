package app_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/dbtest"
)

// expectHealth asks for the health, which is answered within two seconds and names both
// dependencies whatever is wrong.
func (r *running) expectHealth(status int, overall, database, pubsub string) bool {
	r.t.Helper()
	a := r.send(http.MethodGet, "/health", "")
	var h v1.Health
	must(r.t, json.Unmarshal([]byte(a.body), &h))
	if a.took > 2*time.Second {
		r.t.Errorf("answered after %v", a.took)
	}
	return a.status == status && h.Status == overall && len(h.Components) == 2 &&
		h.Components["database"].Status == database && h.Components["pubsub"].Status == pubsub && !h.Timestamp.IsZero()
}

// The health of Pub/Sub is that of the latest publish: one tells. The API does not mind.
func TestHealthWithoutPubSub(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	await(t, "health", func() bool { return w.expectHealth(http.StatusOK, v1.Healthy, v1.Healthy, v1.Healthy) })
	w.create("before", `{}`)
	await(t, "a publish", func() bool { return len(w.events("")) == 1 })
	w.pubsub.Close()
	w.create("after", `{}`)
	await(t, "the truth", func() bool { return w.expectHealth(http.StatusOK, v1.Degraded, v1.Healthy, v1.Unhealthy) })
	if tries := w.metric(`cls_publish_total{result="retry"`); tries < 1 {
		t.Errorf("after %v failed publishes", tries)
	}
	w.send(http.MethodGet, "/readyz", "").expect(t, http.StatusOK, "ok")
	w.create("still", `{}`)
}

// A constant would be healthy here.
func TestTrap32_HealthWithoutDatabase(t *testing.T) {
	t.Parallel()
	pg := dbtest.NewServer(t)
	r := start(t, configured(t, pg.URL(), pubSub(t).Addr()))
	await(t, "health", func() bool { return r.expectHealth(http.StatusOK, v1.Healthy, v1.Healthy, v1.Healthy) })
	pg.Kill()
	if !r.expectHealth(http.StatusServiceUnavailable, v1.Unhealthy, v1.Unhealthy, v1.Healthy) {
		t.Errorf("/health: %s", r.send(http.MethodGet, "/health", "").body)
	}
	r.send(http.MethodGet, "/readyz", "").expect(t, http.StatusServiceUnavailable, "not ready")
	r.send(http.MethodGet, "/livez", "").expect(t, http.StatusOK, "ok")
	r.send(http.MethodGet, list, "", as(user)...).expect(t, http.StatusServiceUnavailable, "UNAVAILABLE")
	if up := r.metric("cls_backlog_up"); up != 0 {
		t.Errorf("cls_backlog_up is %v", up)
	}
}
