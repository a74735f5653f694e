package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
)

const reportBody = `{"controller_name":"dns","conditions":[{"type":"Available","status":"True"}]}`

// Who may do what to whose cluster: the whole table, each cell on a cluster of its own.
func TestPermissions(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	const own, others = true, false
	type caller struct {
		who string
		own bool
	}
	user, stranger, control, root := caller{ada, own}, caller{bob, others}, caller{controller, others}, caller{admin, others}
	for n, test := range []struct {
		what   string
		call   call
		status map[caller]int
	}{
		{"read", call{method: "GET", path: "/%s"}, map[caller]int{user: 200, stranger: 404, control: 200, root: 200}},
		{"read the status", call{method: "GET", path: "/%s/status"}, map[caller]int{user: 200, stranger: 404, control: 200, root: 200}},
		{"list", call{method: "GET", path: ""}, map[caller]int{user: 200, stranger: 200, control: 200, root: 200}},
		{"list ada's", call{method: "GET", path: "?created_by=" + ada}, map[caller]int{user: 200, stranger: 403, control: 200, root: 200}},
		{"create", call{method: "POST", path: "", body: `{"name":"new"}`}, map[caller]int{user: 201, stranger: 201, control: 403, root: 201}},
		{"change", call{method: "PUT", path: "/%s", body: `{"spec":{"a":1}}`}, map[caller]int{user: 200, stranger: 404, control: 403, root: 200}},
		{"delete", call{method: "DELETE", path: "/%s"}, map[caller]int{user: 202, stranger: 404, control: 403, root: 202}},
		{"wake", call{method: "POST", path: "/%s/reconcile"}, map[caller]int{user: 202, stranger: 404, control: 202, root: 202}},
		{"drop a report", call{method: "DELETE", path: "/%s/status/dns"}, map[caller]int{user: 403, stranger: 403, control: 404, root: 404}},
		{"report", call{method: "PUT", path: "/%s/status", body: reportBody}, map[caller]int{user: 403, stranger: 403, control: 200, root: 403}},
	} {
		for who, status := range test.status {
			c := b.create(ada, fmt.Sprintf(`{"name":"c%d-%s"}`, n, strings.SplitN(who.who, "@", 2)[0]))
			call := test.call
			call.as, call.path = who.who, clusters+strings.ReplaceAll(call.path, "%s", c.ID)
			before := b.state()
			r := b.do(call)
			if r.status != status {
				t.Errorf("%s may %s: status %d, want %d; %.300s", who.who, test.what, r.status, status, r.body)
			}
			if status >= 400 && b.state() != before {
				t.Errorf("%s may %s: refused, and something changed", who.who, test.what)
			}
		}
	}
}

func TestPermissions_ListsShowTheOwn(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	b.create(ada, `{"name":"one"}`)
	b.create(bob, `{"name":"one"}`)
	b.create(bob, `{"name":"two"}`)
	for _, test := range []struct {
		as, query string
		want      int64
	}{
		{ada, "", 1},
		{bob, "", 2},
		{"eve@example.com", "", 0},
		{controller, "", 3},
		{admin, "", 3},
		{admin, "?created_by=" + strings.ToUpper(bob), 2},
		{bob, "?created_by=Bob@Example.com", 2},
		{ada, "?name=two", 0},
		{admin, "?name=one", 2},
	} {
		list := into[v1.ClusterList](b.get(test.as, clusters+test.query).is(http.StatusOK))
		if list.Total != test.want || int64(len(list.Clusters)) != test.want {
			t.Errorf("%s%s: %d of %d, want %d", test.as, test.query, len(list.Clusters), list.Total, test.want)
		}
	}
	if body := b.get("eve@example.com", clusters).body; !strings.Contains(body, `"clusters":[]`) {
		t.Errorf("an empty list must be []: %s", body)
	}
}

