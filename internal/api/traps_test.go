package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// The numbers of these tests are those of the list of traps that services like this one
// have fallen into.

// What controllers really send is taken: each refusal would be redelivered for ever.
func TestTrap16_WhatControllersReallySendIsTaken(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	path := clusters + "/" + b.create(ada, `{"name":"orders"}`).ID + "/status"
	for _, test := range []struct{ why, body string }{
		{"generation 0 with an error", `{"controller_name":"dns","observed_generation":0,"last_error":{"error_type":"Transient","message":"m"}}`},
		{"nulls", `{"controller_name":"dns","observed_generation":null,"conditions":null,"metadata":null,"last_error":null}`},
		{"numbers in details", `{"controller_name":"dns","last_error":{"error_type":"Fatal","details":{"code":7,"list":[1,2.5]},"retry_after":30}}`},
		{"fields nobody listed", `{"controller_name":"dns","version":"1.2","conditions":[{"type":"Available","status":"True","severity":"high"}]}`},
		{"an unknown type of error", `{"controller_name":"dns","last_error":{"error_type":"Weird"}}`},
		{"fields of another type", `{"controller_name":"dns","conditions":{},"metadata":[],"last_error":"x"}`},
		{"an empty error", `{"controller_name":"dns","last_error":{}}`},
		{"NUL and half a surrogate pair", `{"controller_name":"dns","metadata":{"a\u0000":"\ud800"},"last_error":{"message":"\u0000"}}`},
		{"a number out of range", `{"controller_name":"dns","metadata":{"a":1e999,"b":1e-999}}`},
		{"bytes that are no UTF-8", "{\"controller_name\":\"dns\",\"metadata\":{\"a\":\"\xff\"}}"},
		{"two conditions of one type", `{"controller_name":"dns","conditions":[{"type":"Available","status":"False"},{"type":"Available","status":"True"}]}`},
		{"a time that is none", `{"controller_name":"dns","conditions":[{"type":"Available","status":"True","lastTransitionTime":"yesterday"}]}`},
		{"a generation as a text", `{"controller_name":"dns","observed_generation":"1"}`},
		{"blanks around", " \n" + reportBody + "\n"},
	} {
		r := into[v1.ReportResult](b.do(call{method: "PUT", path: path, as: controller, body: test.body}).is(http.StatusOK))
		if !r.Applied {
			t.Errorf("%s: %+v", test.why, r)
		}
		got := into[v1.ClusterStatus](b.get(ada, path).is(http.StatusOK))
		if len(got.ControllerStatus) != 1 {
			t.Errorf("%s: %d reports", test.why, len(got.ControllerStatus))
		}
	}
}

// One shape of error, with a sentence in both places, and no null where a list belongs.
func TestTrap25_OneShapeOfErrorAndNoNulls(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := b.create(ada, `{"name":"orders","deletion_protection":true}`)
	path := clusters + "/" + c.ID
	for code, call := range map[v1.Code]call{
		v1.CodeNotFound:         {method: "GET", path: "/nope", as: ada},
		v1.CodeMethodNotAllowed: {method: "PATCH", path: clusters, as: ada},
		v1.CodeAuthRequired:     {method: "GET", path: clusters},
		v1.CodeInvalidQuery:     {method: "GET", path: clusters + "?a=b", as: ada},
		v1.CodeInvalidJSON:      {method: "POST", path: clusters, as: ada, body: `{`},
		v1.CodeInvalidField:     {method: "POST", path: clusters, as: ada, body: `{}`},
		v1.CodeForbidden:        {method: "PUT", path: path + "/status", as: ada, body: reportBody},
		// The refused delete that was a 500 with SQL in it.
		v1.CodeDeletionProtected: {method: "DELETE", path: path, as: ada},
	} {
		r := b.do(call)
		r.fails(code)
		if got := r.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s as %q", code, got)
		}
	}
	for _, path := range []string{clusters, clusters + "?name=none", path, path + "/status"} {
		if r := b.get(ada, path).is(http.StatusOK); strings.Contains(r.body, "null") {
			t.Errorf("%s answers a null: %s", path, r.body)
		}
	}
}

