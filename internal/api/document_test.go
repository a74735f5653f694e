package api_test

import (
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

var update = flag.Bool("update", false, "write openapi.yaml anew")

func TestDocument_IsTheCommittedOne(t *testing.T) {
	t.Parallel()
	b := newBackendOn(t, nil, nil)
	got := b.get("", "/openapi.yaml").is(http.StatusOK).body
	if *update {
		if err := os.WriteFile("openapi.yaml", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the code makes another document; run make generate (-committed +code):\n%s", diff)
	}
}

// openAPI is the part of a document that these tests read.
type openAPI struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string `json:"summary"`
		Description string `json:"description"`
		Tags        []string
		Security    []map[string][]string
		Parameters  []struct {
			Name, In, Description string
			Schema, Example       any
		}
		RequestBody *bodies `json:"requestBody"`
		Responses   map[string]struct {
			bodies
			Description string
			Headers     map[string]any
		}
	}
	Components struct {
		Schemas map[string]struct {
			Description string
			Properties  map[string]struct{ Description string }
		}
		Examples map[string]struct{ Value any }
	}
}

type bodies struct {
	Content map[string]struct {
		Schema   any
		Example  any
		Examples map[string]map[string]string
	}
}

// contract is the document of a server, and its schemas made ready to judge.
type contract struct {
	openAPI

	compiler *jsonschema.Compiler
}

const documentURL = "https://cls.invalid/openapi.json"

func newContract(t *testing.T, b *backend) *contract {
	t.Helper()
	text := b.get("", "/openapi.json").is(http.StatusOK).body
	c := &contract{compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal([]byte(text), &c.openAPI); err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource(documentURL, tree); err != nil {
		t.Fatal(err)
	}
	return c
}

// check judges a JSON text by the schema of an answer, or of a request where status is "".
func (c *contract) check(t *testing.T, path, method, status, media, text string) {
	t.Helper()
	at := "/requestBody"
	if status != "" {
		at = "/responses/" + status
	}
	pointer := "#/paths/" + escaped(path) + "/" + method + at + "/content/" + escaped(media) + "/schema"
	schema, err := c.compiler.Compile(documentURL + pointer)
	if err != nil {
		t.Errorf("the document does not know %s: %v", pointer, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Errorf("%s %s %s: %v", method, path, status, err)
		return
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s %s %s: %.400s\n%v", method, path, status, text, err)
	}
}

// escaped is a segment of a JSON pointer (RFC 6901) within a URL fragment.
func escaped(segment string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "+", "%2B").Replace(segment)
}

func TestDocument_EveryExampleIsValid(t *testing.T) {
	t.Parallel()
	c := newContract(t, newBackendOn(t, nil, nil))
	n := 0
	each := func(path, method, status string, all bodies) {
		for media, content := range all.Content {
			var values []any
			if content.Example != nil {
				values = append(values, content.Example)
			}
			for _, ref := range content.Examples {
				values = append(values, c.Components.Examples[strings.TrimPrefix(ref["$ref"], "#/components/examples/")].Value)
			}
			if len(values) == 0 {
				t.Errorf("%s %s %s has no example in %s", method, path, status, media)
			}
			for _, value := range values {
				text, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				c.check(t, path, method, status, media, string(text))
				n++
			}
		}
	}
	for path, item := range c.Paths {
		for method, op := range item {
			if op.RequestBody != nil {
				each(path, method, "", *op.RequestBody)
			}
			for status, response := range op.Responses {
				each(path, method, status, response.bodies)
			}
		}
	}
	if n < 200 {
		t.Errorf("only %d examples", n)
	}
}

func TestDocument_IsComplete(t *testing.T) {
	t.Parallel()
	c := newContract(t, newBackendOn(t, nil, nil))
	for path, item := range c.Paths {
		for method, op := range item {
			what := method + " " + path
			if op.OperationID == "" || op.Summary == "" || op.Description == "" || len(op.Tags) != 1 {
				t.Errorf("%s lacks an id, a summary, a description or its tag", what)
			}
			for _, p := range op.Parameters {
				if p.Description == "" || p.Schema == nil {
					t.Errorf("%s: parameter %s lacks a description or a schema", what, p.Name)
				}
			}
			for status, response := range op.Responses {
				if response.Description == "" || response.Headers["X-Request-ID"] == nil {
					t.Errorf("%s %s lacks a description or the request id", what, status)
				}
			}
			if op.Responses["500"].Description == "" {
				t.Errorf("%s cannot fail", what)
			}
			if got := op.Responses["401"].Description != ""; got != (len(op.Security) > 0) {
				t.Errorf("%s: answers 401 %v, needs an identity %v", what, got, len(op.Security) > 0)
			}
		}
	}
	for name, schema := range c.Components.Schemas {
		if schema.Description == "" {
			t.Errorf("schema %s has no description", name)
		}
		for field, p := range schema.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
}

// A reader that forgives nothing, such as a key that comes twice, takes the YAML for the
// same document as the JSON.
func TestDocument_YAMLIsTheJSON(t *testing.T) {
	t.Parallel()
	b := newBackendOn(t, nil, nil)
	var fromYAML, fromJSON any
	if err := yaml.NewDecoder(strings.NewReader(b.get("", "/openapi.yaml").body), yaml.Strict()).Decode(&fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b.get("", "/openapi.json").body), &fromJSON); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	var again any
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromJSON, again); diff != "" {
		t.Errorf("-json +yaml:\n%s", diff)
	}
}

