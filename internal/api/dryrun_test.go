package api_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
	"github.com/cls-backend/cls-backend/internal/telemetry"
)

// stage is a backend with all routes, on which calls are rehearsed.
type stage struct {
	*backend

	relay *idleRelay
}

// idleRelay counts what it is told.
type idleRelay struct{ told atomic.Int64 }

func (*idleRelay) Lease() models.Lease {
	return models.Lease{Claim: uuid.NewString(), Length: time.Second}
}
func (r *idleRelay) Hand(models.QueuedEvent) { r.told.Add(1) }
func (r *idleRelay) Nudge()                  { r.told.Add(1) }

func newStage(t *testing.T) stage {
	t.Helper()
	return newStageOver(t, 4)
}

// newStageOver has so many connections to PostgreSQL.
func newStageOver(t *testing.T, conns int32) stage {
	t.Helper()
	url := dbtest.New(t)
	db := openDB(t, url, conns)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := stage{relay: &idleRelay{}}
	rules := service.Settings{Secrets: models.NewSecrets(nil), ProgressDeadline: 30 * time.Minute, Cadence: cadence()}
	s.backend = newBackendOn(t, db, pool, func(o *api.Options) {
		o.Clusters = service.NewResources(models.KindCluster, db, rules, s.relay, telemetry.NewMetrics())
		o.NodePools = service.NewResources(models.KindNodePool, db, rules, s.relay, telemetry.NewMetrics())
		o.Controllers = service.NewControllers(db)
	})
	return s
}

// tables is the contents of every table, by name: a digest of all rows with their versions, so that
// a row that was written and is the same shows too.
func (s stage) tables() map[string]string {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `
		SELECT tablename, (xpath('/row/d/text()', query_to_xml(format(
			'SELECT count(*) || '' '' || coalesce(md5(string_agg(t.xmin || t::text, '','' ORDER BY t::text)), '''') AS d FROM %I t', tablename),
			false, true, '')))[1]::text
		FROM pg_tables WHERE schemaname = 'public'`)
	if err != nil {
		s.t.Fatal(err)
	}
	tables := map[string]string{}
	for rows.Next() {
		var name, digest string
		if err := rows.Scan(&name, &digest); err != nil {
			s.t.Fatal(err)
		}
		tables[name] = digest
	}
	if rows.Err() != nil || len(tables) < 12 {
		s.t.Fatalf("%d tables, %v", len(tables), rows.Err())
	}
	return tables
}

// rehearse makes a call as a dry run, which must leave nothing behind.
func (s stage) rehearse(c call) reply {
	s.t.Helper()
	before, told := s.tables(), s.relay.told.Load()
	separator := "?"
	if strings.Contains(c.path, "?") {
		separator = "&"
	}
	c.path += separator + "dry_run=true"
	r := s.do(c)
	if diff := cmp.Diff(before, s.tables()); diff != "" {
		s.t.Errorf("%s %s left something behind:\n%s", c.method, c.path, diff)
	}
	if n := s.relay.told.Load() - told; n != 0 {
		s.t.Errorf("%s %s: the relay was told %d times", c.method, c.path, n)
	}
	return r
}

