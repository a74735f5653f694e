package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The targets send what the fuzzer makes up through the whole service into PostgreSQL:
// whatever our decoders accept, the database must hold, so that no answer is a failure of
// ours, and what was accepted can be read again.

func FuzzCreate(f *testing.F) {
	for _, seed := range []string{
		`{"name":"a"}`, `{"name":"a","spec":{"platform":{"type":"gcp"},"n":1e300,"z":0e-16384}}`, `{"name":"a","labels":{"a/b":"c"},"paused":true}`,
		`{"name":"a","spec":{"\u0000":"\ud800"}}`, `{"name":"a","spec":{"serviceAccountSigningKey":null}}`, `null`, `[]`, `{"name":"a","description":"\ufffe\uffff"}`,
		"{\"name\":\"a\",\"spec\":{\"a\":\"\xff\"}}", `{"name":"a","spec":{"a":1,"a":2}}`, `{"name":"a","spec":{"n":-0,"m":1E-400}}`,
	} {
		f.Add(seed)
	}
	fuzzEachKind(f, func(collection) string { return "" }, func(of collection, _, body string) {
		r := of.do(call{method: http.MethodPost, path: of.path, as: ada, body: of.body(body)})
		if r.status != http.StatusCreated {
			r.refused()
			return
		}
		path := of.path + "/" + into[resource](r).ID
		again := of.get(ada, path).is(http.StatusOK)
		of.list(controller, "")
		of.do(call{method: http.MethodPut, path: path, as: ada, body: again.body}).is(http.StatusOK)
		of.do(call{method: http.MethodDelete, path: path, as: admin, body: ""})
		of.clear(string(of.kind) + "s")
	})
}

func FuzzUpdate(f *testing.F) {
	for _, seed := range []string{
		`{"spec":{}}`, `{"spec":{"a":[1,2,{"b":null}]},"generation":1}`, `{"spec":{"platform":{"type":"aws"}},"labels":{},"description":"x"}`,
		`{"spec":null}`, `{"spec":{"a":1e400}}`, `{"spec":{},"generation":9223372036854775808}`, `{"spec":{"credentials":7}}`, `{"spec":{"\\u0000":"\\"}}`,
		`{"spec":{},"id":null,"name":"orders","status":"\u0000"}`,
	} {
		f.Add(seed)
	}
	fuzzEachKind(f, withSecrets, func(of collection, path, body string) {
		r := of.do(call{method: http.MethodPut, path: path, as: ada, body: body})
		if r.status != http.StatusOK {
			r.refused()
			return
		}
		c := into[resource](r)
		if got := into[resource](of.get(ada, path).is(http.StatusOK)); got.Generation != c.Generation || string(got.Spec) != string(c.Spec) {
			of.t.Errorf("answered %s, reads %s", r.body, got.Spec)
		}
		of.clear("outbox")
	})
}

