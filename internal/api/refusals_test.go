package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
	"github.com/cls-backend/cls-backend/internal/models"
)

// refusal is a call that is refused.
type refusal struct {
	why   string
	call  call
	code  v1.Code
	field string
}

// asked is the call as it is made: by ada, unless it says otherwise.
func (r refusal) asked() call {
	c := r.call
	switch c.as {
	case "":
		c.as = ada
	case "-":
		c.as = ""
	}
	return c
}

// allRefusals declares what they are about, and returns them.
func allRefusals(of collection) []refusal {
	id := of.declare(ada, `{"name":"orders","deletion_protection":true,"spec":{"platform":{"type":"gcp"}}}`).ID
	dying := of.declare(ada, `{"name":"dying"}`).ID
	of.hold(dying)
	of.once("a-key", `{"name":"keyed"}`).is(http.StatusCreated)
	all := append(refusals(of, id), refusalsOfKind(of, id)...)
	return append(append(all, refusalsOfTheDying(of, dying)...), refusalsOfRegistry(of.backend)...)
}

// Every refusal has its status, its code and its field, and leaves no trace.
func TestRefusals_ChangeNothing(t *testing.T) { //nolint:tparallel // a subtest compares the whole database
	t.Parallel()
	for _, kind := range models.Kinds() {
		of := newBackend(t).collection(kind, ada)
		all := allRefusals(of)
		before := of.state()
		for _, test := range all {
			t.Run(string(kind)+"/"+test.why, func(t *testing.T) {
				of := of.with(t)
				body := of.do(test.asked()).failsAt(test.code, test.field)
				for _, word := range []string{"SQLSTATE", "pgx", "json:", "Go ", "invalid character", "ERROR:"} {
					if strings.Contains(body.Message, word) {
						t.Errorf("the sentence %q is not for callers", body.Message)
					}
				}
				if diff := cmp.Diff(before, of.state()); diff != "" {
					t.Fatalf("something changed:\n%s", diff)
				}
			})
		}
	}
}