// probe is a call, the path of its operation, and the status that it brings about.
type probe struct {
	path   string
	call   call
	status int
}

// elsewhere are the codes that no probe brings about, and where they are seen.
var elsewhere = map[v1.Code]string{
	v1.CodeRequestInFlight: "takes ten seconds: TestIdempotency_ASecondCallWaitsForTheFirst",
}

// Every operation, answered by the server itself in every way that the document names
// and a caller can bring about, answers as it says, with the codes that it says and no other.
func TestDocument_IsWhatTheServerAnswers(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := newContract(t, b)
	probes := slices.Concat(serviceProbes(), probesOfRegistry(b), probesWithin(b.collection(models.KindNodePool, bob)))
	for _, kind := range models.Kinds() {
		of := b.collection(kind, ada)
		probes = slices.Concat(probes, probesOfOne(of), probesOfStatus(of), probesOfExplanation(of), probesOfHistory(of), c.probesOf(allRefusals(of)))
	}
	seen := map[string]bool{}
	for _, p := range probes {
		at := strings.ToLower(p.call.method) + " " + p.path + " "
		code, first := c.probe(t, b, p), !seen[at]
		seen[at], seen[at+strconv.Itoa(p.status)], seen[at+string(code)] = true, true, true
		if first && len(c.Paths[p.path][strings.ToLower(p.call.method)].Security) > 0 {
			for _, code := range c.probeIdentity(t, b, p) {
				seen[at+strconv.Itoa(code.HTTPStatus())], seen[at+string(code)] = true, true
			}
		}
	}
	// A failure of ours is no caller's to bring about; other tests do.
	for path, item := range c.Paths {
		for method, op := range item {
			for status, response := range op.Responses {
				at := method + " " + path + " "
				if !seen[at+status] && status < "500" {
					t.Errorf("%s is said to answer %s, and was not seen to", at, status)
				}
				for code := range response.Content["application/json"].Examples {
					if !seen[at+code] && status < "500" && elsewhere[v1.Code(code)] == "" {
						t.Errorf("%s is said to answer %s, and was not seen to", at, code)
					}
				}
			}
		}
	}
}

// probesOf are the refusals of calls that the document knows.
func (c *contract) probesOf(refusals []refusal) []probe {
	var probes []probe
	for _, r := range refusals {
		if path := c.pathOf(r.call); path != "" {
			probes = append(probes, probe{path, r.asked(), r.code.HTTPStatus()})
		}
	}
	return probes
}

