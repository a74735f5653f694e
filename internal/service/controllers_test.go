package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// on is a spec on a platform.
func on(platform string) string { return fmt.Sprintf(`{"platform":{"type":%q}}`, platform) }

// TestAChangeOfThePlatform: nobody of the old one is waited for.
func TestAChangeOfThePlatform(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		for _, platform := range []string{"gcp", "aws"} {
			w.register(t, platform+"-net", v1.RegisterController{Platforms: []string{strings.ToUpper(platform)}, Required: true})
		}
		c, err := w.Create(t.Context(), alice, models.Draft{Name: "one", Spec: v1.Object(on("GCP"))})
		must(t, err)
		w.report(t, c.ID, available("gcp-net", v1.ConditionTrue))
		w.report(t, c.ID, available("dns", v1.ConditionTrue))
		if _, s := w.get(t, c.ID); s.Phase != v1.PhaseReady || s.Message != "2 of 2 controllers ready" {
			t.Fatalf("begins as %+v", s)
		}
		w.put(t, c.ID, on("aws"))
		w.report(t, c.ID, available("dns", v1.ConditionTrue))
		if _, s := w.get(t, c.ID); s.Phase != v1.PhaseProgressing || s.Message != "1 of 2 controllers ready; waiting for aws-net" || s.ObservedGeneration != 0 {
			t.Errorf("on its new platform: %+v", s)
		}
		w.report(t, c.ID, available("aws-net", v1.ConditionTrue))
		if _, s := w.get(t, c.ID); s.Phase != v1.PhaseReady || s.Message != "2 of 2 controllers ready" || s.ObservedGeneration != 2 {
			t.Errorf("at last: %+v", s)
		}
	})
}

// TestARegistrationCountsFromTheNextGeneration, and is named from then on until it has reported.
func TestARegistrationCountsFromTheNextGeneration(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, available("dns", v1.ConditionTrue))
		before, _ := w.get(t, id)
		w.register(t, "net", v1.RegisterController{Required: true})
		if c, s := w.get(t, id); s.Phase != v1.PhaseReady || c.ETag() != before.ETag() {
			t.Errorf("it counts at once: %+v", s)
		}
		w.put(t, id, `{"n":1}`)
		w.report(t, id, available("dns", v1.ConditionTrue))
		if _, s := w.get(t, id); s.Phase != v1.PhaseProgressing || !strings.HasSuffix(s.Message, "waiting for net") {
			t.Errorf("from the next generation on: %+v", s)
		}
		before, _ = w.get(t, id)
		w.register(t, "net", v1.RegisterController{}) // Required no more.
		if c, s := w.get(t, id); s.Phase != v1.PhaseReady || c.ResourceVersion != before.ResourceVersion+1 {
			t.Errorf("loosened: %+v at %s, was %s", s, c.ETag(), before.ETag())
		}
	})
}

// TestARegistrationThatChangesNothing: of a controller that is known by its reports, or of one that
// has said the same before. Nobody's status is calculated again, and nobody's ETag moves.
func TestARegistrationThatChangesNothing(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, available("dns", v1.ConditionTrue))
		w.get(t, id)
		before := w.footprint(t, id)
		for range 2 {
			w.register(t, "dns", v1.RegisterController{Finalizes: true})
			if n, err := w.Refresh(t.Context(), 10); err != nil || n > 0 {
				t.Errorf("calculated %d, %v", n, err)
			}
			w.get(t, id)
		}
		if after := w.footprint(t, id); after != before {
			t.Errorf("written: %s, was %s", after, before)
		}
		w.register(t, "dns", v1.RegisterController{Required: true}) // It moves the registry, and not this status.
		if c, s := w.get(t, id); c.ResourceVersion != 2 || s.Phase != v1.PhaseReady {
			t.Errorf("resource version %d, %+v", c.ResourceVersion, s)
		}
	})
}

