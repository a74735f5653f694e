package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// A repeated key is answered with the same 201 to the byte, however the body is spelled and
// whatever has become of the resource.
func TestIdempotency_TheSameAnswerAgain(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		first := of.once("k", `{"name":"orders","spec":{"a":1,"b":[2]}}`).is(http.StatusCreated)
		id := into[resource](first).ID
		of.report(id, reportBody)
		before := of.state()
		for why, body := range map[string]string{
			"the same": `{"name":"orders","spec":{"a":1,"b":[2]}}`, "another order": `{ "spec" : {"b":[ 2 ],"a":1.0}, "name":"orders"}`,
		} {
			again := of.once("k", body).is(http.StatusCreated)
			if again.body != first.body || again.header.Get("ETag") != first.header.Get("ETag") || again.header.Get("Location") != first.header.Get("Location") {
				t.Errorf("%s: %s\nfirst %s", why, again.body, first.body)
			}
		}
		of.once("k", `{"name":"orders"}`).failsAt(v1.CodeIdempotencyKeyReused, "Idempotency-Key")
		of.once("k2", `{"name":"orders"}`).failsAt(of.nameExists, "name")
		if diff := cmp.Diff(before, of.state()); diff != "" {
			t.Errorf("something changed:\n%s", diff)
		}
		of.remove(id, "")
		if again := of.once("k", `{"name":"orders","spec":{"a":1,"b":[2]}}`).is(http.StatusCreated); again.body != first.body {
			t.Errorf("after the end: %s", again.body)
		}
		if again := into[resource](of.once("k2", `{"name":"orders"}`).is(http.StatusCreated)); again.ID == id {
			t.Errorf("a key that was refused is kept")
		}
	})
}

// A key is its caller's and its route's.
func TestIdempotency_KeysAreTheirCallers(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	post := func(as, path, body string) string {
		return into[resource](b.do(call{method: "POST", path: path, as: as, body: body, header: key("k")}).is(http.StatusCreated)).ID
	}
	adas, bobs := post(ada, clusters, `{"name":"a"}`), post(bob, clusters, `{"name":"b"}`)
	pool := post(ada, nodepools, `{"name":"c","cluster_id":"`+adas+`"}`)
	if adas == bobs || pool == adas {
		t.Errorf("%s, %s, %s", adas, bobs, pool)
	}
	if again := post(ada, clusters, `{"name":"a"}`); again != adas {
		t.Errorf("%s, and again %s", adas, again)
	}
}

// With dry_run a key is neither read nor kept.
func TestIdempotency_NotInADryRun(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		of.once("k", `{"name":"orders"}`).is(http.StatusCreated)
		for _, k := range []string{"k", "other", ""} {
			of.do(call{method: "POST", path: of.path + "?dry_run=true", as: ada, body: of.body(`{"name":"tried"}`), header: key(k)}).is(http.StatusCreated)
		}
		of.once("other", `{"name":"x"}`).is(http.StatusCreated)
	})
}

// A call with the key of one that is under way waits for it, and gives up after ten seconds.
func TestIdempotency_ASecondCallWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := newContract(t, b)
	first, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Rollback(context.WithoutCancel(t.Context())) })
	k, err := models.NewKey(models.Actor{Email: ada}, clusters, "k", []byte(`{"name":"orders"}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = first.Exec(t.Context(), `INSERT INTO idempotency_keys (identity, route, key, request) VALUES ($1, $2, $3, $4)`, k.Identity, k.Route, k.Key, k.Request[:])
	if err != nil {
		t.Fatal(err)
	}
	second := call{method: "POST", path: clusters, as: ada, body: `{"name":"orders"}`, header: key("k")}
	r := b.do(second)
	if r.fails(v1.CodeRequestInFlight); r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	c.check(t, clusters, "post", "409", "application/json", r.body)
	for _, path := range []string{clusters, nodepools} {
		if _, said := c.Paths[path]["post"].Responses["409"].Content["application/json"].Examples[string(v1.CodeRequestInFlight)]; !said {
			t.Errorf("POST %s does not name the code", path)
		}
	}
	if err := first.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.do(second).is(http.StatusCreated)
}

// A dry run of each call that changes something is answered as the call would be, and leaves no trace.
func TestDryRun_ChangesNothing(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		path := of.path + "/" + of.declare(ada, `{"name":"orders"}`).ID
		held := of.declare(ada, `{"name":"held"}`).ID
		of.hold(held)
		of.report(strings.TrimPrefix(path, of.path+"/"), reportBody)
		of.register("infra", `{}`)
		of.get(ada, path)
		before := of.state()
		for _, test := range []struct {
			why    string
			call   call
			status int
			says   string
		}{
			{"create", call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"tried"}`)}, 201, `"name":"tried"`},
			{"replace", call{method: "PUT", path: path, as: ada, body: `{"spec":{"a":1}}`}, 200, `"generation":2`},
			{"replace by the same", call{method: "PUT", path: path, as: ada, body: `{"spec":{}}`}, 200, `"generation":1`},
			{"patch", call{method: "PATCH", path: path, as: ada, body: `{"labels":{"a":"b"}}`}, 200, `"labels":{"a"`},
			{"report", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"new"}`}, 200, `"applied":true`},
			{"drop a report", call{method: "DELETE", path: path + "/status/dns", as: admin}, 204, ""},
			{"wake", call{method: "POST", path: path + "/reconcile", as: ada}, 202, `"event_id"`},
			{"let go", call{method: "PUT", path: of.path + "/" + held + "/status", as: controller, body: finalized(v1.ConditionTrue)}, 200, `"applied":true`},
			{"delete", call{method: "DELETE", path: path, as: ada}, 202, `is deleted`},
			{"force", call{method: "DELETE", path: of.path + "/" + held, as: ada}, 202, `"waiting_for":["` + finalizer + `"]`},
			{"register", call{method: "PUT", path: controllers + "/new", as: controller, body: `{"required":true}`}, 200, `"required":true`},
			{"retire", call{method: "DELETE", path: controllers + "/infra", as: admin}, 204, ""},
		} {
			test.call.path += "?dry_run=true"
			if r := of.do(test.call); r.status != test.status || !strings.Contains(r.body, test.says) {
				t.Errorf("%s: %d %s, want %d and %s", test.why, r.status, r.body, test.status, test.says)
			}
			if diff := cmp.Diff(before, of.state()); diff != "" {
				t.Fatalf("%s: something changed:\n%s", test.why, diff)
			}
		}
	})
}