// pathOf returns the path by which the document knows a call; "" when it does not.
func (c *contract) pathOf(call call) string {
	asked, _, _ := strings.Cut(call.path, "?")
	for path, item := range c.Paths {
		if _, known := item[strings.ToLower(call.method)]; !known {
			continue
		}
		pattern := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+")
		if regexp.MustCompile("^" + pattern + "$").MatchString(asked) {
			return path
		}
	}
	return ""
}

// probeIdentity makes a call as nobody, as two, as what is no address and from where none is
// believed, and returns the codes of the answers.
func (c *contract) probeIdentity(t *testing.T, b *backend, p probe) []v1.Code {
	t.Helper()
	as := func(who ...string) probe {
		p := p
		p.call.as, p.call.header = "", http.Header{"X-User-Email": who}
		p.status = http.StatusUnauthorized
		return p
	}
	two := as(ada, bob)
	two.status = http.StatusBadRequest
	stranger := *b
	stranger.remote = "203.0.113.5:1234"
	return []v1.Code{c.probe(t, b, as()), c.probe(t, b, as("nobody")), c.probe(t, b, two), c.probe(t, &stranger, as(ada))}
}

// probe makes a call, and judges the answer, the body that was taken and the problem that a
// failure is for whom asks for one. It returns the code, "" for that of no failure.
func (c *contract) probe(t *testing.T, b *backend, p probe) (failed v1.Code) {
	t.Helper()
	code, method := strconv.Itoa(p.status), strings.ToLower(p.call.method)
	r := b.do(p.call)
	if r.status != p.status {
		t.Errorf("%s %s as %q: status %d, want %d: %.400s", method, p.call.path, p.call.as, r.status, p.status, r.body)
		return ""
	}
	if p.status == http.StatusNoContent {
		if said := c.Paths[p.path][method].Responses[code].Content; r.body != "" || said != nil {
			t.Errorf("%s %s: 204 with %q, said to be %v", method, p.path, r.body, said)
		}
	} else {
		c.check(t, p.path, method, code, "application/json", r.body)
	}
	if p.status < 300 && p.call.body != "" {
		c.check(t, p.path, method, "", "application/json", p.call.body)
	}
	for name := range c.Paths[p.path][method].Responses[code].Headers {
		if r.header.Get(name) == "" {
			t.Errorf("%s %s %s has no %s", method, p.path, code, name)
		}
	}
	if p.status >= 400 {
		failed = into[v1.ErrorBody](r).Code
		if _, said := c.Paths[p.path][method].Responses[code].Content["application/json"].Examples[string(failed)]; !said {
			t.Errorf("%s %s %s does not name the code of %.300s", method, p.path, code, r.body)
		}
		p.call.header = maps.Clone(p.call.header)
		if p.call.header == nil {
			p.call.header = http.Header{}
		}
		p.call.header.Set("Accept", "application/problem+json")
		c.check(t, p.path, method, code, "application/problem+json", b.do(p.call).is(p.status).body)
	}
	return failed
}

func serviceProbes() []probe {
	const info = "/api/v1/info"
	return []probe{
		{info, call{method: "GET", path: info}, 200},
		{info, call{method: "GET", path: info + "?a=b"}, 400},
		{"/health", call{method: "GET", path: "/health"}, 200},
		{"/livez", call{method: "GET", path: "/livez"}, 200},
		{"/readyz", call{method: "GET", path: "/readyz"}, 200},
	}
}

// probesOfRegistry are those of the registry of controllers.
func probesOfRegistry(b *backend) []probe {
	const list, one, body = controllers, controllers + "/{name}", `{"platforms":["gcp"],"kinds":["cluster"],"finalizes":true,"required":true}`
	b.register("infra", `{}`)
	b.register("gone", `{}`)
	dns, infra, gone := controllers+"/dns", controllers+"/infra", controllers+"/gone"
	return []probe{
		{list, call{method: "GET", path: list, as: controller}, 200},
		{list, call{method: "GET", path: list, as: ada}, 403},
		{list, call{method: "GET", path: list + "?limit=1", as: admin}, 400},
		{one, call{method: "GET", path: infra, as: admin}, 200},
		{one, call{method: "GET", path: infra, as: ada}, 403},
		{one, call{method: "PUT", path: dns, as: dnsOnly, body: body}, 200},
		{one, call{method: "PUT", path: dns + "?dry_run=true", as: dnsOnly, body: `{}`}, 200},
		{one, call{method: "PUT", path: infra, as: controller, body: tooBig}, 413},
		{one, call{method: "DELETE", path: gone + "?dry_run=true", as: admin}, 204},
		{one, call{method: "DELETE", path: gone, as: controller}, 204},
		{one, call{method: "GET", path: gone, as: admin}, 200},
		{one, call{method: "DELETE", path: gone, as: ada}, 403},
	}
}