// refusals are those of either kind, on a protected resource named orders.
func refusals(of collection, id string) []refusal {
	list, path, none := of.path, of.path+"/"+id, of.path+"/"+unknown
	deep := `{"name":"x","spec":` + strings.Repeat(`{"a":`, 150) + "1" + strings.Repeat("}", 151)
	tooDeep := `{"name":"x","spec":` + strings.Repeat(`[`, 20000) + strings.Repeat("]", 20000) + "}"
	return []refusal{
		{"no JSON", call{method: "POST", path: list, body: of.body(`{"name":`)}, v1.CodeInvalidJSON, "body"},
		{"more than one JSON", call{method: "POST", path: list, body: of.body(`{"name":"x"} {}`)}, v1.CodeInvalidJSON, "body"},
		{"no body", call{method: "POST", path: list}, v1.CodeInvalidJSON, "body"},
		{"blanks", call{method: "POST", path: list, body: of.body("  \n")}, v1.CodeInvalidJSON, "body"},
		{"null", call{method: "POST", path: list, body: of.body(`null`)}, v1.CodeInvalidJSON, "body"},
		{"a list", call{method: "POST", path: list, body: of.body(`[{"name":"x"}]`)}, v1.CodeInvalidJSON, "body"},
		{"a text", call{method: "PUT", path: path, body: `"x"`}, v1.CodeInvalidJSON, "body"},
		{"nested beyond any parser", call{method: "POST", path: list, body: of.body(tooDeep)}, v1.CodeInvalidJSON, "body"},
		{"nested too deeply", call{method: "POST", path: list, body: of.body(deep)}, v1.CodeInvalidField, "spec" + strings.Repeat(".a", 11)},

		{"no name", call{method: "POST", path: list, body: of.body(`{}`)}, v1.CodeInvalidField, "name"},
		{"a name that is null", call{method: "POST", path: list, body: of.body(`{"name":null}`)}, v1.CodeInvalidField, "name"},
		{"a name that is none", call{method: "POST", path: list, body: of.body(`{"name":"Orders!"}`)}, v1.CodeInvalidField, "name"},
		{"a name of 64", call{method: "POST", path: list, body: of.body(`{"name":"` + strings.Repeat("a", 64) + `"}`)}, v1.CodeInvalidField, "name"},
		{"a number for a name", call{method: "POST", path: list, body: of.body(`{"name":7}`)}, v1.CodeInvalidField, "name"},
		{"a text for a flag", call{method: "POST", path: list, body: of.body(`{"name":"x","paused":"yes"}`)}, v1.CodeInvalidField, "paused"},
		{"a list for a spec", call{method: "POST", path: list, body: of.body(`{"name":"x","spec":[]}`)}, v1.CodeInvalidField, "spec"},
		{"a field nobody knows", call{method: "POST", path: list, body: of.body(`{"name":"x","specs":{}}`)}, v1.CodeInvalidField, "specs"},
		{"a field in another case", call{method: "POST", path: list, body: of.body(`{"name":"x","Spec":{}}`)}, v1.CodeInvalidField, "Spec"},
		{"a number in a label", call{method: "POST", path: list, body: of.body(`{"name":"x","labels":{"a":1}}`)}, v1.CodeInvalidField, "labels.a"},
		{"null in a label", call{method: "POST", path: list, body: of.body(`{"name":"x","labels":{"a":null}}`)}, v1.CodeInvalidField, "labels.a"},
		{"labels that are a list", call{method: "POST", path: list, body: of.body(`{"name":"x","labels":["a"]}`)}, v1.CodeInvalidField, "labels"},
		{"a label key that is none", call{method: "POST", path: list, body: of.body(`{"name":"x","labels":{"a b":"1"}}`)}, v1.CodeInvalidField, "labels.a b"},
		{"a platform that is none", call{method: "POST", path: list, body: of.body(`{"name":"x","spec":{"platform":{"type":"g c p"}}}`)}, v1.CodeInvalidField, "spec.platform.type"},
		{"a platform that is a number", call{method: "POST", path: list, body: of.body(`{"name":"x","spec":{"platform":{"type":1}}}`)}, v1.CodeInvalidField, "spec.platform.type"},
		{"a long description", call{method: "POST", path: list, body: of.body(`{"name":"x","description":"` + strings.Repeat("a", 4097) + `"}`)}, v1.CodeInvalidField, "description"},
		{"NUL", call{method: "POST", path: list, body: of.body(`{"name":"x","spec":{"a":["b\u0000"]}}`)}, v1.CodeInvalidField, "spec.a[0]"},
		{"NUL in a key", call{method: "POST", path: list, body: of.body(`{"name":"x","spec":{"a\u0000":1}}`)}, v1.CodeInvalidField, "spec.a\uFFFD"},
		{"NUL in a description", call{method: "POST", path: list, body: of.body(`{"name":"x","description":"\u0000"}`)}, v1.CodeInvalidField, "description"},
		{"half a surrogate pair", call{method: "PUT", path: path, body: `{"spec":{"a":"\ud800"}}`}, v1.CodeInvalidField, "spec.a"},
		{"a number out of range", call{method: "PUT", path: path, body: `{"spec":{"a":1e999}}`}, v1.CodeInvalidField, "spec.a"},
		{"bytes that are no UTF-8", call{method: "PUT", path: path, body: "{\"spec\":{\"a\":\"\xff\"}}"}, v1.CodeInvalidField, "spec.a"},
		{"no spec in an update", call{method: "PUT", path: path, body: `{}`}, v1.CodeInvalidField, "spec"},
		{"null for a spec in an update", call{method: "PUT", path: path, body: `{"spec":null}`}, v1.CodeInvalidField, "spec"},
		{"another id", call{method: "PUT", path: path, body: `{"spec":{},"id":"x"}`}, v1.CodeInvalidField, "id"},
		{"another name", call{method: "PUT", path: path, body: `{"spec":{},"name":"x"}`}, v1.CodeInvalidField, "name"},
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
		{"nothing there to patch", call{method: "PATCH", path: none, body: `{}`}, v1.CodeNotFound, ""},
		{"an empty If-Match, to delete", call{method: "DELETE", path: path, header: http.Header{"If-Match": {""}}}, v1.CodeInvalidField, "If-Match"},
		{"an empty If-Match", call{method: "PUT", path: path, body: `{"spec":{}}`, header: http.Header{"If-Match": {""}}}, v1.CodeInvalidField, "If-Match"},
		{"an If-Match that is no tag", call{method: "PUT", path: path, body: `{"spec":{}}`, header: http.Header{"If-Match": {"1"}}}, v1.CodePreconditionFailed, "If-Match"},

		{"an id that is none", call{method: "GET", path: list + "/orders"}, v1.CodeInvalidID, "id"},
		{"an id in braces", call{method: "GET", path: list + "/{" + id + "}"}, v1.CodeInvalidID, "id"},
		{"an id with a prefix", call{method: "DELETE", path: list + "/urn:uuid:" + id}, v1.CodeInvalidID, "id"},
		{"an id without dashes", call{method: "POST", path: list + "/" + strings.ReplaceAll(id, "-", "") + "/reconcile"}, v1.CodeInvalidID, "id"},
		{"SQL for an id", call{method: "GET", path: list + "/'%20OR%201=1--"}, v1.CodeInvalidID, "id"},
		{"an id that is none, in an update", call{method: "PUT", path: list + "/1", body: `{"spec":{}}`}, v1.CodeInvalidID, "id"},
		{"an id that is none, in a report", call{method: "PUT", path: list + "/1/status", as: controller, body: `{"controller_name":"dns"}`}, v1.CodeInvalidID, "id"},
		{"an id that is none, in a patch", call{method: "PATCH", path: list + "/1", body: `{}`}, v1.CodeInvalidID, "id"},
		{"an id that is none, to explain", call{method: "GET", path: list + "/1/explain"}, v1.CodeInvalidID, "id"},
		{"an id that is none, for a status", call{method: "GET", path: list + "/1/status"}, v1.CodeInvalidID, "id"},

		{"limit 0", call{method: "GET", path: list + "?limit=0"}, v1.CodeInvalidQuery, "limit"},
		{"limit 101", call{method: "GET", path: list + "?limit=101"}, v1.CodeInvalidQuery, "limit"},
		{"limit abc", call{method: "GET", path: list + "?limit=abc"}, v1.CodeInvalidQuery, "limit"},
		{"limit 5.0", call{method: "GET", path: list + "?limit=5.0"}, v1.CodeInvalidQuery, "limit"},
		{"no limit", call{method: "GET", path: list + "?limit="}, v1.CodeInvalidQuery, "limit"},
		{"two limits", call{method: "GET", path: list + "?limit=5&limit=1000"}, v1.CodeInvalidQuery, "limit"},
		{"offset -1", call{method: "GET", path: list + "?offset=-1"}, v1.CodeInvalidQuery, "offset"},
		{"offset beyond any list", call{method: "GET", path: list + "?offset=99999999999999999999"}, v1.CodeInvalidQuery, "offset"},
		{"no phase", call{method: "GET", path: list + "?status=ready"}, v1.CodeInvalidQuery, "status"},
		{"no platform", call{method: "GET", path: list + "?platform=g%20c"}, v1.CodeInvalidQuery, "platform"},
		{"no name", call{method: "GET", path: list + "?name=%25"}, v1.CodeInvalidQuery, "name"},
		{"no address", call{method: "GET", path: list + "?created_by=x%00", as: admin}, v1.CodeInvalidQuery, "created_by"},
		{"no selector", call{method: "GET", path: list + "?label_selector=a%3D%3D%3Db"}, v1.CodeInvalidQuery, "label_selector"},
		{"a total that is not exact", call{method: "GET", path: list + "?total=true"}, v1.CodeInvalidQuery, "total"},
		{"a parameter nobody knows", call{method: "GET", path: list + "?page=2"}, v1.CodeInvalidQuery, "page"},
		{"a parameter in another case", call{method: "GET", path: list + "?Limit=2"}, v1.CodeInvalidQuery, "Limit"},
		{"a bad escape", call{method: "GET", path: list + "?name=%zz"}, v1.CodeInvalidQuery, "query"},
		{"a semicolon", call{method: "GET", path: list + "?limit=5;offset=1"}, v1.CodeInvalidQuery, "query"},
		{"a parameter where there are none", call{method: "GET", path: path + "?limit=1"}, v1.CodeInvalidQuery, "limit"},
		{"a parameter on a POST", call{method: "POST", path: list + "?force=true", body: of.body(`{"name":"x"}`)}, v1.CodeInvalidQuery, "force"},
		{"a dry run that is neither", call{method: "POST", path: list + "?dry_run=1", body: of.body(`{"name":"x"}`)}, v1.CodeInvalidQuery, "dry_run"},
		{"a dry run twice", call{method: "PUT", path: path + "?dry_run=true&dry_run=true", body: `{"spec":{}}`}, v1.CodeInvalidQuery, "dry_run"},
		{"a dry run of a read", call{method: "GET", path: path + "?dry_run=true"}, v1.CodeInvalidQuery, "dry_run"},
		{"a parameter on a status", call{method: "GET", path: path + "/status?a=b"}, v1.CodeInvalidQuery, "a"},
		{"a parameter on an explanation", call{method: "GET", path: path + "/explain?lane=stable"}, v1.CodeInvalidQuery, "lane"},
		{"a dry run of what is refused", call{method: "POST", path: list + "?dry_run=true", body: of.body(`{"name":"orders"}`)}, of.nameExists, "name"},
		{"a dry run of a protected one's end", call{method: "DELETE", path: path + "?dry_run=true"}, v1.CodeDeletionProtected, "deletion_protection"},

		{"an empty key", call{method: "POST", path: list, body: of.body(`{"name":"x"}`), header: key("")}, v1.CodeInvalidField, "Idempotency-Key"},
		{"a key of 256", call{method: "POST", path: list, body: of.body(`{"name":"x"}`), header: key(strings.Repeat("k", 256))}, v1.CodeInvalidField, "Idempotency-Key"},
		{"a key that is not printable", call{method: "POST", path: list, body: of.body(`{"name":"x"}`), header: key("a\u00e9")}, v1.CodeInvalidField, "Idempotency-Key"},
		{"two keys", call{method: "POST", path: list, body: of.body(`{"name":"x"}`), header: key("a", "b")}, v1.CodeInvalidField, "Idempotency-Key"},
		{"a key of another body", call{method: "POST", path: list, body: of.body(`{"name":"x"}`), header: key("a-key")}, v1.CodeIdempotencyKeyReused, "Idempotency-Key"},
		{"a key of a name that stands", call{method: "POST", path: list, body: of.body(`{"name":"orders"}`), header: key("another-key")}, of.nameExists, "name"},
		{"a parameter on a report", call{method: "PUT", path: path + "/status?a=b", as: controller, body: `{"controller_name":"dns"}`}, v1.CodeInvalidQuery, "a"},
		{"a parameter on a wake-up", call{method: "POST", path: path + "/reconcile?force=true"}, v1.CodeInvalidQuery, "force"},
		{"a parameter on info", call{method: "GET", path: "/api/v1/info?a=b"}, v1.CodeInvalidQuery, "a"},
		{"force that is neither", call{method: "DELETE", path: path + "?force=yes"}, v1.CodeInvalidQuery, "force"},
		{"force twice", call{method: "DELETE", path: path + "?force=true&force=false"}, v1.CodeInvalidQuery, "force"},
		{"a reason without end", call{method: "DELETE", path: path + "?reason=" + strings.Repeat("a", 1025)}, v1.CodeInvalidQuery, "reason"},

		{"somebody else's by name", call{method: "GET", path: list + "?created_by=bob@example.com"}, v1.CodeForbidden, "created_by"},
		{"nothing there", call{method: "GET", path: none}, v1.CodeNotFound, ""},
		{"nothing there to change", call{method: "PUT", path: none, body: `{"spec":{}}`}, v1.CodeNotFound, ""},
		{"nothing there to delete", call{method: "DELETE", path: none}, v1.CodeNotFound, ""},
		{"nothing there to explain", call{method: "GET", path: none + "/explain"}, v1.CodeNotFound, ""},
		{"somebody else's to explain", call{method: "GET", path: path + "/explain", as: bob}, v1.CodeNotFound, ""},
		{"nothing there to wake", call{method: "POST", path: none + "/reconcile"}, v1.CodeNotFound, ""},
		{"nothing there to report on", call{method: "PUT", path: none + "/status", as: controller, body: `{"controller_name":"dns"}`}, v1.CodeNotFound, ""},
		{"no such route", call{method: "GET", path: "/api/v1/nope"}, v1.CodeNotFound, ""},
		{"a slash too many", call{method: "GET", path: list + "/"}, v1.CodeNotFound, ""},
		{"no such route, without identity", call{method: "GET", path: "/", as: "-"}, v1.CodeNotFound, ""},
		{"no such method", call{method: "PATCH", path: path + "/status", body: `{}`}, v1.CodeMethodNotAllowed, ""},
		{"no such method on a list", call{method: "DELETE", path: list}, v1.CodeMethodNotAllowed, ""},
		{"another media type", call{method: "POST", path: list, body: of.body(`{"name":"x"}`), header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, v1.CodeUnsupportedMediaType, "Content-Type"},
		{"no media type at all", call{method: "PUT", path: path, body: `{"spec":{}}`, header: http.Header{"Content-Type": {"json"}}}, v1.CodeUnsupportedMediaType, "Content-Type"},
		{"another media type on a report", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"dns"}`, header: http.Header{"Content-Type": {"text/json"}}}, v1.CodeUnsupportedMediaType, "Content-Type"},
		{"a compressed body", call{method: "POST", path: list, body: of.body(`{"name":"x"}`), header: http.Header{"Content-Encoding": {"gzip"}}}, v1.CodeUnsupportedMediaType, "Content-Encoding"},
		{"a body of 2 MiB", call{method: "POST", path: list, body: of.body(`{"name":"x","description":"` + strings.Repeat("a", 2<<20) + `"}`)}, v1.CodeBodyTooLarge, ""},
		{"one byte too many", call{method: "POST", path: list, body: of.body(sized(1<<20 + 1))}, v1.CodeBodyTooLarge, ""},
		{"a report of 2 MiB", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"` + strings.Repeat("a", 2<<20) + `"}`}, v1.CodeBodyTooLarge, ""},
		{"a spec that is too large as it is stored", call{method: "POST", path: list, body: of.body(`{"name":"x","spec":{"a":[` + strings.Repeat("1e300,", 4000) + `1]}}`)}, v1.CodeBodyTooLarge, "spec"},

		{"a name that stands", call{method: "POST", path: list, body: of.body(`{"name":"orders"}`)}, of.nameExists, "name"},
		{"an old generation", call{method: "PUT", path: path, body: `{"spec":{},"generation":7}`}, v1.CodeGenerationConflict, "generation"},
		{"an old version", call{method: "PUT", path: path, body: `{"spec":{}}`, header: http.Header{"If-Match": {`"99"`}}}, v1.CodePreconditionFailed, "If-Match"},
		{"an old version, to delete", call{method: "DELETE", path: path, header: http.Header{"If-Match": {`"99"`}}}, v1.CodePreconditionFailed, "If-Match"},
		{"a protected one", call{method: "DELETE", path: path + "?force=true"}, v1.CodeDeletionProtected, "deletion_protection"},

		{"a report that is no JSON", call{method: "PUT", path: path + "/status", as: controller, body: `{`}, v1.CodeInvalidJSON, "body"},
		{"a report that is null", call{method: "PUT", path: path + "/status", as: controller, body: `null`}, v1.CodeInvalidJSON, "body"},
		{"a report that is a list", call{method: "PUT", path: path + "/status", as: controller, body: `[]`}, v1.CodeInvalidJSON, "body"},
		{"a report that is empty", call{method: "PUT", path: path + "/status", as: controller}, v1.CodeInvalidJSON, "body"},
		{"a report nested too deeply", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"dns","metadata":` + strings.Repeat(`{"a":`, 150) + "1" + strings.Repeat("}", 151)}, v1.CodeInvalidJSON, "body"},
		{"a report of nobody", call{method: "PUT", path: path + "/status", as: controller, body: `{}`}, v1.CodeInvalidField, "controller_name"},
		{"a condition that is neither", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"dns","conditions":[{"type":"Available","status":"true"}]}`}, v1.CodeInvalidField, "conditions[0].status"},
		{"a generation that does not exist yet", call{method: "PUT", path: path + "/status", as: controller, body: `{"controller_name":"dns","observed_generation":2}`}, v1.CodeInvalidField, "observed_generation"},
		{"a report that nobody made", call{method: "DELETE", path: path + "/status/dns", as: controller}, v1.CodeNotFound, "controller_name"},
		{"a report of no controller's name", call{method: "DELETE", path: path + "/status/a%00", as: controller}, v1.CodeNotFound, "controller_name"},
		{"a report of no UTF-8", call{method: "DELETE", path: path + "/status/a%ff", as: controller}, v1.CodeNotFound, "controller_name"},
		{"a report on nothing", call{method: "DELETE", path: none + "/status/dns", as: controller}, v1.CodeNotFound, ""},
		{"a report on no id", call{method: "DELETE", path: list + "/1/status/dns", as: controller}, v1.CodeInvalidID, "id"},
		{"another controller's report", call{method: "DELETE", path: path + "/status/infra", as: dnsOnly}, v1.CodeForbidden, "controller_name"},
		{"a parameter on a dropped report", call{method: "DELETE", path: path + "/status/dns?force=true", as: controller}, v1.CodeInvalidQuery, "force"},
		{"another controller's slot", call{method: "PUT", path: path + "/status", as: dnsOnly, body: `{"controller_name":"infra"}`}, v1.CodeForbidden, "controller_name"},
	}
}

