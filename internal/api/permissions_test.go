package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
	"github.com/cls-backend/cls-backend/internal/models"
)

const reportBody = `{"controller_name":"dns","conditions":[{"type":"Available","status":"True"}]}`

// Who may do what to whose cluster or node pool: the whole table, each cell on one of its own.
func TestPermissions(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		const own, others = true, false
		type caller struct {
			who string
			own bool
		}
		user, stranger, control, root := caller{ada, own}, caller{bob, others}, caller{controller, others}, caller{admin, others}
		// A stranger may have clusters, and not put node pools in those of others.
		strangersOwn := map[models.Kind]int{models.KindCluster: 201, models.KindNodePool: 404}[of.kind]
		for n, test := range []struct {
			what   string
			call   call
			status map[caller]int
		}{
			{"read", call{method: "GET", path: "/%s"}, map[caller]int{user: 200, stranger: 404, control: 200, root: 200}},
			{"read the status", call{method: "GET", path: "/%s/status"}, map[caller]int{user: 200, stranger: 404, control: 200, root: 200}},
			{"ask why", call{method: "GET", path: "/%s/explain"}, map[caller]int{user: 200, stranger: 404, control: 200, root: 200}},
			{"list", call{method: "GET", path: ""}, map[caller]int{user: 200, stranger: 200, control: 200, root: 200}},
			{"list ada's", call{method: "GET", path: "?created_by=" + ada}, map[caller]int{user: 200, stranger: 403, control: 200, root: 200}},
			{"create", call{method: "POST", path: "", body: of.body(`{"name":"new-%s"}`)}, map[caller]int{user: 201, stranger: strangersOwn, control: 403, root: 201}},
			{"change", call{method: "PUT", path: "/%s", body: `{"spec":{"a":1}}`}, map[caller]int{user: 200, stranger: 404, control: 403, root: 200}},
			{"patch", call{method: "PATCH", path: "/%s", body: `{"spec":{"a":1}}`}, map[caller]int{user: 200, stranger: 404, control: 403, root: 200}},
			{"delete", call{method: "DELETE", path: "/%s"}, map[caller]int{user: 202, stranger: 404, control: 403, root: 202}},
			{"wake", call{method: "POST", path: "/%s/reconcile"}, map[caller]int{user: 202, stranger: 404, control: 202, root: 202}},
			{"drop a report", call{method: "DELETE", path: "/%s/status/dns"}, map[caller]int{user: 403, stranger: 403, control: 404, root: 404}},
			{"report", call{method: "PUT", path: "/%s/status", body: reportBody}, map[caller]int{user: 403, stranger: 403, control: 200, root: 403}},
		} {
			for who, status := range test.status {
				name, _, _ := strings.Cut(who.who, "@")
				r := of.declare(ada, fmt.Sprintf(`{"name":"c%d-%s"}`, n, name))
				call := test.call
				call.body = strings.ReplaceAll(call.body, "%s", name)
				call.as, call.path = who.who, of.path+strings.ReplaceAll(call.path, "%s", r.ID)
				before := of.state()
				got := of.do(call)
				if got.status != status {
					t.Errorf("%s may %s: status %d, want %d; %.300s", who.who, test.what, got.status, status, got.body)
				}
				if status >= 400 && of.state() != before {
					t.Errorf("%s may %s: refused, and something changed", who.who, test.what)
				}
			}
		}
	})
}

func TestPermissions_ListsShowTheOwn(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		of.declare(ada, `{"name":"one"}`)
		bobs := of.collection(of.kind, bob)
		bobs.declare(bob, `{"name":"one"}`)
		bobs.declare(bob, `{"name":"two"}`)
		for _, test := range []struct {
			as, query string
			want      int64
		}{
			{ada, "", 1},
			{bob, "", 2},
			{"eve@example.com", "", 0},
			{controller, "", 3},
			{admin, "", 3},
			{admin, "created_by=" + strings.ToUpper(bob), 2},
			{bob, "created_by=Bob@Example.com", 2},
			{ada, "name=two", 0},
			{admin, "name=one", 2},
		} {
			list := of.list(test.as, test.query)
			if list.Total != test.want || int64(len(list.all())) != test.want {
				t.Errorf("%s ?%s: %d of %d, want %d", test.as, test.query, len(list.all()), list.Total, test.want)
			}
		}
		if body := of.get("eve@example.com", of.path).body; !strings.Contains(body, `"`+string(of.kind)+`s":[]`) {
			t.Errorf("an empty list must be []: %s", body)
		}
	})
}