// probesWithin are those of the node pools of a cluster of bob's.
func probesWithin(of collection) []probe {
	const within = clusters + "/{id}/nodepools"
	of.declare(bob, `{"name":"workers"}`)
	path := clusters + "/" + of.home + "/nodepools"
	return []probe{
		{within, call{method: "GET", path: path, as: bob}, 200},
		{within, call{method: "GET", path: path + "?limit=0", as: bob}, 400},
		{within, call{method: "GET", path: path + "?page_token=x", as: bob}, 400},
		{within, call{method: "GET", path: path + "?created_by=" + ada, as: bob}, 403},
		{within, call{method: "GET", path: path, as: ada}, 404},
	}
}

// What is refused before, or whatever, a resource is.
var (
	tooBig   = sized(1<<20 + 1)
	staleTag = http.Header{"If-Match": {`"99"`}}
	textBody = http.Header{"Content-Type": {"text/plain"}}
)

// probesOfOne are those of a list and of its members.
func probesOfOne(of collection) []probe {
	list, one := of.path, of.path+"/{id}"
	at := func(body string) string { return of.path + "/" + of.declare(ada, body).ID }
	read, changed := at(`{"name":"c0","spec":{"platform":{"type":"gcp"}}}`), at(`{"name":"c1"}`)
	gone, kept, protected := at(`{"name":"c2"}`), at(`{"name":"c3"}`), at(`{"name":"c4","deletion_protection":true}`)
	none, held := of.path+"/"+unknown, at(`{"name":"c5"}`)
	of.hold(strings.TrimPrefix(held, of.path+"/"))
	probes := []probe{
		{list, call{method: "GET", path: list, as: ada}, 200},
		{list, call{method: "GET", path: list + "?limit=0", as: ada}, 400},
		{list, call{method: "GET", path: list + "?created_by=" + bob, as: ada}, 403},
		{list, call{method: "POST", path: list, as: ada, body: of.body(`{"name":"new","description":"d","labels":{"a":"b"},"spec":{}}`)}, 201},
		{list, call{method: "POST", path: list, as: ada, body: of.body(`{"name":"NO"}`)}, 400},
		{list, call{method: "POST", path: list, as: controller, body: of.body(`{"name":"x"}`)}, 403},
		{list, call{method: "POST", path: list, as: ada, body: of.body(`{"name":"c0"}`)}, 409},
		{list, call{method: "POST", path: list, as: ada, body: of.body(tooBig)}, 413},
		{list, call{method: "POST", path: list, as: ada, body: of.body(`{}`), header: textBody}, 415},
		{one, call{method: "GET", path: read, as: ada}, 200},
		{one, call{method: "GET", path: list + "/x", as: ada}, 400},
		{one, call{method: "GET", path: read, as: bob}, 404},
		{one, call{method: "PUT", path: changed, as: ada, body: `{"spec":{"a":1}}`}, 200},
		{one, call{method: "PUT", path: changed, as: ada, body: `{}`}, 400},
		{one, call{method: "PUT", path: changed, as: controller, body: `{"spec":{}}`}, 403},
		{one, call{method: "PUT", path: none, as: ada, body: `{"spec":{}}`}, 404},
		{one, call{method: "PUT", path: changed, as: ada, body: `{"spec":{},"generation":1}`}, 409},
		{one, call{method: "PUT", path: changed, as: ada, body: `{"spec":{}}`, header: staleTag}, 412},
		{one, call{method: "PUT", path: changed, as: ada, body: tooBig}, 413},
		{one, call{method: "PUT", path: changed, as: ada, body: `{}`, header: textBody}, 415},
		{one, call{method: "PATCH", path: changed, as: ada, body: `{"spec":{"b":null},"labels":null,"description":"d"}`}, 200},
		{one, call{method: "PATCH", path: changed, as: ada, body: `{"spec":null}`}, 400},
		{one, call{method: "PATCH", path: changed, as: controller, body: `{}`}, 403},
		{one, call{method: "PATCH", path: none, as: ada, body: `{}`}, 404},
		{one, call{method: "PATCH", path: changed, as: ada, body: `{"generation":1}`}, 409},
		{one, call{method: "PATCH", path: changed, as: ada, body: `{}`, header: staleTag}, 412},
		{one, call{method: "PATCH", path: changed, as: ada, body: tooBig}, 413},
		{one, call{method: "PATCH", path: changed, as: ada, body: `{}`, header: textBody}, 415},
		{one, call{method: "DELETE", path: gone, as: ada}, 202},
		{one, call{method: "DELETE", path: list + "/x", as: ada}, 400},
		{one, call{method: "DELETE", path: kept, as: controller}, 403},
		{one, call{method: "DELETE", path: kept, as: bob}, 404},
		{one, call{method: "DELETE", path: protected, as: ada}, 409},
		{one, call{method: "DELETE", path: kept, as: ada, header: staleTag}, 412},
		{list, call{method: "POST", path: list + "?dry_run=true", as: ada, body: of.body(`{"name":"tried"}`)}, 201},
		{list, call{method: "POST", path: list, as: ada, body: of.body(`{"name":"once"}`), header: key("once")}, 201},
		{list, call{method: "POST", path: list, as: ada, body: of.body(`{"name":"once"}`), header: key("once")}, 201},
		{one, call{method: "DELETE", path: held, as: ada}, 202},
		{one, call{method: "GET", path: held, as: ada}, 200},
		{one + "/reconcile", call{method: "POST", path: held + "/reconcile", as: ada}, 202},
		{one, call{method: "DELETE", path: held + "?force=true&reason=r", as: ada}, 202},
	}
	if of.kind == models.KindNodePool {
		probes = append(
			probes,
			probe{list, call{method: "POST", path: list, as: ada, body: `{"name":"x","cluster_id":"` + unknown + `"}`}, 404},
			probe{list, call{method: "GET", path: list + "?cluster_id=" + of.home, as: ada}, 200},
		)
	}
	return probes
}