// key is the header that makes a POST one that may be repeated.
func key(keys ...string) http.Header { return http.Header{"Idempotency-Key": keys} }

// refusalsOfTheDying are those on a resource that is being deleted.
func refusalsOfTheDying(of collection, id string) []refusal {
	path := of.path + "/" + id
	return []refusal{
		{"a change of what is being deleted", call{method: "PUT", path: path, body: `{"spec":{"a":1}}`}, v1.CodeClusterDeleting, ""},
		{"a change that changes nothing", call{method: "PUT", path: path, body: `{"spec":{}}`}, v1.CodeClusterDeleting, ""},
		{"a dry run of a change", call{method: "PUT", path: path + "?dry_run=true", body: `{"spec":{}}`}, v1.CodeClusterDeleting, ""},
		{"a patch of what is being deleted", call{method: "PATCH", path: path, body: `{"paused":true}`}, v1.CodeClusterDeleting, ""},
		{"the name of what is being deleted", call{method: "POST", path: of.path, body: of.body(`{"name":"dying"}`)}, of.nameExists, "name"},
		{"a second end made from another version", call{method: "DELETE", path: path, header: staleTag}, v1.CodePreconditionFailed, "If-Match"},
		{"a stranger's force", call{method: "DELETE", path: path + "?force=true", as: bob}, v1.CodeNotFound, ""},
	}
}

