package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The numbers of these tests are those of the list of traps that services like this one
// have fallen into.

// What controllers really send is taken: each refusal would be redelivered for ever.
func TestTrap16_WhatControllersReallySendIsTaken(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		id := of.declare(ada, `{"name":"orders"}`).ID
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
			if r := of.report(id, test.body); !r.Applied {
				t.Errorf("%s: %+v", test.why, r)
			}
			if got := of.status(id); len(got.ControllerStatus) != 1 {
				t.Errorf("%s: %d reports", test.why, len(got.ControllerStatus))
			}
		}
	})
}

// A name is free again after a deletion, at once and as often as one likes.
func TestTrap24_NamesAreFreeAgain(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		seen := map[string]bool{}
		for range 3 {
			id := of.declare(ada, `{"name":"orders"}`).ID
			if seen[id] {
				t.Errorf("%s came back from the dead", id)
			}
			seen[id] = true
			of.do(call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"orders"}`)}).failsAt(of.nameExists, "name")
			of.do(call{method: "DELETE", path: of.path + "/" + id, as: ada}).is(http.StatusAccepted)
			of.get(ada, of.path+"/"+id).fails(v1.CodeNotFound)
			if list := of.list(admin, "name=orders"); list.Total != 0 {
				t.Errorf("a deleted %s is listed: %+v", of.kind, list)
			}
		}
	})
}

// The node pools of a deleted cluster are gone with it, for everybody: each controller is told,
// and nobody is woken for one again.
func TestTrap24_ThePoolsOfADeletedClusterAreGone(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	pools := []resource{of.declare(ada, `{"name":"one"}`), of.declare(ada, `{"name":"two"}`)}
	elsewhere := of.collection(models.KindNodePool, bob).declare(bob, `{"name":"one"}`)
	of.do(call{method: "DELETE", path: clusters + "/" + of.home, as: ada}).is(http.StatusAccepted)
	for _, as := range []string{ada, controller, admin} {
		for _, pool := range pools {
			of.get(as, nodepools+"/"+pool.ID).fails(v1.CodeNotFound)
			of.get(as, nodepools+"/"+pool.ID+"/status").fails(v1.CodeNotFound)
		}
		of.get(as, clusters+"/"+of.home+"/nodepools").fails(v1.CodeNotFound)
		if list := of.list(as, "cluster_id="+of.home); list.Total != 0 || len(list.all()) != 0 {
			t.Errorf("%s sees %+v", as, list)
		}
	}
	of.do(call{method: "POST", path: nodepools, as: ada, body: of.body(`{"name":"three"}`)}).fails(v1.CodeNotFound)
	if got := of.list(admin, "").all(); len(got) != 1 || got[0].ID != elsewhere.ID {
		t.Errorf("the node pools of another cluster: %+v", got)
	}
	var told, due int
	err := of.pool.QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM outbox WHERE type = 'nodepool.deleted' AND cluster_id = $1),
		(SELECT count(*) FROM nodepool_schedule s JOIN nodepools n ON n.id = s.nodepool_id WHERE s.enabled AND n.cluster_id = $1)`, of.home).Scan(&told, &due)
	if err != nil || told != len(pools) || due != 0 {
		t.Errorf("%d of %d deletions told, %d node pools still to be woken, %v", told, len(pools), due, err)
	}
}

// One shape of error, with a sentence in both places, and no null where a list belongs.
func TestTrap25_OneShapeOfErrorAndNoNulls(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		path := of.path + "/" + of.declare(ada, `{"name":"orders","deletion_protection":true}`).ID
		for code, call := range map[v1.Code]call{
			v1.CodeNotFound:         {method: "GET", path: "/nope", as: ada},
			v1.CodeMethodNotAllowed: {method: "PATCH", path: of.path, as: ada},
			v1.CodeAuthRequired:     {method: "GET", path: of.path},
			v1.CodeInvalidQuery:     {method: "GET", path: of.path + "?a=b", as: ada},
			v1.CodeInvalidJSON:      {method: "POST", path: of.path, as: ada, body: `{`},
			v1.CodeInvalidField:     {method: "POST", path: of.path, as: ada, body: `{}`},
			v1.CodeForbidden:        {method: "PUT", path: path + "/status", as: ada, body: reportBody},
			of.nameExists:           {method: "POST", path: of.path, as: ada, body: of.body(`{"name":"orders"}`)},
			// The refused delete that was a 500 with SQL in it.
			v1.CodeDeletionProtected: {method: "DELETE", path: path, as: ada},
		} {
			r := of.do(call)
			r.fails(code)
			if got := r.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("%s as %q", code, got)
			}
		}
		paths := []string{of.path, of.path + "?name=none", path, path + "/status", path + "/explain"}
		if of.kind == models.KindNodePool {
			within := clusters + "/" + of.home + "/nodepools"
			paths = append(paths, within, within+"?name=none")
		}
		for _, path := range paths {
			if r := of.get(ada, path).is(http.StatusOK); strings.Contains(r.body, "null") {
				t.Errorf("%s answers a null: %s", path, r.body)
			}
		}
	})
}

