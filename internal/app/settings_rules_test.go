package app_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/app"
)

func showRedaction(t *testing.T) {
	t.Helper()
	w := newWorld(t, "REDACTED_SPEC_FIELDS=credentials.token")
	c := w.create("one", `{"credentials":{"user":"u","token":"hush"},"serviceAccountSigningKey":"key"}`)
	if spec := string(c.Spec); strings.Contains(spec, "hush") || strings.Contains(spec, "key") || !strings.Contains(spec, `"u"`) {
		t.Errorf("its user gets %s", spec)
	}
	for _, path := range []string{list + "/" + c.ID, list} {
		w.send(http.MethodGet, path, "", as(robot)...).expect(t, http.StatusOK, "hush")
		if a := w.send(http.MethodGet, path, "", as(user)...); strings.Contains(a.body, "hush") {
			t.Errorf("%s: its user gets %s", path, a.body)
		}
	}
	if strings.Contains(w.log.String(), "hush") {
		t.Error("the secret is in the log")
	}
}

func showDefaults(t *testing.T) {
	t.Helper()
	w := newWorld(t, "DEFAULT_CLUSTER_VERSION=4.19.1", "DEFAULT_CHANNEL_GROUP=fast")
	for spec, want := range map[string][]string{
		`{}`:                                 {`"4.19.1"`, `"fast"`},
		`{"release":{"version":"4.20.0"}}`:   {`"4.20.0"`, `"fast"`},
		`{"release":{"channelGroup":"eus"}}`: {`"4.19.1"`, `"eus"`},
	} {
		c := w.create("a"+strings.ToLower(want[1][1:4])+strings.NewReplacer(".", "", `"`, "").Replace(want[0]), spec)
		for _, text := range want {
			if !strings.Contains(string(c.Spec), text) {
				t.Errorf("%s became %s", spec, c.Spec)
			}
		}
	}
	if c := newWorld(t).create("plain", `{"n":1}`); strings.Contains(string(c.Spec), "release") {
		t.Errorf("without the settings it became %s", c.Spec)
	}
}

func showSchemas(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	write("cluster.gcp.json", `{"properties":{"nodes":{"type":"integer"},"pull":{"properties":{"secret":{"pattern":"^x"}}}}}`)
	write("nodepool.gcp.json", `{"required":["size"]}`)
	w := newWorld(t, "SPEC_SCHEMA_DIR="+dir, "REDACTED_SPEC_FIELDS=pull.secret")
	const bad = `{"name":"two","spec":{"platform":{"type":"gcp"},"nodes":"3","pull":{"secret":"hush"}}}`
	a := w.send(http.MethodPost, list, bad, as(user)...)
	a.expect(t, http.StatusBadRequest, `{"field":"spec.nodes","reason":"must be an integer","value":"3"}`)
	a.expect(t, http.StatusBadRequest, `{"field":"spec.pull.secret","reason":"must match the pattern ^x"}`)
	if strings.Contains(a.body+w.log.String(), "hush") {
		t.Errorf("the secret is told: %s", a.body)
	}
	c := w.create("one", `{"platform":{"type":"gcp"},"nodes":3}`)
	w.create("other", `{"platform":{"type":"aws"},"nodes":"3"}`)
	pool := `{"name":"pool","cluster_id":"` + c.ID + `","spec":{"platform":{"type":"gcp"}}}`
	w.send(http.MethodPost, "/api/v1/nodepools", pool, as(user)...).expect(t, http.StatusBadRequest, "spec.size is required")

	write("cluster.GCP.json", `{}`)
	write("cluster.aws.json", `{"type":"int"}`)
	err := app.Run(t.Context(), configured(t, w.database, w.pubsub.Addr(), "SPEC_SCHEMA_DIR="+dir), app.Options{Log: slog.New(slog.DiscardHandler)})
	for _, want := range []string{"SPEC_SCHEMA_DIR=", "cluster.GCP.json: ", "cluster.aws.json#/type "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named by %v", want, err)
		}
	}
	newWorld(t).create("free", `{"platform":{"type":"gcp"},"nodes":"3"}`)
}

// often has a cluster woken every 200 ms, by passes every 20.
func often(env ...string) []string {
	return append([]string{
		"RECONCILIATION_CHECK_INTERVAL=20ms", "RECONCILIATION_ATTENTION_INTERVAL=200ms", "REACTIVE_RECONCILIATION_DEBOUNCE=100ms",
	}, env...)
}