// probesOfStatus are those of a status and of what wakes the controllers.
func probesOfStatus(of collection) []probe {
	status, drop, wake := of.path+"/{id}/status", of.path+"/{id}/status/{controller_name}", of.path+"/{id}/reconcile"
	id := of.declare(ada, `{"name":"reported"}`).ID
	of.report(id, reportWithError)
	one, none, bad := of.path+"/"+id, of.path+"/"+unknown, of.path+"/x"
	return []probe{
		{status, call{method: "GET", path: one + "/status", as: ada}, 200},
		{status, call{method: "GET", path: bad + "/status", as: ada}, 400},
		{status, call{method: "GET", path: one + "/status", as: bob}, 404},
		{status, call{method: "PUT", path: one + "/status", as: controller, body: reportBody}, 200},
		{status, call{method: "PUT", path: one + "/status", as: controller, body: `{}`}, 400},
		{status, call{method: "PUT", path: one + "/status", as: ada, body: reportBody}, 403},
		{status, call{method: "PUT", path: none + "/status", as: controller, body: reportBody}, 404},
		{status, call{method: "PUT", path: one + "/status", as: controller, body: tooBig}, 413},
		{status, call{method: "PUT", path: one + "/status", as: controller, body: `{}`, header: textBody}, 415},
		{drop, call{method: "DELETE", path: one + "/status/dns", as: admin}, 204},
		{drop, call{method: "DELETE", path: bad + "/status/dns", as: admin}, 400},
		{drop, call{method: "DELETE", path: one + "/status/dns", as: ada}, 403},
		{drop, call{method: "DELETE", path: one + "/status/dns", as: admin}, 404},
		{wake, call{method: "POST", path: one + "/reconcile", as: ada}, 202},
		{wake, call{method: "POST", path: bad + "/reconcile", as: ada}, 400},
		{wake, call{method: "POST", path: one + "/reconcile", as: bob}, 404},
	}
}