// refusalsOfKind are about what the kinds do not have in common.
func refusalsOfKind(of collection, id string) []refusal {
	path := of.path + "/" + id
	if of.kind == models.KindCluster {
		return []refusal{
			{"another project", call{method: "PUT", path: path, body: `{"spec":{},"target_project_id":"x"}`}, v1.CodeInvalidField, "target_project_id"},
			{"a patch of the project", call{method: "PATCH", path: path, body: `{"target_project_id":"x"}`}, v1.CodeInvalidField, "target_project_id"},
			{"a cluster in a cluster", call{method: "POST", path: clusters, body: `{"name":"x","cluster_id":"` + id + `"}`}, v1.CodeInvalidField, "cluster_id"},
			{"a PUT into a cluster", call{method: "PUT", path: path, body: `{"spec":{},"cluster_id":"` + id + `"}`}, v1.CodeInvalidField, "cluster_id"},
			{"a patch into a cluster", call{method: "PATCH", path: path, body: `{"cluster_id":"` + id + `"}`}, v1.CodeInvalidField, "cluster_id"},
			{"clusters of a cluster", call{method: "GET", path: clusters + "?cluster_id=" + id}, v1.CodeInvalidQuery, "cluster_id"},
			{"clusters of a cluster, by its other name", call{method: "GET", path: clusters + "?clusterId=" + id}, v1.CodeInvalidQuery, "clusterId"},
		}
	}
	within := clusters + "/" + of.home + "/nodepools"
	ending := of
	ending.home = of.create(ada, `{"name":"ending"}`).ID
	of.collection(models.KindCluster, ada).hold(ending.home)
	return []refusal{
		{"a cluster that is being deleted", call{method: "POST", path: nodepools, body: ending.body(`{"name":"x"}`)}, v1.CodeClusterDeleting, ""},
		{"a cluster that is being deleted, to try", call{method: "POST", path: nodepools + "?dry_run=true", body: ending.body(`{"name":"x"}`)}, v1.CodeClusterDeleting, ""},
		{"no cluster", call{method: "POST", path: nodepools, body: `{"name":"x"}`}, v1.CodeInvalidField, "cluster_id"},
		{"null for a cluster", call{method: "POST", path: nodepools, body: `{"name":"x","cluster_id":null}`}, v1.CodeInvalidField, "cluster_id"},
		{"an empty cluster", call{method: "POST", path: nodepools, body: `{"name":"x","cluster_id":""}`}, v1.CodeInvalidField, "cluster_id"},
		{"a number for a cluster", call{method: "POST", path: nodepools, body: `{"name":"x","cluster_id":7}`}, v1.CodeInvalidField, "cluster_id"},
		{"a cluster by its name", call{method: "POST", path: nodepools, body: `{"name":"x","cluster_id":"home"}`}, v1.CodeInvalidField, "cluster_id"},
		{"a cluster without dashes", call{method: "POST", path: nodepools, body: `{"name":"x","cluster_id":"` + strings.ReplaceAll(of.home, "-", "") + `"}`}, v1.CodeInvalidField, "cluster_id"},
		{"a cluster that is not there", call{method: "POST", path: nodepools, body: `{"name":"x","cluster_id":"` + unknown + `"}`}, v1.CodeNotFound, ""},
		{"a bad name in a cluster that is not there", call{method: "POST", path: nodepools, body: `{"name":"NO","cluster_id":"` + unknown + `"}`}, v1.CodeInvalidField, "name"},
		{"somebody else's cluster", call{method: "POST", path: nodepools, as: bob, body: of.body(`{"name":"x"}`)}, v1.CodeNotFound, ""},
		{"a project", call{method: "POST", path: nodepools, body: of.body(`{"name":"x","target_project_id":"p"}`)}, v1.CodeInvalidField, "target_project_id"},
		{"a PUT of a project", call{method: "PUT", path: path, body: `{"spec":{},"target_project_id":""}`}, v1.CodeInvalidField, "target_project_id"},
		{"a patch of a project", call{method: "PATCH", path: path, body: `{"target_project_id":"p"}`}, v1.CodeInvalidField, "target_project_id"},
		{"another cluster", call{method: "PUT", path: path, body: `{"spec":{},"cluster_id":"` + unknown + `"}`}, v1.CodeInvalidField, "cluster_id"},
		{"a patch into another cluster", call{method: "PATCH", path: path, body: `{"cluster_id":"` + unknown + `"}`}, v1.CodeInvalidField, "cluster_id"},

		{"a filter that is no cluster", call{method: "GET", path: nodepools + "?cluster_id=home"}, v1.CodeInvalidQuery, "cluster_id"},
		{"a filter that is no cluster, by its other name", call{method: "GET", path: nodepools + "?clusterId=home"}, v1.CodeInvalidQuery, "clusterId"},
		{"an empty filter by cluster", call{method: "GET", path: nodepools + "?clusterId="}, v1.CodeInvalidQuery, "clusterId"},
		{"one cluster twice", call{method: "GET", path: nodepools + "?cluster_id=" + of.home + "&cluster_id=" + of.home}, v1.CodeInvalidQuery, "cluster_id"},
		{"a cluster under both names", call{method: "GET", path: nodepools + "?cluster_id=" + of.home + "&clusterId=" + of.home}, v1.CodeInvalidQuery, "cluster_id"},
		{"the pools of no id", call{method: "GET", path: clusters + "/home/nodepools"}, v1.CodeInvalidID, "id"},
		{"the pools of nothing", call{method: "GET", path: clusters + "/" + unknown + "/nodepools"}, v1.CodeNotFound, ""},
		{"the pools of a node pool", call{method: "GET", path: clusters + "/" + id + "/nodepools"}, v1.CodeNotFound, ""},
		{"the pools of somebody else's cluster", call{method: "GET", path: within, as: bob}, v1.CodeNotFound, ""},
		{"the pools of a cluster and a cluster", call{method: "GET", path: within + "?cluster_id=" + of.home}, v1.CodeInvalidQuery, "cluster_id"},
		{"too many pools of a cluster", call{method: "GET", path: within + "?limit=101"}, v1.CodeInvalidQuery, "limit"},
		{"the pools of a cluster by somebody else", call{method: "GET", path: within + "?created_by=" + bob}, v1.CodeForbidden, "created_by"},
		{"a node pool in a cluster's place", call{method: "GET", path: clusters + "/" + id}, v1.CodeNotFound, ""},
		{"a cluster in a node pool's place", call{method: "GET", path: nodepools + "/" + of.home}, v1.CodeNotFound, ""},
	}
}