// Whoever may not do a thing learns nothing else: not whether the cluster is there, not
// whether the body is right.
func TestPermissions_ComeBeforeEverythingElse(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := b.create(ada, `{"name":"orders"}`)
	unknown := "00000000-0000-7000-8000-000000000000"
	for _, id := range []string{c.ID, unknown, "not-an-id"} {
		for _, body := range []string{reportBody, `{`, `[]`, "", strings.Repeat("x", 2<<20)} {
			b.do(call{method: "PUT", path: clusters + "/" + id + "/status?x=y", as: ada, body: body}).fails(v1.CodeForbidden)
			b.do(call{method: "PUT", path: clusters + "/" + id, as: controller, body: body}).fails(v1.CodeForbidden)
		}
		b.do(call{method: "DELETE", path: clusters + "/" + id + "?force=perhaps", as: controller}).fails(v1.CodeForbidden)
		b.do(call{method: "DELETE", path: clusters + "/" + id + "/status/dns?x=y", as: ada}).fails(v1.CodeForbidden)
	}
	b.do(call{method: "POST", path: clusters, as: controller, body: `{`}).fails(v1.CodeForbidden)
	b.do(call{method: "POST", path: clusters, body: `{`}).fails(v1.CodeAuthRequired)
	b.do(call{method: "GET", path: clusters + "?limit=0"}).fails(v1.CodeAuthRequired)
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
	b := newBackend(t)
	const key, token = "-----BEGIN PRIVATE KEY", "hunter2"
	spec := `{"platform":{"type":"gcp"},"serviceAccountSigningKey":"` + key + `","credentials":{"token":"` + token + `","user":"u"}}`
	created := b.do(call{method: "POST", path: clusters, as: ada, body: `{"name":"orders","spec":` + spec + `}`}).is(http.StatusCreated)
	path := clusters + "/" + into[v1.Cluster](created).ID
	answers := map[string]reply{
		"POST":            created,
		"GET":             b.get(ada, path),
		"GET by admin":    b.get(admin, path),
		"list":            b.get(ada, clusters),
		"list by admin":   b.get(admin, clusters),
		"status":          b.get(ada, path+"/status"),
		"PUT":             b.do(call{method: "PUT", path: path, as: ada, body: `{"spec":` + strings.Replace(spec, `"u"`, `"v"`, 1) + `}`}),
		"PUT of the same": b.do(call{method: "PUT", path: path, as: admin, body: `{"spec":` + strings.Replace(spec, `"u"`, `"v"`, 1) + `}`}),
		"PATCH":           b.do(call{method: "PATCH", path: path, as: ada, body: `{"spec":{"credentials":{"user":"v"}}}`}),
		"PUT without":     b.do(call{method: "PUT", path: path, as: ada, body: `{"spec":{"platform":{"type":"gcp"},"credentials":{"user":"w"}}}`}),
	}
	for what, r := range answers {
		r.is(map[bool]int{true: 201, false: 200}[what == "POST"])
		if strings.Contains(r.body, key) || strings.Contains(r.body, token) {
			t.Errorf("%s shows a secret: %s", what, r.body)
		}
		if what != "status" && !strings.Contains(r.body, `"credentials"`) {
			t.Errorf("%s hides what is no secret: %s", what, r.body)
		}
	}
	for what, r := range map[string]reply{"GET": b.get(controller, path), "list": b.get(controller, clusters)} {
		if !strings.Contains(r.body, key) || !strings.Contains(r.body, token) {
			t.Errorf("%s hides a secret from a controller, or an update has lost it: %s", what, r.body)
		}
	}
	for _, body := range []string{
		`{"name":"x","spec":{"serviceAccountSigningKey":"` + key + `\u0000"}}`,
		`{"name":"x","spec":"` + key + `"}`, `{"name":"NO","spec":` + spec + `}`, `{"name":"x","spec":` + spec + `,"specs":1`,
	} {
		if r := b.do(call{method: "POST", path: clusters, as: ada, body: body}).is(400); strings.Contains(r.body, key) {
			t.Errorf("a refusal shows a secret: %s", r.body)
		}
	}
	if log := b.logs.String(); strings.Contains(log, key) || strings.Contains(log, token) {
		t.Errorf("the log shows a secret")
	}
}