// Whoever may not do a thing learns nothing else: not whether the resource is there, not
// whether the body is right.
func TestPermissions_ComeBeforeEverythingElse(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		for _, id := range []string{of.declare(ada, `{"name":"orders"}`).ID, unknown, "not-an-id"} {
			one := of.path + "/" + id
			for _, body := range []string{reportBody, `{`, `[]`, "", strings.Repeat("x", 2<<20)} {
				of.do(call{method: "PUT", path: one + "/status?x=y", as: ada, body: body}).fails(v1.CodeForbidden)
				of.do(call{method: "PUT", path: one, as: controller, body: body}).fails(v1.CodeForbidden)
				of.do(call{method: "PATCH", path: one, as: controller, body: body}).fails(v1.CodeForbidden)
			}
			of.do(call{method: "DELETE", path: one + "?force=perhaps", as: controller}).fails(v1.CodeForbidden)
			of.do(call{method: "DELETE", path: one + "/status/dns?x=y", as: ada}).fails(v1.CodeForbidden)
		}
		of.do(call{method: "POST", path: of.path, as: controller, body: `{`}).fails(v1.CodeForbidden)
		of.do(call{method: "POST", path: of.path, body: `{`}).fails(v1.CodeAuthRequired)
		of.do(call{method: "GET", path: of.path + "?limit=0"}).fails(v1.CodeAuthRequired)
	})
}

func TestIdentity_IsNeededExceptWhereItIsNot(t *testing.T) {
	t.Parallel()
	b := newBackend(t, func(o *api.Options) { o.Auth.TrustedProxies = prefixes("192.0.2.0/24") })
	for _, path := range []string{"/health", "/livez", "/readyz", "/api/v1/info", "/openapi.yaml", "/openapi.json", "/docs", "/docs/app.js"} {
		b.get("", path).is(http.StatusOK)
		b.get("not an address", path).is(http.StatusOK)
	}
	b.get("", clusters).fails(v1.CodeAuthRequired)
	b.get(ada, clusters).fails(v1.CodeUntrustedProxy)
	b.get(controller, clusters).fails(v1.CodeUntrustedProxy)
	b.remote = "192.0.2.9:80"
	b.get(ada, clusters).is(http.StatusOK)
	b.get("ada", clusters).fails(v1.CodeInvalidEmail)
	b.do(call{method: "GET", path: clusters, header: http.Header{"X-User-Email": {ada, bob}}}).failsAt(v1.CodeAmbiguousIdentity, "X-User-Email")
	b.do(call{method: "GET", path: clusters, as: ada, header: http.Header{"X_user_email": {bob}}}).failsAt(v1.CodeAmbiguousIdentity, "X-User-Email")
}

// What is redacted comes back to controllers and to nobody else, on every way out.
func TestRedaction_OnEveryWayOut(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		const key, token = "-----BEGIN PRIVATE KEY", "hunter2"
		spec := `{"platform":{"type":"gcp"},"serviceAccountSigningKey":"` + key + `","credentials":{"token":"` + token + `","user":"u"}}`
		created := of.do(call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"orders","spec":` + spec + `}`)}).is(http.StatusCreated)
		path := of.path + "/" + into[resource](created).ID
		answers := map[string]reply{
			"POST":            created,
			"GET":             of.get(ada, path),
			"GET by admin":    of.get(admin, path),
			"list":            of.get(ada, of.path),
			"list by admin":   of.get(admin, of.path),
			"status":          of.get(ada, path+"/status"),
			"explanation":     of.get(ada, path+"/explain"),
			"PUT":             of.do(call{method: "PUT", path: path, as: ada, body: `{"spec":` + strings.Replace(spec, `"u"`, `"v"`, 1) + `}`}),
			"PUT of the same": of.do(call{method: "PUT", path: path, as: admin, body: `{"spec":` + strings.Replace(spec, `"u"`, `"v"`, 1) + `}`}),
			"PATCH":           of.do(call{method: "PATCH", path: path, as: ada, body: `{"spec":{"credentials":{"user":"v"}}}`}),
			"PUT without":     of.do(call{method: "PUT", path: path, as: ada, body: `{"spec":{"platform":{"type":"gcp"},"credentials":{"user":"w"}}}`}),
		}
		if of.kind == models.KindNodePool {
			answers["list of its cluster"] = of.get(ada, clusters+"/"+of.home+"/nodepools")
		}
		for what, r := range answers {
			r.is(map[bool]int{true: 201, false: 200}[what == "POST"])
			if strings.Contains(r.body, key) || strings.Contains(r.body, token) {
				t.Errorf("%s shows a secret: %s", what, r.body)
			}
			if what != "status" && what != "explanation" && !strings.Contains(r.body, `"credentials"`) {
				t.Errorf("%s hides what is no secret: %s", what, r.body)
			}
		}
		for what, r := range map[string]reply{"GET": of.get(controller, path), "list": of.get(controller, of.path)} {
			if !strings.Contains(r.body, key) || !strings.Contains(r.body, token) {
				t.Errorf("%s hides a secret from a controller, or an update has lost it: %s", what, r.body)
			}
		}
		for _, body := range []string{
			`{"name":"x","spec":{"serviceAccountSigningKey":"` + key + `\u0000"}}`,
			`{"name":"x","spec":"` + key + `"}`, `{"name":"NO","spec":` + spec + `}`, `{"name":"x","spec":` + spec + `,"specs":1`,
		} {
			if r := of.do(call{method: "POST", path: of.path, as: ada, body: of.body(body)}).is(400); strings.Contains(r.body, key) {
				t.Errorf("a refusal shows a secret: %s", r.body)
			}
		}
		if log := of.logs.String(); strings.Contains(log, key) || strings.Contains(log, token) {
			t.Errorf("the log shows a secret")
		}
	})
}
