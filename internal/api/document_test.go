package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cls-backend/cls-backend/internal/api"
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

// Every operation, answered by the server itself in every way that the document names
// and a caller can bring about, answers as it says.
func TestDocument_IsWhatTheServerAnswers(t *testing.T) {
	t.Parallel()
	b := newBackend(t, func(o *api.Options) { o.MaxBodyBytes = 8192 })
	c := newContract(t, b)
	var ids []string
	for i := range 4 {
		ids = append(ids, b.create(ada, fmt.Sprintf(`{"name":"c%d","spec":{"platform":{"type":"gcp"}}}`, i)).ID)
	}
	b.do(call{method: "PUT", path: clusters + "/" + ids[0] + "/status", as: controller, body: reportWithError}).is(http.StatusOK)
	protected := b.create(ada, `{"name":"protected","deletion_protection":true}`).ID
	const drop = clusters + "/{id}/status/{controller_name}"
	const list, one, status, wake = clusters, clusters + "/{id}", clusters + "/{id}/status", clusters + "/{id}/reconcile"
	at := func(path, id string) string { return strings.Replace(path, "{id}", id, 1) }
	stale := http.Header{"If-Match": {`"99"`}}
	form := http.Header{"Content-Type": {"text/plain"}}
	big := sized(8193)
	nowhere := "00000000-0000-7000-8000-000000000000"
	seen := map[string]bool{}
	for _, probe := range []struct {
		path   string
		call   call
		status int
	}{
		{list, call{method: "GET", path: list, as: ada}, 200},
		{list, call{method: "GET", path: list + "?limit=1&order_by=-name", as: ada}, 200},
		{list, call{method: "GET", path: list + "?limit=0", as: ada}, 400},
		{list, call{method: "GET", path: list + "?page_token=x", as: ada}, 400},
		{list, call{method: "GET", path: list}, 401},
		{list, call{method: "GET", path: list + "?created_by=" + bob, as: ada}, 403},
		{list, call{method: "POST", path: list, as: ada, body: `{"name":"new"}`}, 201},
		{list, call{method: "POST", path: list, as: ada, body: `{"name":"NO"}`}, 400},
		{list, call{method: "POST", path: list, body: `{"name":"x"}`}, 401},
		{list, call{method: "POST", path: list, as: controller, body: `{"name":"x"}`}, 403},
		{list, call{method: "POST", path: list, as: ada, body: `{"name":"c0"}`}, 409},
		{list, call{method: "POST", path: list, as: ada, body: big}, 413},
		{list, call{method: "POST", path: list, as: ada, body: `{}`, header: form}, 415},
		{one, call{method: "GET", path: at(one, ids[0]), as: ada}, 200},
		{one, call{method: "GET", path: at(one, "x"), as: ada}, 400},
		{one, call{method: "GET", path: at(one, ids[0])}, 401},
		{one, call{method: "GET", path: at(one, ids[0]), as: bob}, 404},
		{one, call{method: "PUT", path: at(one, ids[1]), as: ada, body: `{"spec":{"a":1}}`}, 200},
		{one, call{method: "PUT", path: at(one, ids[1]), as: ada, body: `{}`}, 400},
		{one, call{method: "PUT", path: at(one, ids[1]), body: `{"spec":{}}`}, 401},
		{one, call{method: "PUT", path: at(one, ids[1]), as: controller, body: `{"spec":{}}`}, 403},
		{one, call{method: "PUT", path: at(one, nowhere), as: ada, body: `{"spec":{}}`}, 404},
		{one, call{method: "PUT", path: at(one, ids[1]), as: ada, body: `{"spec":{},"generation":1}`}, 409},
		{one, call{method: "PUT", path: at(one, ids[1]), as: ada, body: `{"spec":{}}`, header: stale}, 412},
		{one, call{method: "PUT", path: at(one, ids[1]), as: ada, body: big}, 413},
		{one, call{method: "PUT", path: at(one, ids[1]), as: ada, body: `{}`, header: form}, 415},
		{one, call{method: "PATCH", path: at(one, ids[1]), as: ada, body: `{"spec":{"b":null},"labels":null,"description":"d"}`}, 200},
		{one, call{method: "PATCH", path: at(one, ids[1]), as: ada, body: `{"spec":null}`}, 400},
		{one, call{method: "PATCH", path: at(one, ids[1]), body: `{}`}, 401},
		{one, call{method: "PATCH", path: at(one, ids[1]), as: controller, body: `{}`}, 403},
		{one, call{method: "PATCH", path: at(one, nowhere), as: ada, body: `{}`}, 404},
		{one, call{method: "PATCH", path: at(one, ids[1]), as: ada, body: `{"generation":1}`}, 409},
		{one, call{method: "PATCH", path: at(one, ids[1]), as: ada, body: `{}`, header: stale}, 412},
		{one, call{method: "PATCH", path: at(one, ids[1]), as: ada, body: big}, 413},
		{one, call{method: "PATCH", path: at(one, ids[1]), as: ada, body: `{}`, header: form}, 415},
		{one, call{method: "DELETE", path: at(one, ids[2]), as: ada}, 202},
		{one, call{method: "DELETE", path: at(one, "x"), as: ada}, 400},
		{one, call{method: "DELETE", path: at(one, ids[3])}, 401},
		{one, call{method: "DELETE", path: at(one, ids[3]), as: controller}, 403},
		{one, call{method: "DELETE", path: at(one, ids[3]), as: bob}, 404},
		{one, call{method: "DELETE", path: at(one, protected), as: ada}, 409},
		{one, call{method: "DELETE", path: at(one, ids[3]), as: ada, header: stale}, 412},
		{status, call{method: "GET", path: at(status, ids[0]), as: ada}, 200},
		{status, call{method: "GET", path: at(status, "x"), as: ada}, 400},
		{status, call{method: "GET", path: at(status, ids[0])}, 401},
		{status, call{method: "GET", path: at(status, ids[0]), as: bob}, 404},
		{status, call{method: "PUT", path: at(status, ids[0]), as: controller, body: reportBody}, 200},
		{status, call{method: "PUT", path: at(status, ids[0]), as: controller, body: `{}`}, 400},
		{status, call{method: "PUT", path: at(status, ids[0]), body: reportBody}, 401},
		{status, call{method: "PUT", path: at(status, ids[0]), as: ada, body: reportBody}, 403},
		{status, call{method: "PUT", path: at(status, nowhere), as: controller, body: reportBody}, 404},
		{status, call{method: "PUT", path: at(status, ids[0]), as: controller, body: big}, 413},
		{status, call{method: "PUT", path: at(status, ids[0]), as: controller, body: `{}`, header: form}, 415},
		{drop, call{method: "DELETE", path: at(status, ids[0]) + "/dns", as: admin}, 204},
		{drop, call{method: "DELETE", path: at(status, "x") + "/dns", as: admin}, 400},
		{drop, call{method: "DELETE", path: at(status, ids[0]) + "/dns"}, 401},
		{drop, call{method: "DELETE", path: at(status, ids[0]) + "/dns", as: ada}, 403},
		{drop, call{method: "DELETE", path: at(status, ids[0]) + "/dns", as: admin}, 404},
		{wake, call{method: "POST", path: at(wake, ids[0]), as: ada}, 202},
		{wake, call{method: "POST", path: at(wake, "x"), as: ada}, 400},
		{wake, call{method: "POST", path: at(wake, ids[0])}, 401},
		{wake, call{method: "POST", path: at(wake, ids[0]), as: bob}, 404},
		{"/api/v1/info", call{method: "GET", path: "/api/v1/info"}, 200},
		{"/api/v1/info", call{method: "GET", path: "/api/v1/info?a=b"}, 400},
		{"/health", call{method: "GET", path: "/health"}, 200},
		{"/livez", call{method: "GET", path: "/livez"}, 200},
		{"/readyz", call{method: "GET", path: "/readyz"}, 200},
	} {
		code, method := strconv.Itoa(probe.status), strings.ToLower(probe.call.method)
		r := b.do(probe.call).is(probe.status)
		if probe.status == http.StatusNoContent {
			if said := c.Paths[probe.path][method].Responses[code].Content; r.body != "" || said != nil {
				t.Errorf("%s %s: 204 with %q, said to be %v", method, probe.path, r.body, said)
			}
		} else {
			c.check(t, probe.path, method, code, "application/json", r.body)
		}
		if probe.status < 300 && probe.call.body != "" {
			c.check(t, probe.path, method, "", "application/json", probe.call.body)
		}
		for name := range c.Paths[probe.path][method].Responses[code].Headers {
			if r.header.Get(name) == "" {
				t.Errorf("%s %s %s has no %s", method, probe.path, code, name)
			}
		}
		if probe.status >= 400 {
			probe.call.header = maps.Clone(probe.call.header)
			if probe.call.header == nil {
				probe.call.header = http.Header{}
			}
			probe.call.header.Set("Accept", "application/problem+json")
			c.check(t, probe.path, method, code, "application/problem+json", b.do(probe.call).is(probe.status).body)
		}
		seen[method+" "+probe.path+" "+code] = true
	}
	// A failure of ours is no caller's to bring about; other tests do.
	for path, item := range c.Paths {
		for method, op := range item {
			for code := range op.Responses {
				if !seen[method+" "+path+" "+code] && code < "500" {
					t.Errorf("%s %s is said to answer %s, and was not seen to", method, path, code)
				}
			}
		}
	}
}

const reportWithError = `{"controller_name":"dns","observed_generation":1,"metadata":{"a":[1,null]},"conditions":[{"type":"Available","status":"False",
	"reason":"R","message":"m","lastTransitionTime":"2025-01-01T00:00:00Z"},{"type":"Other","status":"Unknown"}],
	"last_error":{"error_type":"Transient","error_code":"C","message":"m","details":[1],"user_actionable":true,"retry_after":30,"timestamp":"2025-01-01T00:00:00Z"}}`