// TestARetirementFreesAllWhoWaited: 1,200 resources, by passes in batches; nobody who reads in
// between is answered with what was.
func TestARetirementFreesAllWhoWaited(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		const n, batch = 1200, 500
		ctx := t.Context()
		w.register(t, "dead", v1.RegisterController{Required: true})
		w.report(t, w.create(t, "first").ID, available("dns", v1.ConditionTrue))
		_, err := w.raw.Exec(ctx, map[models.Kind]string{
			models.KindCluster:  `INSERT INTO clusters (name, created_by, target_project_id) SELECT 'c' || n, $1, $2 FROM generate_series(2, $3) n`,
			models.KindNodePool: `INSERT INTO nodepools (name, created_by, cluster_id) SELECT 'c' || n, $1, $2::uuid FROM generate_series(2, $3) n`,
		}[w.kind], alice.Email, w.home(alice), n)
		must(t, err)
		w.exec(t, `INSERT INTO controller_status SELECT (jsonb_populate_record(s, jsonb_build_object('cluster_id', c.id))).*
			FROM controller_status s, clusters c WHERE c.name <> 'first' AND c.created_by = $1`, alice.Email)
		for done := batch; done == batch; {
			var err error
			done, err = w.Refresh(ctx, batch)
			must(t, err)
		}
		if waiting := value[int](t, w, `SELECT count(*) FROM clusters WHERE phase = 'Progressing' AND status ->> 'message' LIKE '%waiting for dead'`); waiting != n {
			t.Fatalf("%d wait for dead, want %d", waiting, n)
		}
		w.retire(t, "dead")
		var sizes []int
		for {
			// What no pass has come by is answered as it is now.
			if old := values[string](t, w, `SELECT id::text FROM clusters WHERE phase = 'Progressing' LIMIT 1`); len(old) > 0 && len(sizes) < 2 {
				if _, s := w.get(t, old[0]); s.Phase != v1.PhaseReady {
					t.Errorf("read before the pass: %+v", s)
				}
			}
			done, err := w.Refresh(ctx, batch)
			must(t, err)
			if done == 0 {
				break
			}
			sizes = append(sizes, done)
		}
		if left := value[int](t, w, `SELECT count(*) FROM clusters WHERE phase <> 'Ready' AND name <> 'home'`); left > 0 || !slices.Equal(sizes, []int{500, 500, 198}) {
			t.Errorf("%d are not Ready after passes over %v", left, sizes)
		}
		if moved := value[int](t, w, `SELECT count(DISTINCT resource_version) FROM clusters WHERE name LIKE 'c%'`); moved != 1 {
			t.Errorf("%d different versions of what was done to all", moved)
		}
	})
}

// TestARetiredControllersReport is answered, and counts nowhere until it registers again.
func TestARetiredControllersReport(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, available("dns", v1.ConditionTrue))
		w.report(t, id, available("old", v1.ConditionFalse))
		w.retire(t, "old")
		if _, s := w.get(t, id); s.Phase != v1.PhaseReady {
			t.Errorf("after the retirement: %+v", s)
		}
		before := w.footprint(t, id)
		for _, status := range []v1.ConditionStatus{v1.ConditionFalse, v1.ConditionTrue} { // An equal one, too.
			if r := w.report(t, id, available("old", status)); r.Applied || r.Reason != v1.NotAppliedRetired || r.ClusterID == "" {
				t.Errorf("answered %+v", r)
			}
		}
		if after := w.footprint(t, id); after != before {
			t.Errorf("written: %s, was %s", after, before)
		}
		w.register(t, "old", v1.RegisterController{})
		if _, s := w.get(t, id); s.Phase != v1.PhaseProgressing {
			t.Errorf("back again: %+v", s)
		}
		if r := w.report(t, id, available("old", v1.ConditionTrue)); !r.Applied {
			t.Errorf("back again, answered %+v", r)
		}
		wantCode(t, w.registry().Retire(t.Context(), robot, "nobody"), v1.CodeNotFound)
	})
}