// Each documented filter filters, and a limit that is out of bounds is no other limit.
func TestTrap26_FiltersFilterAndLimitsAreNotBent(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	b.create(ada, `{"name":"one","labels":{"a":"1"},"spec":{"platform":{"type":"gcp"}}}`)
	ready := b.create(bob, `{"name":"two","labels":{"a":"2"},"spec":{"platform":{"type":"aws"}}}`)
	b.do(call{method: "PUT", path: clusters + "/" + ready.ID + "/status", as: controller, body: reportBody}).is(200)
	for _, query := range []string{"status=Ready", "platform=aws", "name=two", "label_selector=a%3D2", "created_by=" + bob} {
		list := into[v1.ClusterList](b.get(admin, clusters+"?"+query).is(200))
		if len(list.Clusters) != 1 || list.Clusters[0].Name != "two" || list.Total != 1 {
			t.Errorf("?%s lists %d", query, len(list.Clusters))
		}
	}
	for _, query := range []string{"limit=101", "limit=0", "limit=-1", "limit=", "platform=", "page_size=5"} {
		b.get(admin, clusters+"?"+query).fails(v1.CodeInvalidQuery)
	}
}

// A spec comes back as the value that it was, whatever is in it, and an update is judged
// as a creation is.
func TestTrap27_SpecsKeepWhatNobodyKnowsAndUpdatesAreJudged(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	const spec = `{"platform":{"type":"GCP","new":{"deep":[1,null,{"x":"\u00e9 <&>"}]}},"n":12345678901234567890,"f":1.25,"empty":{},"list":[]}`
	c := b.create(ada, `{"name":"orders","spec":`+spec+`}`)
	path := clusters + "/" + c.ID
	same := func(got v1.Object) {
		t.Helper()
		if diff := cmp.Diff(decoded(t, spec), decoded(t, string(got))); diff != "" {
			t.Errorf("-given +kept:\n%s", diff)
		}
	}
	same(c.Spec)
	same(into[v1.Cluster](b.get(ada, path)).Spec)
	same(into[v1.ClusterList](b.get(ada, clusters+"?platform=gcp")).Clusters[0].Spec)
	same(into[v1.Cluster](b.do(call{method: "PUT", path: path, as: ada, body: `{"spec":` + spec + `}`}).is(200)).Spec)
	for _, body := range []string{`{}`, `{"spec":null}`, `{"spec":{"platform":{"type":"??"}}}`, `{"spec":{"platform":{"type":7}}}`, `{"Spec":{}}`} {
		b.do(call{method: "PUT", path: path, as: ada, body: body}).fails(v1.CodeInvalidField)
	}
	same(into[v1.Cluster](b.get(ada, path)).Spec)
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	return into[any](reply{t: t, body: text})
}