// drawn is what each call draws for itself: ids, times, and the name of the event or request.
var drawn = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[0-9:.]+Z`)

// shape is an answer without what is drawn anew for each. ids are those that are no chance.
func shape(t *testing.T, r reply, ids ...string) any {
	t.Helper()
	text := drawn.ReplaceAllStringFunc(r.body, func(found string) string {
		for _, id := range ids {
			if id == found {
				return id
			}
		}
		return "drawn"
	})
	header := map[string]string{}
	for _, name := range []string{"ETag", "Content-Type", "Retry-After"} {
		header[name] = r.header.Get(name)
	}
	header["Location"] = drawn.ReplaceAllString(r.header.Get("Location"), "drawn")
	if text == "" {
		return []any{r.status, header}
	}
	return []any{r.status, header, decoded(t, text)}
}

// alike makes a call as a dry run and then as it is, and checks that the answers are alike.
func (s stage) alike(t *testing.T, c call, ids ...string) reply {
	t.Helper()
	s.backend = s.with(t)
	said := s.rehearse(c)
	done := s.do(c)
	if diff := cmp.Diff(shape(t, done, ids...), shape(t, said, ids...)); diff != "" {
		t.Errorf("%s %s %s: -real +rehearsed:\n%s", c.method, c.path, c.body, diff)
	}
	return done
}

// Each mutation of each kind answers in a dry run as it does in earnest, in success and in failure, and
// does what the rehearsal said.
func TestDryRun_EveryMutation(t *testing.T) {
	t.Parallel()
	for _, kind := range models.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			of := s.collection(kind, ada)
			one, held := of.declare(ada, `{"name":"one","spec":{"n":1}}`), of.declare(ada, `{"name":"held"}`)
			of.declare(ada, `{"name":"safe","deletion_protection":true}`)
			safe := of.list(ada, "name=safe").all()[0].ID
			of.report(held.ID, `{"controller_name":"dns","conditions":[{"type":"Finalized","status":"False"}]}`)
			path, heldPath := of.path+"/"+one.ID, of.path+"/"+held.ID
			ids := []string{one.ID, held.ID, safe, of.home}
			stale := http.Header{"If-Match": {`"999"`}}
			for _, row := range []struct {
				why    string
				call   call
				status int
			}{
				{"create", call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"two","spec":{"x":1}}`)}, 201},
				{"create a name that stands", call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"two"}`)}, 409},
				{"create nonsense", call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"NO","speck":{}}`)}, 400},
				{"create as a controller", call{method: "POST", path: of.path, as: controller, body: of.body(`{"name":"three"}`)}, 403},
				{"put", call{method: "PUT", path: path, as: ada, body: `{"spec":{"n":2}}`}, 200},
				{"put of the same", call{method: "PUT", path: path, as: ada, body: `{"spec":{"n":2}}`}, 200},
				{"put of nonsense", call{method: "PUT", path: path, as: ada, body: `{"spec":7}`}, 400},
				{"put on what is old", call{method: "PUT", path: path, as: ada, body: `{"spec":{"n":3}}`, header: stale}, 412},
				{"put on an old generation", call{method: "PUT", path: path, as: ada, body: `{"spec":{"n":3},"generation":1}`}, 409},
				{"put of another's", call{method: "PUT", path: path, as: bob, body: `{"spec":{}}`}, 404},
				{"put as a controller", call{method: "PUT", path: path, as: controller, body: `{"spec":{}}`}, 403},
				{"patch", call{method: "PATCH", path: path, as: ada, body: `{"spec":{"m":1},"labels":{"a":"b"},"paused":true}`}, 200},
				{"patch on what is old", call{method: "PATCH", path: path, as: ada, body: `{"spec":{"m":2}}`, header: stale}, 412},
				{"patch of another's", call{method: "PATCH", path: path, as: bob, body: `{"spec":{"m":2}}`}, 404},
				{"patch of nonsense", call{method: "PATCH", path: path, as: ada, body: `[]`}, 400},
				{"reconcile", call{method: "POST", path: path + "/reconcile", as: ada}, 202},
				{"reconcile another's", call{method: "POST", path: path + "/reconcile", as: bob}, 404},
				{"reconcile nonsense", call{method: "POST", path: of.path + "/x/reconcile", as: ada}, 400},
				{"report", call{method: "PUT", path: path + "/status", as: controller, body: reportBody}, 200},
				{"an equal report", call{method: "PUT", path: path + "/status", as: controller, body: reportBody}, 200},
				{"report of what is to come", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"dns","observed_generation":99}`}, 400},
				{"report as a user", call{method: "PUT", path: path + "/status", as: ada, body: reportBody}, 403},
				{"report on nothing", call{method: "PUT", path: of.path + "/" + unknown + "/status", as: controller, body: reportBody}, 404},
				{"drop", call{method: "DELETE", path: path + "/status/dns", as: controller}, 204},
				{"drop again", call{method: "DELETE", path: path + "/status/dns", as: controller}, 404},
				{"drop as a user", call{method: "DELETE", path: path + "/status/dns", as: ada}, 403},
				{"delete what is protected", call{method: "DELETE", path: of.path + "/" + safe, as: ada}, 409},
				{"delete on what is old", call{method: "DELETE", path: path, as: ada, header: stale}, 412},
				{"delete another's", call{method: "DELETE", path: path, as: bob}, 404},
				{"delete as a controller", call{method: "DELETE", path: path, as: controller}, 403},
				{"delete", call{method: "DELETE", path: path, as: ada}, 202},
				{"delete what is gone", call{method: "DELETE", path: path, as: ada}, 404},
				{"report on what is gone", call{method: "PUT", path: path + "/status", as: controller, body: reportBody}, 200},
				{"delete what is held", call{method: "DELETE", path: heldPath, as: ada}, 202},
				{"delete it again", call{method: "DELETE", path: heldPath, as: ada}, 202},
				{"put on what is being deleted", call{method: "PUT", path: heldPath, as: ada, body: `{"spec":{"n":1}}`}, 409},
				{"reconcile what is being deleted", call{method: "POST", path: heldPath + "/reconcile", as: ada}, 202},
				{"force", call{method: "DELETE", path: heldPath + "?force=true&reason=now", as: ada}, 202},
			} {
				t.Run(row.why, func(t *testing.T) { s.alike(t, row.call, ids...).is(row.status) })
			}
		})
	}
}

// A dry run of the last report ends no deletion, and one of a cluster's deletion none of its node pools'.
func TestDryRun_OfAnEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	of := s.collection(models.KindNodePool, ada)
	pool, cluster := nodepools+"/"+of.declare(ada, `{"name":"workers"}`).ID, clusters+"/"+of.home
	s.do(call{method: "PUT", path: pool + "/status", as: controller, body: `{"controller_name":"dns","conditions":[{"type":"Finalized","status":"False"}]}`}).is(200)
	s.alike(t, call{method: "DELETE", path: cluster, as: ada}, of.home).is(202)
	last := call{method: "PUT", path: pool + "/status", as: controller, body: `{"controller_name":"dns","conditions":[{"type":"Finalized","status":"True"}]}`}
	s.rehearse(last).is(200)
	s.get(ada, cluster).is(200)
	s.alike(t, last, of.home).is(200)
	s.get(ada, cluster).is(404)
	s.get(ada, pool).is(404)
}

func TestDryRun_OfTheRegistry(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	path := "/api/v1/controllers/dns"
	for _, row := range []struct {
		why    string
		call   call
		status int
	}{
		{"register", call{method: "PUT", path: path, as: controller, body: `{"platforms":["gcp"],"finalizes":true,"required":true}`}, 200},
		{"register again", call{method: "PUT", path: path, as: controller, body: `{"kinds":["nodepool"]}`}, 200},
		{"register nonsense", call{method: "PUT", path: path, as: controller, body: `{"kinds":["moon"]}`}, 400},
		{"register as a user", call{method: "PUT", path: path, as: ada, body: `{}`}, 403},
		{"register as another", call{method: "PUT", path: "/api/v1/controllers/net", as: dnsOnly, body: `{}`}, 403},
		{"retire as a user", call{method: "DELETE", path: path, as: ada}, 403},
		{"retire nobody", call{method: "DELETE", path: "/api/v1/controllers/nobody", as: admin}, 404},
		{"retire", call{method: "DELETE", path: path, as: admin}, 204},
		{"retire again", call{method: "DELETE", path: path, as: admin}, 204},
		{"register after all", call{method: "PUT", path: path, as: controller, body: `{}`}, 200},
	} {
		t.Log(row.why)
		s.alike(t, row.call).is(row.status)
	}
}

// A dry run that is neither true nor false is refused, and so is not taken for a real call.
func TestDryRun_WhatItMayBe(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, query := range []string{"dry_run=", "dry_run=1", "dry_run=True", "dry_run=true&dry_run=true", "dryrun=true"} {
		s.do(call{method: "POST", path: clusters + "?" + query, as: ada, body: `{"name":"one"}`}).fails(v1.CodeInvalidQuery)
	}
	s.do(call{method: "POST", path: clusters + "?dry_run=false", as: ada, body: `{"name":"one"}`}).is(201)
}

// A call that holds a connection waits for no other: with as many calls as there are connections all
// of them would. A change of the registry is what every process has to read anew.
func TestDryRun_OverOneConnection(t *testing.T) {
	t.Parallel()
	for _, kind := range models.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newStageOver(t, 1)
			of := s.collection(kind, ada)
			id := of.declare(ada, `{"name":"one"}`).ID
			for i, c := range []call{
				{method: "POST", path: of.path + "?dry_run=true", body: of.body(`{"name":"two"}`)},
				{method: "POST", path: of.path, body: of.body(`{"name":"two"}`), header: once("k")},
				{method: "PUT", path: of.path + "/" + id + "?dry_run=true", body: `{"spec":{"n":1}}`},
			} {
				s.do(call{method: "PUT", path: fmt.Sprintf("/api/v1/controllers/c%d", i), as: controller, body: `{"required":true}`}).is(200)
				c.as = ada
				began := time.Now()
				if got := s.do(c); got.status >= 300 || time.Since(began) > 5*time.Second {
					t.Errorf("%s %s: %d after %v", c.method, c.path, got.status, time.Since(began))
				}
			}
		})
	}
}

// Random calls, each rehearsed before it is made.
func TestDryRun_RandomCalls(t *testing.T) {
	t.Parallel()
	for _, kind := range models.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			of := s.collection(kind, ada)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			var ids []string
			statuses := map[int]int{}
			for range 150 {
				c := randomCall(r, of, ids)
				got := s.alike(t, c, append(ids, of.home)...)
				statuses[got.status]++
				if got.status == http.StatusCreated {
					ids = append(ids, into[resource](got).ID)
				}
			}
			t.Logf("%v", statuses)
			if statuses[200] == 0 || statuses[201] == 0 || statuses[202] == 0 || statuses[500] > 0 {
				t.Errorf("%v", statuses)
			}
		})
	}
}

// randomCall draws a mutation of one of the resources, or of a controller.
func randomCall(r *rand.Rand, of collection, ids []string) call {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	id := unknown
	if len(ids) > 0 {
		id = ids[r.IntN(len(ids))]
	}
	path, name := of.path+"/"+id, pick("dns", "net")
	user := pick(ada, ada, ada, bob, admin, controller)
	switch r.IntN(9) {
	case 0:
		return call{method: "POST", path: of.path, as: user, body: of.body(fmt.Sprintf(`{"name":"c%d","spec":{"platform":{"type":"gcp"},"n":%d}}`, r.IntN(30), r.IntN(3)))}
	case 1:
		return call{method: "PUT", path: path, as: user, body: fmt.Sprintf(`{"spec":{"n":%d},"paused":%v}`, r.IntN(3), r.IntN(2) == 0)}
	case 2:
		return call{method: "PATCH", path: path, as: user, body: fmt.Sprintf(`{"spec":{"m":%d},"labels":{"l":%q}}`, r.IntN(3), pick("a", "b"))}
	case 3:
		return call{method: "POST", path: path + "/reconcile", as: user}
	case 4:
		return call{method: "DELETE", path: path + pick("", "?force=true"), as: user}
	case 5:
		return call{method: "DELETE", path: path + "/status/" + name, as: pick(controller, admin, ada)}
	case 6:
		if r.IntN(3) == 0 {
			return call{method: "DELETE", path: "/api/v1/controllers/" + name, as: pick(controller, admin)}
		}
		return call{method: "PUT", path: "/api/v1/controllers/" + name, as: controller, body: pick(`{"finalizes":true}`, `{"required":true,"platforms":["gcp"]}`, `{}`)}
	default:
		return call{method: "PUT", path: path + "/status", as: controller, body: fmt.Sprintf(
			`{"controller_name":%q,"observed_generation":%d,"conditions":[{"type":"Available","status":%q},{"type":"Finalized","status":%q}]}`,
			name, r.IntN(3), pick("True", "False"), pick("True", "False"))}
	}
}