// TestWhoMayWriteTheRegistry: a bound identity its own name; an admin may retire; a user reads nothing.
func TestWhoMayWriteTheRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bound := models.Actor{Email: "dns@system.local", Controller: true, ControllerName: "dns"}
	ctx, registry := t.Context(), w.registry()
	for _, row := range []struct {
		why  string
		call func() error
		want v1.Code
	}{
		{"a bound one registers its name", func() error { _, err := registry.Register(ctx, bound, "dns", v1.RegisterController{}); return err }, ""},
		{"and no other", func() error { _, err := registry.Register(ctx, bound, "net", v1.RegisterController{}); return err }, v1.CodeForbidden},
		{"a bound one retires no other", func() error { return registry.Retire(ctx, bound, "net") }, v1.CodeForbidden},
		{"a bound one retires its name", func() error { return registry.Retire(ctx, bound, "dns") }, ""},
		{"an admin retires", func() error { return registry.Retire(ctx, admin, "dns") }, ""},
		{"an admin registers nobody", func() error { _, err := registry.Register(ctx, admin, "net", v1.RegisterController{}); return err }, v1.CodeForbidden},
		{"a user registers nobody", func() error { _, err := registry.Register(ctx, alice, "net", v1.RegisterController{}); return err }, v1.CodeForbidden},
		{"a user retires nobody, known or not", func() error { return registry.Retire(ctx, alice, "ghost") }, v1.CodeForbidden},
		{"a user reads no entry, known or not", func() error { _, err := registry.Get(ctx, alice, "ghost"); return err }, v1.CodeForbidden},
		{"a user reads no list", func() error { _, err := registry.List(ctx, alice); return err }, v1.CodeForbidden},
		{"a controller reads", func() error { _, err := registry.List(ctx, bound); return err }, ""},
		{"an admin reads", func() error { _, err := registry.Get(ctx, admin, "dns"); return err }, ""},
		{"nobody knows it", func() error { _, err := registry.Get(ctx, admin, "ghost"); return err }, v1.CodeNotFound},
		{"faults are named", func() error {
			_, err := registry.Register(ctx, robot, "net", v1.RegisterController{Kinds: []string{"pod"}})
			return err
		}, v1.CodeInvalidField},
	} {
		if err := row.call(); err == nil && row.want != "" || err != nil && codeOf(err) != row.want {
			t.Errorf("%s: %v, want %q", row.why, err, row.want)
		}
	}
}

// TestTheRegistryAsItIsRead: in the order of the names, with whom each has reported on, how many of
// these it is behind on, and when it was heard last.
func TestTheRegistryAsItIsRead(t *testing.T) {
	t.Parallel()
	clusters, pools := newWorlds(t)
	ctx := t.Context()
	clusters.register(t, "silent", v1.RegisterController{Platforms: []string{"GCP"}, Kinds: []string{"nodepool"}, Required: true, Finalizes: true})
	var ids []string
	for i := range 3 {
		ids = append(ids, clusters.create(t, fmt.Sprintf("c%d", i)).ID)
		clusters.report(t, ids[i], available("dns", v1.ConditionTrue))
	}
	pool := pools.createIn(t, ids[0], "pool").ID
	pools.report(t, pool, available("dns", v1.ConditionTrue))
	clusters.report(t, ids[0], available("net", v1.ConditionTrue))
	clusters.put(t, ids[0], `{"n":1}`)
	pools.put(t, pool, `{"n":1}`)
	clusters.report(t, ids[0], available("net", v1.ConditionTrue))
	clusters.end(t, ids[2], models.DeleteRequest{})
	clusters.exec(t, `UPDATE controller_status SET updated_at = '2026-01-02T03:04:05Z' WHERE controller_name = 'dns'`)
	pools.exec(t, `UPDATE controller_status SET updated_at = '2026-01-02T03:05:00Z' WHERE controller_name = 'dns'`)

	list, err := clusters.registry().List(ctx, robot)
	must(t, err)
	var names []string
	for _, c := range list.Controllers {
		names = append(names, c.Name)
	}
	if !slices.Equal(names, []string{"dns", "net", "silent"}) {
		t.Fatalf("listed %v", names)
	}
	dns, net, silent := list.Controllers[0], list.Controllers[1], list.Controllers[2]
	heard := time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)
	if dns.Registered || dns.Clusters != 2 || dns.NodePools != 1 || dns.Lag != 2 || dns.LastHeartbeat == nil || !dns.LastHeartbeat.Equal(heard) {
		t.Errorf("dns %+v; want 2 living clusters and a node pool, 2 of them behind, heard at %s", dns, heard)
	}
	if net.Clusters != 1 || net.NodePools != 0 || net.Lag != 0 || net.LastHeartbeat == nil || net.FirstSeenAt.IsZero() {
		t.Errorf("net %+v", net)
	}
	if !silent.Registered || !silent.Required || !silent.Finalizes || silent.LastHeartbeat == nil || silent.Clusters+silent.NodePools+silent.Lag != 0 ||
		!slices.Equal(silent.Platforms, []string{"gcp"}) || !slices.Equal(silent.Kinds, []string{"nodepool"}) {
		t.Errorf("silent %+v", silent)
	}
	clusters.retire(t, "silent")
	if c, err := clusters.registry().Get(ctx, admin, "silent"); err != nil || c.RetiredAt == nil {
		t.Errorf("retired %+v, %v", c, err)
	}
}