func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"spec":{"a":{"b":null}},"generation":1}`, `{"spec":{"credentials":{"token":null}},"labels":{"a":"b","c":null},"description":null}`,
		`{"labels":null,"paused":null}`, `{"spec":{"a":[null,{"b":null}]}}`, `{"spec":{"n":1e308},"labels":{"\ud800":null}}`, `{"spec":null}`, `{"spec":{"":{"":{}}}}`,
	} {
		f.Add(seed)
	}
	fuzzEachKind(f, withSecrets, func(of collection, path, body string) {
		r := of.do(call{method: http.MethodPatch, path: path, as: ada, body: body})
		if r.status != http.StatusOK {
			r.refused()
			return
		}
		c := into[resource](r)
		again := of.do(call{method: http.MethodPatch, path: path, as: ada, body: body})
		if again.status == http.StatusOK && into[resource](again).Generation != c.Generation {
			of.t.Errorf("%s twice: %s, then %s", body, r.body, again.body)
		}
		of.clear("outbox")
	})
}

func FuzzReport(f *testing.F) {
	for _, seed := range []string{
		reportBody, reportWithError, `{"controller_name":"a\u0000","metadata":{"\ud800":1e999}}`, `{"controller_name":7,"observed_generation":"1.0"}`,
		`{"controller_name":"a","last_error":{"details":"\udfff","retry_after":1e-20000}}`, `{"controller_name":"a","conditions":[{"status":"True"},null,7]}`,
		"{\"controller_name\":\"\xff\",\"metadata\":{\"\xfe\":[0e-99999]}}", `null`, `{"controller_name":"a","conditions":[{"type":"Available","status":"True","lastTransitionTime":"0000-01-01T00:00:00+23:59"}]}`,
	} {
		f.Add(seed)
	}
	fuzzEachKind(f, plain, func(of collection, path, body string) {
		r := of.do(call{method: http.MethodPut, path: path + "/status", as: controller, body: body})
		if r.status != http.StatusOK {
			code := r.refused()
			if code != v1.CodeInvalidJSON && code != v1.CodeInvalidField && code != v1.CodeBodyTooLarge {
				of.t.Errorf("a report is refused with %s", code)
			}
			return
		}
		into[v1.ReportResult](r)
		got := into[v1.NodePoolStatus](of.get(ada, path+"/status").is(http.StatusOK))
		if len(got.ControllerStatus) != 1 || got.ControllerStatus[0].Conditions == nil {
			of.t.Errorf("stored %+v", got.ControllerStatus)
		}
		if of.kind == models.KindNodePool {
			of.clear("nodepool_controller_status")
		}
		of.clear("controller_status")
	})
}

func FuzzRegistration(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"platforms":["gcp","AWS"],"kinds":["cluster","nodepool"],"finalizes":true,"required":true}`, `{"platforms":null,"kinds":[]}`,
		`{"platforms":["a\u0000"]}`, `{"kinds":["\ud800"]}`, `{"name":"\u0000","lag":1e999}`, `{"platforms":[null,7,{}]}`, `null`, `[]`, "{\"platforms\":[\"\xff\"]}",
	} {
		f.Add(seed)
	}
	b := newBackend(f)
	f.Fuzz(func(t *testing.T, body string) {
		b := b.with(t)
		put := call{method: http.MethodPut, path: controllers + "/dns", as: controller, body: body}
		r := b.do(put)
		if r.status != http.StatusOK {
			r.refused()
			return
		}
		again := b.get(controller, put.path).is(http.StatusOK)
		if put.body = again.body; b.do(put).is(http.StatusOK).body != again.body || again.body != r.body {
			t.Errorf("answered %s, read as %s", r.body, again.body)
		}
	})
}

func FuzzSelector(f *testing.F) {
	for _, seed := range []string{
		"a=b", "a==b", "a!=b", "a in (b,c)", "a notin ()", "!a", "a", "", ",", "a=b,c", "a in (b", "x/y=z", "a='", "a=\x00", "a=\xff", "a in (b,c),!d,e!=f",
	} {
		f.Add(seed)
	}
	two := func(of collection) string {
		of.declare(ada, `{"name":"a","labels":{"a":"b"}}`)
		of.declare(ada, `{"name":"b"}`)
		return ""
	}
	fuzzEachKind(f, two, func(of collection, _, selector string) {
		r := of.get(ada, of.path+"?label_selector="+url.QueryEscape(selector))
		if r.status != http.StatusOK {
			if code := r.refused(); code != v1.CodeInvalidQuery {
				of.t.Errorf("%q is refused with %s", selector, code)
			}
			return
		}
		if list := into[page](r); int(list.Total) != len(list.all()) {
			of.t.Errorf("%q: %d of %d", selector, len(list.all()), list.Total)
		}
	})
}

// fuzzEachKind gives each input to the resources of both kinds. prepare declares what is needed
// before, and returns the path that check is told.
func fuzzEachKind(f *testing.F, prepare func(collection) string, check func(of collection, path, input string)) {
	f.Helper()
	type target struct {
		of   collection
		path string
	}
	var targets []target
	for _, kind := range models.Kinds() {
		of := newBackend(f).collection(kind, ada)
		targets = append(targets, target{of, prepare(of)})
	}
	f.Fuzz(func(t *testing.T, input string) {
		for _, to := range targets {
			check(to.of.with(t), to.path, input)
		}
	})
}

func plain(of collection) string { return of.path + "/" + of.declare(ada, `{"name":"orders"}`).ID }

func withSecrets(of collection) string {
	return of.path + "/" + of.declare(ada, `{"name":"orders","spec":{"credentials":{"token":"t"},"serviceAccountSigningKey":"k"}}`).ID
}

// refused checks that an answer is a refusal, and no failure of ours, and returns its code.
func (r reply) refused() v1.Code {
	r.t.Helper()
	var body v1.ErrorBody
	if err := json.NewDecoder(strings.NewReader(r.body)).Decode(&body); err != nil || r.status < 400 || r.status >= 500 {
		r.t.Fatalf("status %d, %v: %.600s", r.status, err, r.body)
	}
	return body.Code
}

// clear empties a table, so that a fuzzer does not slow down as it goes.
func (b *backend) clear(table string) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.t.Context(), "DELETE FROM "+table); err != nil {
		b.t.Fatal(err)
	}
}