// probesOfExplanation are those of why a resource is not Ready: with somebody to wait for, with nobody, and at its end.
func probesOfExplanation(of collection) []probe {
	explain := of.path + "/{id}/explain"
	at := func(name string) string { return of.declare(ada, `{"name":"`+name+`"}`).ID }
	ill, fresh, held := at("ill"), at("untouched"), at("held-up")
	of.report(ill, reportWithError)
	of.hold(held)
	return []probe{
		{explain, call{method: "GET", path: of.path + "/" + ill + "/explain", as: ada}, 200},
		{explain, call{method: "GET", path: of.path + "/" + fresh + "/explain", as: controller}, 200},
		{explain, call{method: "GET", path: of.path + "/" + held + "/explain", as: admin}, 200},
		{explain, call{method: "GET", path: of.path + "/x/explain", as: ada}, 400},
		{explain, call{method: "GET", path: of.path + "/" + ill + "/explain", as: bob}, 404},
	}
}

// probesOfHistory are those of what was.
func probesOfHistory(of collection) []probe {
	id, held := of.declare(ada, `{"name":"old","spec":{"a":1}}`).ID, of.declare(ada, `{"name":"held"}`).ID
	of.hold(held)
	revisions, back, events := of.path+"/{id}/revisions", of.path+"/{id}/rollback", of.path+"/{id}/events"
	one, none, bad := of.path+"/"+id, of.path+"/"+unknown, of.path+"/x"
	probes := []probe{
		{of.path, call{method: "GET", path: of.path + "?page_token=x", as: ada}, 400},
		{back, call{method: "POST", path: one + "/rollback?to=1", as: ada}, 200},
		{back, call{method: "POST", path: one + "/rollback", as: ada}, 400},
		{back, call{method: "POST", path: bad + "/rollback?to=1", as: ada}, 400},
		{back, call{method: "POST", path: one + "/rollback?to=1", as: ada, header: http.Header{"If-Match": {""}}}, 400},
		{back, call{method: "POST", path: one + "/rollback?to=1", as: controller}, 403},
		{back, call{method: "POST", path: one + "/rollback?to=9", as: ada}, 404},
		{back, call{method: "POST", path: none + "/rollback?to=1", as: ada}, 404},
		{back, call{method: "POST", path: of.path + "/" + held + "/rollback?to=1", as: ada}, 409},
		{back, call{method: "POST", path: one + "/rollback?to=1", as: ada, header: staleTag}, 412},
	}
	for path, suffix := range map[string]string{revisions: "/revisions", events: "/events"} {
		probes = append(
			probes,
			probe{path, call{method: "GET", path: one + suffix + "?limit=1", as: ada}, 200},
			probe{path, call{method: "GET", path: bad + suffix, as: ada}, 400},
			probe{path, call{method: "GET", path: one + suffix + "?limit=0", as: ada}, 400},
			probe{path, call{method: "GET", path: one + suffix + "?page_token=x", as: ada}, 400},
			probe{path, call{method: "GET", path: one + suffix, as: bob}, 404},
		)
	}
	return probes
}

const reportWithError = `{"controller_name":"dns","observed_generation":1,"metadata":{"a":[1,null]},"conditions":[{"type":"Available","status":"False",
	"reason":"R","message":"m","lastTransitionTime":"2025-01-01T00:00:00Z"},{"type":"Other","status":"Unknown"}],
	"last_error":{"error_type":"Transient","error_code":"C","message":"m","details":[1],"user_actionable":true,"retry_after":30,"timestamp":"2025-01-01T00:00:00Z"}}`