// TestTheSameRegistrationIsAHeartbeat: it writes its time and nothing else, and no more often than a report's.
func TestTheSameRegistrationIsAHeartbeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	again := v1.RegisterController{Platforms: []string{"gcp", "AWS"}, Kinds: []string{"cluster"}, Required: true}
	w.register(t, "dns", again)
	heard := func() time.Time {
		t.Helper()
		c, err := w.registry().Get(t.Context(), admin, "dns")
		must(t, err)
		return *c.LastHeartbeat
	}
	// What is written is a new version of a row.
	rows := func() string {
		t.Helper()
		return value[string](t, w, `SELECT (SELECT ctid::text FROM registry) || (SELECT ctid::text FROM controllers)`)
	}
	before, first := rows(), heard()
	w.register(t, "dns", v1.RegisterController{Platforms: []string{"aws", "GCP"}, Kinds: []string{"cluster"}, Required: true})
	if rows() != before || !heard().Equal(first) {
		t.Error("written within 30 seconds")
	}
	w.exec(t, `UPDATE controllers SET heard_at = now() - interval '31 seconds'`)
	registry := value[string](t, w, `SELECT ctid::text FROM registry`)
	w.register(t, "dns", again)
	if now := heard(); !now.After(first) {
		t.Errorf("heard at %s, and before at %s", now, first)
	}
	if value[string](t, w, `SELECT ctid::text FROM registry`) != registry {
		t.Error("the registry was written")
	}
	for _, other := range []v1.RegisterController{
		{Platforms: []string{"gcp"}, Kinds: []string{"cluster"}, Required: true},
		{Platforms: again.Platforms, Required: true},
		{Platforms: again.Platforms, Kinds: again.Kinds},
		{Platforms: again.Platforms, Kinds: again.Kinds, Required: true, Finalizes: true},
	} {
		w.register(t, "dns", other)
		c, err := w.registry().Get(t.Context(), admin, "dns")
		if must(t, err); c.Required != other.Required || c.Finalizes != other.Finalizes || len(c.Platforms) != len(other.Platforms) || len(c.Kinds) != len(other.Kinds) {
			t.Errorf("registered %+v, want %+v", c, other)
		}
	}
	w.retire(t, "dns")
	w.register(t, "dns", again)
	if c, err := w.registry().Get(t.Context(), admin, "dns"); err != nil || c.RetiredAt != nil {
		t.Errorf("back again: %+v, %v", c, err)
	}
}