// A body is read no further than its limit, whatever its length is said to be, and what
// cannot be committed is never answered 201.
func TestTrap28_LargeBodiesAndFailedCommits(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	endless := &counting{}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, clusters, endless)
	r.ContentLength = -1
	r.RemoteAddr = b.remote
	r.Header.Set("X-User-Email", ada)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge || endless.n > 3<<20 {
		t.Errorf("status %d after %d bytes", w.Code, endless.n)
	}
	// A constraint that is looked at only when the transaction commits.
	_, err := b.pool.Exec(t.Context(), `
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no commit'; END $$;
		CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
	if err != nil {
		t.Fatal(err)
	}
	b.do(call{method: "POST", path: clusters, as: ada, body: `{"name":"orders"}`}).fails(v1.CodeInternal)
	if n := b.count("clusters"); n != 0 {
		t.Errorf("%d clusters", n)
	}
}

// counting is a body without end.
type counting struct{ n int }

func (c *counting) Read(p []byte) (int, error) {
	c.n += len(p)
	return copy(p, strings.Repeat(" ", len(p))), nil
}

// Nobody is a controller by saying so, and no second header slips past the first.
func TestTrap29_IdentityIsNotTakenFromAnybody(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	path := clusters + "/" + b.create(ada, `{"name":"orders"}`).ID + "/status"
	forged := call{method: "PUT", path: path, as: controller, body: reportBody}
	before := b.state()
	stranger := *b
	stranger.remote = "203.0.113.5:1234"
	stranger.do(forged).fails(v1.CodeUntrustedProxy)
	forged.header = http.Header{"X-Forwarded-For": {"127.0.0.1"}, "X-Real-Ip": {"127.0.0.1"}, "Forwarded": {"for=127.0.0.1"}}
	stranger.do(forged).fails(v1.CodeUntrustedProxy)
	for _, header := range []http.Header{
		{"X-User-Email": {ada, controller}},
		{"X-User-Email": {ada}, "X_User_Email": {controller}},
		{"X-User-Email": {ada}, "X-User_email": {controller}},
		{"X-User-Email": {ada}, "X.user.email": {controller}},
		{"X-User-Email": {ada}, "X-User-Roles": {"", "controller"}},
		{"X-User-Email": {ada}, "X_User_Roles": {"controller"}},
	} {
		b.do(call{method: "PUT", path: path, body: reportBody, header: header}).fails(v1.CodeAmbiguousIdentity)
	}
	// Roles count only when the gateway is known to set them itself.
	b.do(call{method: "PUT", path: path, as: ada, body: reportBody, header: http.Header{"X-User-Roles": {"controller,admin"}}}).fails(v1.CodeForbidden)
	if diff := cmp.Diff(before, b.state()); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
}

// Owners cannot forge the status of what they own, and nobody's search leaves their own clusters.
func TestTrap30_OwnersForgeNoStatusAndSearchesStayAtHome(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	path := clusters + "/" + b.create(ada, `{"name":"orders","labels":{"a":"b"}}`).ID
	b.do(call{method: "PUT", path: path + "/status", as: ada, body: reportBody}).fails(v1.CodeForbidden)
	b.do(call{method: "PUT", path: path + "/status", as: admin, body: reportBody}).fails(v1.CodeForbidden)
	b.do(call{method: "PUT", path: path, as: ada, body: `{"spec":{},"status":{"phase":"Ready"},"resource_version":"99"}`}).is(200)
	if got := into[v1.Cluster](b.get(ada, path)); got.Status.Phase != v1.PhasePending {
		t.Errorf("an owner forged %+v", got.Status)
	}
	for _, query := range []string{"name=orders", "status=Pending", "label_selector=a%3Db", "label_selector=a+notin+(c)", "label_selector=!x", "total=exact", ""} {
		list := into[v1.ClusterList](b.get(bob, clusters+"?"+query).is(200))
		if len(list.Clusters) != 0 || list.Total != 0 {
			t.Errorf("?%s shows somebody else's: %+v", query, list)
		}
	}
}

// Secrets stay in, and a filter is a value and never a part of a statement.
func TestTrap31_SecretsStayInAndFiltersAreValues(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := b.create(ada, `{"name":"orders","spec":{"serviceAccountSigningKey":"hunter2"}}`)
	for _, path := range []string{clusters, clusters + "/" + c.ID, clusters + "/" + c.ID + "/status"} {
		if r := b.get(ada, path).is(200); strings.Contains(r.body, "hunter2") {
			t.Errorf("%s shows the key", path)
		}
	}
	const attack = "%27%20OR%20%271%27%3D%271"
	for _, name := range []string{"status", "platform", "name", "created_by", "label_selector", "limit", "offset", "total", "order_by"} {
		b.get(bob, fmt.Sprintf("%s?%s=x%s", clusters, name, attack)).fails(v1.CodeInvalidQuery)
	}
	b.get(bob, clusters+"/x"+attack).fails(v1.CodeInvalidID)
}