// The service that is switched off runs beside one that is not, for as long.
func showAttention(t *testing.T) {
	t.Helper()
	off := newWorld(t, often("RECONCILIATION_ENABLED=false")...)
	off.create("one", `{}`)
	on := newWorld(t, often()...)
	begun := time.Now()
	on.create("one", `{}`)
	await(t, "wake-ups", func() bool { return on.eventsBecause(v1.ReasonAttention) >= 5 })
	if took := time.Since(begun); took < 4*180*time.Millisecond {
		t.Errorf("five wake-ups came within %v", took)
	}
	if e := on.events(v1.ClusterReconcile)[0]; e.Metadata.Interval != "200ms" || e.Metadata.TriggeredBy != "scheduler" {
		t.Errorf("the event says %+v", e.Metadata)
	}
	if passes, most := on.metric("cls_scheduler_pass_duration_seconds_count"), time.Since(begun).Seconds()/.02+2; passes < 10 || passes > 2*most {
		t.Errorf("%v passes in %v", passes, time.Since(begun))
	}
	if n, passes := len(off.events(v1.ClusterReconcile)), off.metric("cls_scheduler_pass_duration_seconds_count"); n != 0 || passes != 0 {
		t.Errorf("switched off: %d wake-ups in %v passes", n, passes)
	}
}

func showStable(t *testing.T) {
	t.Helper()
	w := newWorld(t, often("RECONCILIATION_STABLE_INTERVAL=300ms", "RECONCILIATION_ATTENTION_AGE=0s", "REACTIVE_RECONCILIATION_ENABLED=false")...)
	id := w.create("one", `{}`).ID
	w.report(id, "True")
	await(t, "stable wake-ups", func() bool { return w.eventsBecause(v1.ReasonStable) >= 3 })
	for _, e := range w.events(v1.ClusterReconcile) {
		if e.Reason == v1.ReasonStable && e.Metadata.Interval != "300ms" {
			t.Errorf("the event says %+v", e.Metadata)
		}
	}
}

func showReactive(t *testing.T) {
	t.Helper()
	w := newWorld(t, "REACTIVE_RECONCILIATION_DEBOUNCE=50ms", "RECONCILIATION_CHECK_INTERVAL=20ms")
	begun := time.Now()
	w.report(w.create("one", `{}`).ID, "False")
	await(t, "the wake-up", func() bool { return w.eventsBecause(v1.ReasonReactive) == 1 })
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it came after %v", took)
	}
	off := newWorld(t, "REACTIVE_RECONCILIATION_ENABLED=false")
	id := off.create("one", `{}`).ID
	const due = "SELECT next_reconcile_at FROM reconciliation_schedule WHERE cluster_id = $1"
	before := value[time.Time](t, off.database, due, id)
	off.report(id, "False")
	if after := value[time.Time](t, off.database, due, id); !after.Equal(before) {
		t.Errorf("switched off, a report moves the next wake-up from %v to %v", before, after)
	}
}

func showDeadline(t *testing.T) {
	t.Helper()
	w := newWorld(t, "STATUS_PROGRESS_DEADLINE=300ms")
	id := w.create("one", `{}`).ID
	w.report(id, "False")
	await(t, "the failure", func() bool {
		s := w.get(id).Status
		return s.Phase == v1.PhaseFailed && s.Reason == "ProgressDeadlineExceeded"
	})
}

func showRetention(t *testing.T) {
	t.Helper()
	w := newWorld(t, "OUTBOX_RETENTION=100ms", "TOMBSTONE_RETENTION=100ms", "HISTORY_RETENTION=100ms")
	id := w.create("one", `{}`).ID
	w.send(http.MethodPut, list+"/"+id, `{"spec":{"n":1}}`, as(user)...).expect(t, http.StatusOK, id)
	await(t, "the end of the past", func() bool {
		return value[int](t, w.database, "SELECT (SELECT count(*) FROM timeline)::int + (SELECT count(*) FROM cluster_revisions)::int") == 0
	})
	w.send(http.MethodDelete, list+"/"+id, "", as(user)...).expect(t, http.StatusAccepted, id)
	await(t, "the end of the events", func() bool { return value[int](t, w.database, "SELECT count(*) FROM outbox") == 0 })
	await(t, "the end of the tombstone", func() bool { return value[int](t, w.database, "SELECT count(*) FROM clusters") == 0 })
	if n := len(w.events("")); n != 3 {
		t.Errorf("%d events were published", n)
	}
}
