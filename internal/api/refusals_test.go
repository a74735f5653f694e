package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
)

// Every refusal has its status, its code and its field, and leaves no trace.
func TestRefusals_ChangeNothing(t *testing.T) { //nolint:tparallel // a subtest compares the whole database
	t.Parallel()
	b := newBackend(t)
	c := b.create(ada, `{"name":"orders","deletion_protection":true,"spec":{"platform":{"type":"gcp"}}}`)
	path := clusters + "/" + c.ID
	unknown := clusters + "/00000000-0000-7000-8000-000000000000"
	before := b.state()
	deep := `{"name":"x","spec":` + strings.Repeat(`{"a":`, 150) + "1" + strings.Repeat("}", 151)
	tooDeep := `{"name":"x","spec":` + strings.Repeat(`[`, 20000) + strings.Repeat("]", 20000) + "}"
	for _, test := range []struct {
		why   string
		call  call
		code  v1.Code
		field string
	}{
		{"no JSON", call{method: "POST", path: clusters, body: `{"name":`}, v1.CodeInvalidJSON, "body"},
		{"more than one JSON", call{method: "POST", path: clusters, body: `{"name":"x"} {}`}, v1.CodeInvalidJSON, "body"},
		{"no body", call{method: "POST", path: clusters}, v1.CodeInvalidJSON, "body"},
		{"blanks", call{method: "POST", path: clusters, body: "  \n"}, v1.CodeInvalidJSON, "body"},
		{"null", call{method: "POST", path: clusters, body: `null`}, v1.CodeInvalidJSON, "body"},
		{"a list", call{method: "POST", path: clusters, body: `[{"name":"x"}]`}, v1.CodeInvalidJSON, "body"},
		{"a text", call{method: "PUT", path: path, body: `"x"`}, v1.CodeInvalidJSON, "body"},
		{"nested beyond any parser", call{method: "POST", path: clusters, body: tooDeep}, v1.CodeInvalidJSON, "body"},
		{"nested too deeply", call{method: "POST", path: clusters, body: deep}, v1.CodeInvalidField, "spec" + strings.Repeat(".a", 11)},

		{"no name", call{method: "POST", path: clusters, body: `{}`}, v1.CodeInvalidField, "name"},
		{"a name that is null", call{method: "POST", path: clusters, body: `{"name":null}`}, v1.CodeInvalidField, "name"},
		{"a name that is none", call{method: "POST", path: clusters, body: `{"name":"Orders!"}`}, v1.CodeInvalidField, "name"},
		{"a name of 64", call{method: "POST", path: clusters, body: `{"name":"` + strings.Repeat("a", 64) + `"}`}, v1.CodeInvalidField, "name"},
		{"a number for a name", call{method: "POST", path: clusters, body: `{"name":7}`}, v1.CodeInvalidField, "name"},
		{"a text for a flag", call{method: "POST", path: clusters, body: `{"name":"x","paused":"yes"}`}, v1.CodeInvalidField, "paused"},
		{"a list for a spec", call{method: "POST", path: clusters, body: `{"name":"x","spec":[]}`}, v1.CodeInvalidField, "spec"},
		{"a field nobody knows", call{method: "POST", path: clusters, body: `{"name":"x","specs":{}}`}, v1.CodeInvalidField, "specs"},
		{"a field in another case", call{method: "POST", path: clusters, body: `{"name":"x","Spec":{}}`}, v1.CodeInvalidField, "Spec"},
		{"a number in a label", call{method: "POST", path: clusters, body: `{"name":"x","labels":{"a":1}}`}, v1.CodeInvalidField, "labels.a"},
		{"null in a label", call{method: "POST", path: clusters, body: `{"name":"x","labels":{"a":null}}`}, v1.CodeInvalidField, "labels.a"},
		{"labels that are a list", call{method: "POST", path: clusters, body: `{"name":"x","labels":["a"]}`}, v1.CodeInvalidField, "labels"},
		{"a label key that is none", call{method: "POST", path: clusters, body: `{"name":"x","labels":{"a b":"1"}}`}, v1.CodeInvalidField, "labels.a b"},
		{"a platform that is none", call{method: "POST", path: clusters, body: `{"name":"x","spec":{"platform":{"type":"g c p"}}}`}, v1.CodeInvalidField, "spec.platform.type"},
		{"a platform that is a number", call{method: "POST", path: clusters, body: `{"name":"x","spec":{"platform":{"type":1}}}`}, v1.CodeInvalidField, "spec.platform.type"},
		{"a long description", call{method: "POST", path: clusters, body: `{"name":"x","description":"` + strings.Repeat("a", 4097) + `"}`}, v1.CodeInvalidField, "description"},
		{"NUL", call{method: "POST", path: clusters, body: `{"name":"x","spec":{"a":["b\u0000"]}}`}, v1.CodeInvalidField, "spec.a[0]"},
		{"NUL in a key", call{method: "POST", path: clusters, body: `{"name":"x","spec":{"a\u0000":1}}`}, v1.CodeInvalidField, "spec.a\uFFFD"},
		{"NUL in a description", call{method: "POST", path: clusters, body: `{"name":"x","description":"\u0000"}`}, v1.CodeInvalidField, "description"},
		{"half a surrogate pair", call{method: "PUT", path: path, body: `{"spec":{"a":"\ud800"}}`}, v1.CodeInvalidField, "spec.a"},
		{"a number out of range", call{method: "PUT", path: path, body: `{"spec":{"a":1e999}}`}, v1.CodeInvalidField, "spec.a"},
		{"bytes that are no UTF-8", call{method: "PUT", path: path, body: "{\"spec\":{\"a\":\"\xff\"}}"}, v1.CodeInvalidField, "spec.a"},
		{"no spec in an update", call{method: "PUT", path: path, body: `{}`}, v1.CodeInvalidField, "spec"},
		{"null for a spec in an update", call{method: "PUT", path: path, body: `{"spec":null}`}, v1.CodeInvalidField, "spec"},
		{"another id", call{method: "PUT", path: path, body: `{"spec":{},"id":"x"}`}, v1.CodeInvalidField, "id"},
		{"another name", call{method: "PUT", path: path, body: `{"spec":{},"name":"x"}`}, v1.CodeInvalidField, "name"},
		{"another project", call{method: "PUT", path: path, body: `{"spec":{},"target_project_id":"x"}`}, v1.CodeInvalidField, "target_project_id"},
		{"half a generation", call{method: "PUT", path: path, body: `{"spec":{},"generation":1.5}`}, v1.CodeInvalidField, "generation"},
		{"a patch that is a list", call{method: "PATCH", path: path, body: `[]`}, v1.CodeInvalidJSON, "body"},
		{"a patch of nobody's field", call{method: "PATCH", path: path, body: `{"specs":null}`}, v1.CodeInvalidField, "specs"},
		{"a patch that removes the spec", call{method: "PATCH", path: path, body: `{"spec":null}`}, v1.CodeInvalidField, "spec"},
		{"a patch with a list for a spec", call{method: "PATCH", path: path, body: `{"spec":[]}`}, v1.CodeInvalidField, "spec"},
		{"a patch with a number for a label", call{method: "PATCH", path: path, body: `{"labels":{"a":1}}`}, v1.CodeInvalidField, "labels.a"},
		{"a patch with NUL", call{method: "PATCH", path: path, body: `{"spec":{"a":{"b":"\u0000"}}}`}, v1.CodeInvalidField, "spec.a.b"},
		{"a patch to a platform that is none", call{method: "PATCH", path: path, body: `{"spec":{"platform":{"type":"?"}}}`}, v1.CodeInvalidField, "spec.platform.type"},
		{"a patch of the name", call{method: "PATCH", path: path, body: `{"name":"x"}`}, v1.CodeInvalidField, "name"},
		{"a patch made from another generation", call{method: "PATCH", path: path, body: `{"spec":{"a":1},"generation":7}`}, v1.CodeGenerationConflict, "generation"},
		{"a patch made from another version", call{method: "PATCH", path: path, body: `{"spec":{"a":1}}`, header: http.Header{"If-Match": {`"99"`}}}, v1.CodePreconditionFailed, "If-Match"},
		{"a patch as JSON Patch", call{method: "PATCH", path: path, body: `[]`, header: http.Header{"Content-Type": {"application/json-patch+json"}}}, v1.CodeUnsupportedMediaType, "Content-Type"},
		{"a merge patch for a PUT", call{method: "PUT", path: path, body: `{"spec":{}}`, header: http.Header{"Content-Type": {"application/merge-patch+json"}}}, v1.CodeUnsupportedMediaType, "Content-Type"},
		{"a patch with a parameter", call{method: "PATCH", path: path + "?force=true", body: `{}`}, v1.CodeInvalidQuery, "force"},
		{"nothing there to patch", call{method: "PATCH", path: unknown, body: `{}`}, v1.CodeNotFound, ""},
		{"an empty If-Match", call{method: "PUT", path: path, body: `{"spec":{}}`, header: http.Header{"If-Match": {""}}}, v1.CodeInvalidField, "If-Match"},
		{"an If-Match that is no tag", call{method: "PUT", path: path, body: `{"spec":{}}`, header: http.Header{"If-Match": {"1"}}}, v1.CodePreconditionFailed, "If-Match"},

		{"an id that is none", call{method: "GET", path: clusters + "/orders"}, v1.CodeInvalidID, "id"},
		{"an id in braces", call{method: "GET", path: clusters + "/{" + c.ID + "}"}, v1.CodeInvalidID, "id"},
		{"an id with a prefix", call{method: "DELETE", path: clusters + "/urn:uuid:" + c.ID}, v1.CodeInvalidID, "id"},
		{"an id without dashes", call{method: "POST", path: clusters + "/" + strings.ReplaceAll(c.ID, "-", "") + "/reconcile"}, v1.CodeInvalidID, "id"},
		{"SQL for an id", call{method: "GET", path: clusters + "/'%20OR%201=1--"}, v1.CodeInvalidID, "id"},
		{"an id that is none, in an update", call{method: "PUT", path: clusters + "/1", body: `{"spec":{}}`}, v1.CodeInvalidID, "id"},
		{"an id that is none, in a report", call{method: "PUT", path: clusters + "/1/status", as: controller, body: `{"controller_name":"dns"}`}, v1.CodeInvalidID, "id"},
		{"an id that is none, for a status", call{method: "GET", path: clusters + "/1/status"}, v1.CodeInvalidID, "id"},

		{"limit 0", call{method: "GET", path: clusters + "?limit=0"}, v1.CodeInvalidQuery, "limit"},
		{"limit 101", call{method: "GET", path: clusters + "?limit=101"}, v1.CodeInvalidQuery, "limit"},
		{"limit abc", call{method: "GET", path: clusters + "?limit=abc"}, v1.CodeInvalidQuery, "limit"},
		{"limit 5.0", call{method: "GET", path: clusters + "?limit=5.0"}, v1.CodeInvalidQuery, "limit"},
		{"no limit", call{method: "GET", path: clusters + "?limit="}, v1.CodeInvalidQuery, "limit"},
		{"two limits", call{method: "GET", path: clusters + "?limit=5&limit=1000"}, v1.CodeInvalidQuery, "limit"},
		{"offset -1", call{method: "GET", path: clusters + "?offset=-1"}, v1.CodeInvalidQuery, "offset"},
		{"offset beyond any list", call{method: "GET", path: clusters + "?offset=99999999999999999999"}, v1.CodeInvalidQuery, "offset"},
		{"no order", call{method: "GET", path: clusters + "?order_by=id"}, v1.CodeInvalidQuery, "order_by"},
		{"two orders in one", call{method: "GET", path: clusters + "?order_by=name,id"}, v1.CodeInvalidQuery, "order_by"},
		{"two orders", call{method: "GET", path: clusters + "?order_by=name&order_by=name"}, v1.CodeInvalidQuery, "order_by"},
		{"an order that is empty", call{method: "GET", path: clusters + "?order_by="}, v1.CodeInvalidQuery, "order_by"},
		{"no token of ours", call{method: "GET", path: clusters + "?page_token=x"}, v1.CodeInvalidPageToken, "page_token"},
		{"a token that is empty", call{method: "GET", path: clusters + "?page_token="}, v1.CodeInvalidQuery, "page_token"},
		{"two tokens", call{method: "GET", path: clusters + "?page_token=x&page_token=x"}, v1.CodeInvalidQuery, "page_token"},
		{"a token and an offset", call{method: "GET", path: clusters + "?page_token=x&offset=0"}, v1.CodeInvalidQuery, "page_token"},
		{"no phase", call{method: "GET", path: clusters + "?status=ready"}, v1.CodeInvalidQuery, "status"},
		{"no platform", call{method: "GET", path: clusters + "?platform=g%20c"}, v1.CodeInvalidQuery, "platform"},
		{"no name", call{method: "GET", path: clusters + "?name=%25"}, v1.CodeInvalidQuery, "name"},
		{"no address", call{method: "GET", path: clusters + "?created_by=x%00", as: admin}, v1.CodeInvalidQuery, "created_by"},
		{"no selector", call{method: "GET", path: clusters + "?label_selector=a%3D%3D%3Db"}, v1.CodeInvalidQuery, "label_selector"},
		{"a total that is not exact", call{method: "GET", path: clusters + "?total=true"}, v1.CodeInvalidQuery, "total"},
		{"a parameter nobody knows", call{method: "GET", path: clusters + "?page=2"}, v1.CodeInvalidQuery, "page"},
		{"a parameter in another case", call{method: "GET", path: clusters + "?Limit=2"}, v1.CodeInvalidQuery, "Limit"},
		{"a bad escape", call{method: "GET", path: clusters + "?name=%zz"}, v1.CodeInvalidQuery, "query"},
		{"a semicolon", call{method: "GET", path: clusters + "?limit=5;offset=1"}, v1.CodeInvalidQuery, "query"},
		{"a parameter where there are none", call{method: "GET", path: path + "?limit=1"}, v1.CodeInvalidQuery, "limit"},
		{"a parameter on a POST", call{method: "POST", path: clusters + "?dry_run=true", body: `{"name":"x"}`}, v1.CodeInvalidQuery, "dry_run"},
		{"a parameter on a report", call{method: "PUT", path: path + "/status?a=b", as: controller, body: `{"controller_name":"dns"}`}, v1.CodeInvalidQuery, "a"},
		{"a parameter on a wake-up", call{method: "POST", path: path + "/reconcile?force=true"}, v1.CodeInvalidQuery, "force"},
		{"a parameter on info", call{method: "GET", path: "/api/v1/info?a=b"}, v1.CodeInvalidQuery, "a"},
		{"force that is neither", call{method: "DELETE", path: path + "?force=yes"}, v1.CodeInvalidQuery, "force"},
		{"force twice", call{method: "DELETE", path: path + "?force=true&force=false"}, v1.CodeInvalidQuery, "force"},
		{"a reason without end", call{method: "DELETE", path: path + "?reason=" + strings.Repeat("a", 1025)}, v1.CodeInvalidQuery, "reason"},

		{"somebody else's clusters by name", call{method: "GET", path: clusters + "?created_by=bob@example.com"}, v1.CodeForbidden, "created_by"},
		{"nothing there", call{method: "GET", path: unknown}, v1.CodeNotFound, ""},
		{"nothing there to change", call{method: "PUT", path: unknown, body: `{"spec":{}}`}, v1.CodeNotFound, ""},
		{"nothing there to delete", call{method: "DELETE", path: unknown}, v1.CodeNotFound, ""},
		{"nothing there to wake", call{method: "POST", path: unknown + "/reconcile"}, v1.CodeNotFound, ""},
		{"nothing there to report on", call{method: "PUT", path: unknown + "/status", as: controller, body: `{"controller_name":"dns"}`}, v1.CodeNotFound, ""},
		{"no such route", call{method: "GET", path: "/api/v1/nope"}, v1.CodeNotFound, ""},
		{"a slash too many", call{method: "GET", path: clusters + "/"}, v1.CodeNotFound, ""},
		{"no such route, without identity", call{method: "GET", path: "/", as: "-"}, v1.CodeNotFound, ""},
		{"no such method", call{method: "PATCH", path: path + "/status", body: `{}`}, v1.CodeMethodNotAllowed, ""},
		{"no such method on a list", call{method: "DELETE", path: clusters}, v1.CodeMethodNotAllowed, ""},
		{"another media type", call{method: "POST", path: clusters, body: `{"name":"x"}`, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, v1.CodeUnsupportedMediaType, "Content-Type"},
		{"no media type at all", call{method: "PUT", path: path, body: `{"spec":{}}`, header: http.Header{"Content-Type": {"json"}}}, v1.CodeUnsupportedMediaType, "Content-Type"},
		{"another media type on a report", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"dns"}`, header: http.Header{"Content-Type": {"text/json"}}}, v1.CodeUnsupportedMediaType, "Content-Type"},
		{"a compressed body", call{method: "POST", path: clusters, body: `{"name":"x"}`, header: http.Header{"Content-Encoding": {"gzip"}}}, v1.CodeUnsupportedMediaType, "Content-Encoding"},
		{"a body of 2 MiB", call{method: "POST", path: clusters, body: `{"name":"x","description":"` + strings.Repeat("a", 2<<20) + `"}`}, v1.CodeBodyTooLarge, ""},
		{"one byte too many", call{method: "POST", path: clusters, body: sized(1<<20 + 1)}, v1.CodeBodyTooLarge, ""},
		{"a report of 2 MiB", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"` + strings.Repeat("a", 2<<20) + `"}`}, v1.CodeBodyTooLarge, ""},
		{"a spec that is too large as it is stored", call{method: "POST", path: clusters, body: `{"name":"x","spec":{"a":[` + strings.Repeat("1e300,", 4000) + `1]}}`}, v1.CodeBodyTooLarge, "spec"},

		{"a name that stands", call{method: "POST", path: clusters, body: `{"name":"orders"}`}, v1.CodeClusterNameExists, "name"},
		{"an old generation", call{method: "PUT", path: path, body: `{"spec":{},"generation":7}`}, v1.CodeGenerationConflict, "generation"},
		{"an old version", call{method: "PUT", path: path, body: `{"spec":{}}`, header: http.Header{"If-Match": {`"99"`}}}, v1.CodePreconditionFailed, "If-Match"},
		{"an old version, to delete", call{method: "DELETE", path: path, header: http.Header{"If-Match": {`"99"`}}}, v1.CodePreconditionFailed, "If-Match"},
		{"a protected cluster", call{method: "DELETE", path: path + "?force=true"}, v1.CodeDeletionProtected, "deletion_protection"},

		{"a report that is no JSON", call{method: "PUT", path: path + "/status", as: controller, body: `{`}, v1.CodeInvalidJSON, "body"},
		{"a report that is null", call{method: "PUT", path: path + "/status", as: controller, body: `null`}, v1.CodeInvalidJSON, "body"},
		{"a report that is a list", call{method: "PUT", path: path + "/status", as: controller, body: `[]`}, v1.CodeInvalidJSON, "body"},
		{"a report that is empty", call{method: "PUT", path: path + "/status", as: controller}, v1.CodeInvalidJSON, "body"},
		{"a report nested too deeply", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"dns","metadata":` + strings.Repeat(`{"a":`, 150) + "1" + strings.Repeat("}", 151)}, v1.CodeInvalidJSON, "body"},
		{"a report of nobody", call{method: "PUT", path: path + "/status", as: controller, body: `{}`}, v1.CodeInvalidField, "controller_name"},
		{"a condition that is neither", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"dns","conditions":[{"type":"Available","status":"true"}]}`}, v1.CodeInvalidField, "conditions[0].status"},
		{"a generation that does not exist yet", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"dns","observed_generation":2}`}, v1.CodeInvalidField, "observed_generation"},
		{"a report that nobody made", call{method: "DELETE", path: path + "/status/dns", as: controller}, v1.CodeNotFound, "controller_name"},
		{"a report on nothing", call{method: "DELETE", path: unknown + "/status/dns", as: controller}, v1.CodeNotFound, ""},
		{"a report on no id", call{method: "DELETE", path: clusters + "/1/status/dns", as: controller}, v1.CodeInvalidID, "id"},
		{"another controller's report", call{method: "DELETE", path: path + "/status/infra", as: dnsOnly}, v1.CodeForbidden, "controller_name"},
		{"a parameter on a dropped report", call{method: "DELETE", path: path + "/status/dns?force=true", as: controller}, v1.CodeInvalidQuery, "force"},
		{"another controller's slot", call{method: "PUT", path: path + "/status", as: dnsOnly, body: `{"controller_name":"infra"}`}, v1.CodeForbidden, "controller_name"},
	} {
		t.Run(test.why, func(t *testing.T) {
			c := test.call
			switch c.as {
			case "":
				c.as = ada
			case "-":
				c.as = ""
			}
			b := *b
			b.t = t
			body := b.do(c).failsAt(test.code, test.field)
			for _, word := range []string{"SQLSTATE", "pgx", "json:", "Go ", "invalid character", "ERROR:"} {
				if strings.Contains(body.Message, word) {
					t.Errorf("the sentence %q is not for callers", body.Message)
				}
			}
			if diff := cmp.Diff(before, b.state()); diff != "" {
				t.Fatalf("something changed:\n%s", diff)
			}
		})
	}
}

// sized returns a valid body of a new cluster of just that many bytes.
func sized(n int) string {
	const head, tail = `{"name":"sized","spec":{"a":"`, `"}}`
	return head + strings.Repeat("a", n-len(head)-len(tail)) + tail
}

func TestRefusals_NameAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	for _, test := range []struct {
		why  string
		call call
		want []string
	}{
		{"of form and of rules", call{method: "POST", path: clusters, body: `{"name":"NO","labels":{"a b":"1","c":2},"paused":1,"what":1,"spec":{"platform":{"type":"?"},"x":"\u0000"}}`}, []string{"spec.x", "paused", "labels.c", "what", "name", "labels.a b", "spec.platform.type"}},
		{"of an update", call{method: "PUT", path: clusters + "/00000000-0000-7000-8000-000000000000", body: `{"name":7,"generation":"x","labels":{"é":""},"description":false}`}, []string{"name", "description", "generation", "spec", "labels.é"}},
		{"of a patch", call{method: "PATCH", path: clusters + "/00000000-0000-7000-8000-000000000000", body: `{"spec":null,"labels":{"a":1,"b b":"c"},"paused":"x","what":null}`}, []string{"paused", "labels.a", "what", "spec", "labels.b b"}},
		{"of a query", call{method: "GET", path: clusters + "?limit=1000&offset=x&order_by=id&page_token=x&status=no&name=NO&label_selector=?&created_by=me&page=2&total=1"}, []string{"limit", "offset", "page", "page_token", "total", "order_by", "status", "name", "label_selector", "created_by"}},
		{"of a report", call{method: "PUT", path: clusters + "/00000000-0000-7000-8000-000000000000/status", as: controller, body: `{"conditions":[{"type":"a","status":"x"},{"type":"b","status":"True"},{"type":"c"}],"observed_generation":-1}`}, []string{"controller_name", "conditions[0].status", "conditions[2].status", "observed_generation"}},
	} {
		if test.call.as == "" {
			test.call.as = ada
		}
		body := into[v1.ErrorBody](b.do(test.call).is(http.StatusBadRequest))
		var got []string
		for _, e := range body.Details.Errors {
			got = append(got, e.Field)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: fields -want +got:\n%s", test.why, diff)
		}
	}
}

func TestRefusals_ShowTheValueAndWhatWouldPass(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	d := b.get(ada, clusters+"?limit=101").failsAt(v1.CodeInvalidQuery, "limit").Details
	if d.Value != "101" {
		t.Errorf("value %v, want the text that was given", d.Value)
	}
	d = b.get(ada, clusters+"?status=ready").failsAt(v1.CodeInvalidQuery, "status").Details
	if d.Value != "ready" || len(d.Allowed) != 5 {
		t.Errorf("value %v, allowed %v", d.Value, d.Allowed)
	}
	d = b.get(ada, clusters+"?order_by=age").failsAt(v1.CodeInvalidQuery, "order_by").Details
	if d.Value != "age" || strings.Join(d.Allowed, " ") != "created_at -created_at name -name updated_at -updated_at" {
		t.Errorf("value %v, allowed %v", d.Value, d.Allowed)
	}
	secret := b.do(call{method: "POST", path: clusters, as: ada, body: `{"name":"x","spec":"-----BEGIN KEY"}`})
	if secret.failsAt(v1.CodeInvalidField, "spec"); strings.Contains(secret.body, "BEGIN KEY") {
		t.Errorf("repeats what may be a secret: %s", secret.body)
	}
}

// A refused body may be of any length; the answer to it is short.
func TestRefusals_AreShort(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	long := strings.Repeat("k", 900_000)
	r := b.do(call{method: "POST", path: clusters, as: ada, body: `{"name":"x","` + long + `":1}`})
	if r.fails(v1.CodeInvalidField); len(r.body) > 4096 {
		t.Errorf("an answer of %d bytes", len(r.body))
	}
	var many strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&many, `"f%d":1,`, i)
	}
	r = b.do(call{method: "POST", path: clusters, as: ada, body: `{` + many.String() + `"name":"x"}`})
	if n := len(r.fails(v1.CodeInvalidField).Details.Errors); n > 100 {
		t.Errorf("an answer with %d faults", n)
	}
}

func TestRefusals_NotAllowedNamesWhatIs(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	for path, want := range map[string]string{
		clusters: "GET, HEAD, POST", clusters + "/x": "DELETE, GET, HEAD, PATCH, PUT",
		clusters + "/x/status/dns": "DELETE", clusters + "/x/reconcile": "POST", clusters + "/x/status": "GET, HEAD, PUT", "/health": "GET, HEAD",
	} {
		r := b.do(call{method: http.MethodTrace, path: path})
		r.fails(v1.CodeMethodNotAllowed)
		if got := r.header.Get("Allow"); got != want {
			t.Errorf("%s: Allow %q, want %q", path, got, want)
		}
	}
}

func TestRefusals_AreProblemsForWhomAsks(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	problem := http.Header{"Accept": {"application/problem+json"}}
	for _, c := range []call{
		{method: "GET", path: clusters + "?limit=0", as: ada},
		{method: "GET", path: clusters + "/nope", as: ada},
		{method: "GET", path: clusters},
		{method: "GET", path: "/nope"},
		{method: "PATCH", path: clusters},
		{method: "POST", path: clusters, as: controller, body: `{}`},
	} {
		plain := into[v1.ErrorBody](b.do(c))
		c.header = problem
		r := b.do(c)
		if got := r.header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s %s: Content-Type %q", c.method, c.path, got)
		}
		got := into[v1.Problem](r)
		want := v1.Problem{
			Type: "about:blank", Title: http.StatusText(r.status), Status: r.status, Detail: plain.Message, Code: plain.Code,
			RequestID: r.header.Get("X-Request-ID"),
		}
		if plain.Details != nil {
			want.Errors = plain.Details.Errors
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s: -want +got:\n%s", c.method, c.path, diff)
		}
	}
	if got := b.do(call{method: "GET", path: clusters, as: ada, header: problem}).is(http.StatusOK).header.Get("Content-Type"); got != "application/json" {
		t.Errorf("a success as %q", got)
	}
}

// A body within the limit passes, and one beyond it fails with a length and without.
func TestBodies_AreBoundedWithAndWithoutALength(t *testing.T) {
	t.Parallel()
	b := newBackend(t, func(o *api.Options) { o.MaxBodyBytes = 4096 })
	b.create(ada, sized(4096))
	server := httptest.NewServer(b.server)
	t.Cleanup(server.Close)
	for _, chunked := range []bool{false, true} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+clusters, strings.NewReader(sized(4097)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-User-Email", ada)
		if chunked {
			r.ContentLength = -1
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("chunked %v: status %d", chunked, answer.StatusCode)
		}
	}
	if n := b.count("clusters"); n != 1 {
		t.Errorf("%d clusters", n)
	}
}