// sized returns a valid body of a new cluster of just that many bytes.
func sized(n int) string {
	const head, tail = `{"name":"sized","spec":{"a":"`, `"}}`
	return head + strings.Repeat("a", n-len(head)-len(tail)) + tail
}

func TestRefusals_NameAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		for _, test := range []struct {
			why  string
			call call
			want []string
		}{
			{"of form and of rules", call{method: "POST", path: of.path, body: of.body(`{"name":"NO","labels":{"a b":"1","c":2},"paused":1,"what":1,"spec":{"platform":{"type":"?"},"x":"\u0000"}}`)}, []string{"spec.x", "paused", "labels.c", "what", "name", "labels.a b", "spec.platform.type"}},
			{"of an update", call{method: "PUT", path: of.path + "/" + unknown, body: `{"name":7,"generation":"x","labels":{"é":""},"description":false}`}, []string{"name", "description", "generation", "spec", "labels.é"}},
			{"of a patch", call{method: "PATCH", path: of.path + "/" + unknown, body: `{"spec":null,"labels":{"a":1,"b b":"c"},"paused":"x","what":null}`}, []string{"paused", "labels.a", "what", "spec", "labels.b b"}},
			{"of a query", call{method: "GET", path: of.path + "?limit=1000&offset=x&status=no&name=NO&label_selector=?&created_by=me&page=2&total=1"}, []string{"limit", "offset", "page", "total", "status", "name", "label_selector", "created_by"}},
			{"of a report", call{method: "PUT", path: of.path + "/" + unknown + "/status", as: controller, body: `{"conditions":[{"type":"a","status":"x"},{"type":"b","status":"True"},{"type":"c"}],"observed_generation":-1}`}, []string{"controller_name", "conditions[0].status", "conditions[2].status", "observed_generation"}},
		} {
			if test.call.as == "" {
				test.call.as = ada
			}
			body := into[v1.ErrorBody](of.do(test.call).is(http.StatusBadRequest))
			var got []string
			for _, e := range body.Details.Errors {
				got = append(got, e.Field)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s: fields -want +got:\n%s", test.why, diff)
			}
		}
	})
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
	allowed := map[string]string{"/health": "GET, HEAD", clusters + "/x/nodepools": "GET, HEAD"}
	for _, list := range []string{clusters, nodepools} {
		maps.Copy(allowed, map[string]string{
			list: "GET, HEAD, POST", list + "/x": "DELETE, GET, HEAD, PATCH, PUT",
			list + "/x/status/dns": "DELETE", list + "/x/reconcile": "POST", list + "/x/status": "GET, HEAD, PUT", list + "/x/explain": "GET, HEAD",
		})
	}
	for path, want := range allowed {
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
		{method: "POST", path: nodepools, as: ada, body: `{}`},
		{method: "GET", path: clusters + "/" + unknown + "/nodepools", as: ada},
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