// Each documented filter filters, and a limit that is out of bounds is no other limit.
func TestTrap26_FiltersFilterAndLimitsAreNotBent(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		of.declare(ada, `{"name":"one","labels":{"a":"1"},"spec":{"platform":{"type":"gcp"}}}`)
		bobs := of.collection(of.kind, bob)
		ready := bobs.declare(bob, `{"name":"two","labels":{"a":"2"},"spec":{"platform":{"type":"aws"}}}`)
		of.report(ready.ID, reportBody)
		queries := []string{"status=Ready", "platform=aws", "name=two", "label_selector=a%3D2", "created_by=" + bob}
		if of.kind == models.KindNodePool {
			queries = append(queries, "cluster_id="+bobs.home, "clusterId="+bobs.home, "cluster_id="+strings.ToUpper(bobs.home))
		}
		for _, query := range queries {
			if list := of.list(admin, query); list.names() != "two" || list.Total != 1 {
				t.Errorf("?%s lists %q of %d", query, list.names(), list.Total)
			}
		}
		for _, query := range []string{"limit=101", "limit=0", "limit=-1", "limit=", "platform=", "page_size=5"} {
			of.get(admin, of.path+"?"+query).fails(v1.CodeInvalidQuery)
		}
	})
}

// A spec comes back as the value that it was, whatever is in it, and an update is judged
// as a creation is.
func TestTrap27_SpecsKeepWhatNobodyKnowsAndUpdatesAreJudged(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		const spec = `{"platform":{"type":"GCP","new":{"deep":[1,null,{"x":"\u00e9 <&>"}]}},"n":12345678901234567890,"f":1.25,"empty":{},"list":[]}`
		c := of.declare(ada, `{"name":"orders","spec":`+spec+`}`)
		path := of.path + "/" + c.ID
		same := func(got v1.Object) {
			t.Helper()
			if diff := cmp.Diff(decoded(t, spec), decoded(t, string(got))); diff != "" {
				t.Errorf("-given +kept:\n%s", diff)
			}
		}
		same(c.Spec)
		same(into[resource](of.get(ada, path)).Spec)
		same(of.list(ada, "platform=gcp").all()[0].Spec)
		same(into[resource](of.do(call{method: "PUT", path: path, as: ada, body: `{"spec":` + spec + `}`}).is(200)).Spec)
		for _, body := range []string{`{}`, `{"spec":null}`, `{"spec":{"platform":{"type":"??"}}}`, `{"spec":{"platform":{"type":7}}}`, `{"Spec":{}}`} {
			of.do(call{method: "PUT", path: path, as: ada, body: body}).fails(v1.CodeInvalidField)
		}
		same(into[resource](of.get(ada, path)).Spec)
	})
}

func decoded(t testing.TB, text string) any {
	t.Helper()
	return into[any](reply{t: t, body: text})
}

// A body is read no further than its limit, whatever its length is said to be, and what
// cannot be committed is never answered 201.
func TestTrap28_LargeBodiesAndFailedCommits(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		endless := &counting{}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, of.path, endless)
		r.ContentLength = -1
		r.RemoteAddr = of.remote
		r.Header.Set("X-User-Email", ada)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		of.server.ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge || endless.n > 3<<20 {
			t.Errorf("status %d after %d bytes", w.Code, endless.n)
		}
		// A constraint that is looked at only when the transaction commits.
		_, err := of.pool.Exec(t.Context(), `
			CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no commit'; END $$;
			CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
		if err != nil {
			t.Fatal(err)
		}
		of.do(call{method: "POST", path: of.path, as: ada, body: of.body(`{"name":"orders"}`)}).fails(v1.CodeInternal)
		if n := of.count(string(of.kind) + "s"); n != 0 {
			t.Errorf("%d resources", n)
		}
	})
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
	eachKind(t, func(of collection) {
		t := of.t
		b := of.backend
		path := of.path + "/" + of.declare(ada, `{"name":"orders"}`).ID + "/status"
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
	})
}

// Owners cannot forge the status of what they own: that they may not is said before anything is
// looked up, and no other call takes a status.
func TestTrap30_OwnersForgeNoStatus(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		id := of.declare(ada, `{"name":"orders"}`).ID
		for _, as := range []string{ada, bob, admin} {
			for _, id := range []string{id, unknown, "no-id"} {
				of.do(call{method: "PUT", path: of.path + "/" + id + "/status", as: as, body: reportBody}).fails(v1.CodeForbidden)
			}
		}
		const forged = `"status":{"phase":"Ready"},"resource_version":"99"}`
		of.do(call{method: "PUT", path: of.path + "/" + id, as: ada, body: `{"spec":{},` + forged}).is(200)
		of.do(call{method: "PATCH", path: of.path + "/" + id, as: ada, body: `{` + forged}).is(200)
		for _, id := range []string{id, of.declare(ada, `{"name":"forged",`+forged).ID} {
			if got := of.status(id); got.Status.Phase != v1.PhasePending || len(got.ControllerStatus) != 0 {
				t.Errorf("an owner forged %+v", got)
			}
		}
	})
}

// Nobody's search leaves their own clusters and node pools, and nobody counts another's.
func TestTrap30_SearchesStayAtHome(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		of.declare(ada, `{"name":"orders","labels":{"a":"b"}}`)
		queries := []string{
			"", "name=orders", "status=Pending", "label_selector=a%3Db", "label_selector=a+notin+(c)", "label_selector=!x", "total=exact", "created_by=" + bob,
		}
		if of.kind == models.KindNodePool {
			queries = append(queries, "cluster_id="+of.home, "clusterId="+of.home, "cluster_id="+of.home+"&name=orders&total=exact")
		}
		for _, query := range queries {
			if list := of.list(bob, query); len(list.all()) != 0 || list.Total != 0 {
				t.Errorf("?%s shows somebody else's: %+v", query, list)
			}
		}
	})
}

// A cluster of somebody else's is not there for whoever asks for its node pools or wants one in
// it, and a node pool is the cluster's owner's, whoever has made it.
func TestTrap30_PoolsAreTheClusterOwners(t *testing.T) {
	t.Parallel()
	of := newBackend(t).collection(models.KindNodePool, ada)
	of.declare(ada, `{"name":"one"}`)
	within := clusters + "/" + of.home + "/nodepools"
	of.get(bob, within).fails(v1.CodeNotFound)
	before := of.state()
	of.do(call{method: "POST", path: nodepools, as: bob, body: of.body(`{"name":"two"}`)}).fails(v1.CodeNotFound)
	if diff := cmp.Diff(before, of.state()); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
	made := of.declare(admin, `{"name":"three","created_by":"`+admin+`"}`)
	if made.CreatedBy != ada {
		t.Errorf("made by an administrator, and owned by %s", made.CreatedBy)
	}
	of.get(bob, nodepools+"/"+made.ID).fails(v1.CodeNotFound)
	for _, as := range []string{ada, controller, admin} {
		if got := into[page](of.get(as, within).is(200)); got.names() != "three one" || got.Total != 2 {
			t.Errorf("%s sees %q of %d", as, got.names(), got.Total)
		}
	}
	of.do(call{method: "PATCH", path: nodepools + "/" + made.ID, as: ada, body: `{"spec":{"replicas":1}}`}).is(200)
}

// Secrets stay in, and a filter is a value and never a part of a statement.
func TestTrap31_SecretsStayInAndFiltersAreValues(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		path := of.path + "/" + of.declare(ada, `{"name":"orders","spec":{"serviceAccountSigningKey":"hunter2"}}`).ID
		for _, path := range []string{of.path, path, path + "/status", path + "/explain"} {
			if r := of.get(ada, path).is(200); strings.Contains(r.body, "hunter2") {
				t.Errorf("%s shows the key", path)
			}
		}
		const attack = "%27%20OR%20%271%27%3D%271"
		for _, name := range []string{
			"status", "platform", "name", "created_by", "label_selector", "limit", "offset", "total", "order_by", "cluster_id", "clusterId",
		} {
			of.get(bob, fmt.Sprintf("%s?%s=x%s", of.path, name, attack)).failsAt(v1.CodeInvalidQuery, name)
		}
		of.get(bob, of.path+"/x"+attack).fails(v1.CodeInvalidID)
	})
}
