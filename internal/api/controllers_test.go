package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// register makes a controller say what it is, which must be taken.
func (b *backend) register(name, body string) v1.Controller {
	b.t.Helper()
	r := b.do(call{method: http.MethodPut, path: controllers + "/" + name, as: controller, body: body}).is(http.StatusOK)
	return into[v1.Controller](r)
}

// retire ends a controller, which must be known.
func (b *backend) retire(name string) {
	b.t.Helper()
	b.do(call{method: http.MethodDelete, path: controllers + "/" + name, as: admin}).is(http.StatusNoContent)
}

// registry returns the entry of each controller, and checks that the list has them in the order of the names.
func (b *backend) registry() map[string]v1.Controller {
	b.t.Helper()
	entries, last := map[string]v1.Controller{}, ""
	for _, c := range into[v1.ControllerList](b.get(admin, controllers).is(http.StatusOK)).Controllers {
		if c.Name <= last {
			b.t.Errorf("%q is listed after %q", c.Name, last)
		}
		entries[c.Name], last = c, c.Name
	}
	return entries
}

// refusalsOfRegistry are those of the registry, in which there is no controller named nobody.
func refusalsOfRegistry(b *backend) []refusal {
	b.register("infra", `{}`)
	infra, nobody := controllers+"/infra", controllers+"/nobody"
	put := func(path, body string) call {
		return call{method: "PUT", path: path, as: controller, body: body}
	}
	many := strings.TrimSuffix(strings.Repeat(`"gcp",`, 101), ",")
	return []refusal{
		{"a platform that is none", put(infra, `{"platforms":["gcp","g c p"]}`), v1.CodeInvalidField, "platforms[1]"},
		{"an empty platform", put(infra, `{"platforms":[""]}`), v1.CodeInvalidField, "platforms[0]"},
		{"a platform of 64", put(infra, `{"platforms":["`+strings.Repeat("a", 64)+`"]}`), v1.CodeInvalidField, "platforms[0]"},
		{"a platform that is null", put(infra, `{"platforms":["gcp",null]}`), v1.CodeInvalidField, "platforms[1]"},
		{"a platform with NUL", put(infra, `{"platforms":["gcp","a\u0000"]}`), v1.CodeInvalidField, "platforms[1]"},
		{"too many platforms", put(infra, `{"platforms":[`+many+`]}`), v1.CodeInvalidField, "platforms"},
		{"one platform without a list", put(infra, `{"platforms":"gcp"}`), v1.CodeInvalidField, "platforms"},
		{"a number among the platforms", put(infra, `{"platforms":["gcp",7]}`), v1.CodeInvalidField, "platforms"},
		{"a kind that is none", put(infra, `{"kinds":["cluster","node"]}`), v1.CodeInvalidField, "kinds[1]"},
		{"a kind in the plural", put(infra, `{"kinds":["clusters"]}`), v1.CodeInvalidField, "kinds[0]"},
		{"a kind in upper case", put(infra, `{"kinds":["Cluster"]}`), v1.CodeInvalidField, "kinds[0]"},
		{"kinds that are an object", put(infra, `{"kinds":{"cluster":true}}`), v1.CodeInvalidField, "kinds"},
		{"a text that says whether it finalizes", put(infra, `{"finalizes":"yes"}`), v1.CodeInvalidField, "finalizes"},
		{"a number that says whether it is required", put(infra, `{"required":1}`), v1.CodeInvalidField, "required"},
		{"a field of a registration that nobody knows", put(infra, `{"platform":["gcp"]}`), v1.CodeInvalidField, "platform"},
		{"a field of a registration in another case", put(infra, `{"Required":true}`), v1.CodeInvalidField, "Required"},
		{"a registration with NUL in a key", put(infra, `{"a\u0000":1}`), v1.CodeInvalidField, "a\uFFFD"},
		{"a registration that is no JSON", put(infra, `{`), v1.CodeInvalidJSON, "body"},
		{"a registration that is a list", put(infra, `[]`), v1.CodeInvalidJSON, "body"},
		{"a registration that is null", put(infra, `null`), v1.CodeInvalidJSON, "body"},
		{"an empty registration", put(infra, ``), v1.CodeInvalidJSON, "body"},
		{"a registration of 2 MiB", put(infra, `{"platforms":["`+strings.Repeat("a", 2<<20)+`"]}`), v1.CodeBodyTooLarge, ""},
		{"another media type on a registration", call{method: "PUT", path: infra, as: controller, body: `{}`, header: textBody}, v1.CodeUnsupportedMediaType, "Content-Type"},
		{"a parameter on a registration", put(infra+"?force=true", `{}`), v1.CodeInvalidQuery, "force"},
		{"a dry run of a bad registration", put(infra+"?dry_run=true", `{"kinds":["x"]}`), v1.CodeInvalidField, "kinds[0]"},

		{"no controller's name", put(controllers+"/", `{}`), v1.CodeNotFound, ""},
		{"a controller's name of 256", put(controllers+"/"+strings.Repeat("n", 256), `{}`), v1.CodeInvalidField, "name"},
		{"a controller's name with NUL", put(controllers+"/a%00", `{}`), v1.CodeInvalidField, "name"},
		{"a controller's name that is no UTF-8", put(controllers+"/a%ff", `{}`), v1.CodeInvalidField, "name"},
		{"another controller's registration", call{method: "PUT", path: infra, as: dnsOnly, body: `{"required":true}`}, v1.CodeForbidden, "controller_name"},
		{"an administrator's registration", call{method: "PUT", path: infra, as: admin, body: `{}`}, v1.CodeForbidden, ""},

		{"a parameter on the registry", call{method: "GET", path: controllers + "?limit=1", as: admin}, v1.CodeInvalidQuery, "limit"},
		{"a parameter on a controller", call{method: "GET", path: infra + "?a=b", as: admin}, v1.CodeInvalidQuery, "a"},
		{"a controller that nobody knows", call{method: "GET", path: nobody, as: controller}, v1.CodeNotFound, "name"},
		{"no controller's name, to read", call{method: "GET", path: controllers + "/a%00", as: controller}, v1.CodeNotFound, "name"},
		{"no UTF-8, to read", call{method: "GET", path: controllers + "/a%ff", as: controller}, v1.CodeNotFound, "name"},
		{"a parameter on a retirement", call{method: "DELETE", path: infra + "?force=true", as: admin}, v1.CodeInvalidQuery, "force"},
		{"nobody to retire", call{method: "DELETE", path: nobody, as: admin}, v1.CodeNotFound, "name"},
		{"nobody to retire, to try", call{method: "DELETE", path: nobody + "?dry_run=true", as: admin}, v1.CodeNotFound, "name"},
		{"no controller's name, to retire", call{method: "DELETE", path: controllers + "/a%00", as: admin}, v1.CodeNotFound, "name"},
		{"another controller's retirement", call{method: "DELETE", path: infra, as: dnsOnly}, v1.CodeForbidden, "controller_name"},
		{"no such method on a controller", call{method: "PATCH", path: infra, as: controller, body: `{}`}, v1.CodeMethodNotAllowed, ""},
		{"no such method on the registry", call{method: "POST", path: controllers, as: controller, body: `{}`}, v1.CodeMethodNotAllowed, ""},
	}
}

// Who may do what to the registry: the whole table, each cell on a controller of its own.
func TestControllers_Permissions(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	for n, test := range []struct {
		what, method, path, body string
		status                   map[string]int
	}{
		{"list", "GET", "", "", map[string]int{ada: 403, controller: 200, dnsOnly: 200, admin: 200}},
		{"read", "GET", "/%s", "", map[string]int{ada: 403, controller: 200, dnsOnly: 200, admin: 200}},
		{"read the own", "GET", "/dns", "", map[string]int{ada: 403, controller: 200, dnsOnly: 200, admin: 200}},
		{"register", "PUT", "/%s", `{"required":true}`, map[string]int{ada: 403, controller: 200, dnsOnly: 403, admin: 403}},
		{"register the own", "PUT", "/dns", `{"finalizes":true}`, map[string]int{ada: 403, controller: 200, dnsOnly: 200, admin: 403}},
		{"retire", "DELETE", "/%s", "", map[string]int{ada: 403, controller: 204, dnsOnly: 403, admin: 204}},
		{"retire the own", "DELETE", "/dns", "", map[string]int{ada: 403, controller: 204, dnsOnly: 204, admin: 204}},
	} {
		for who, status := range test.status {
			b.register("dns", `{"platforms":["gcp"]}`)
			name := strings.ReplaceAll(who, "@", "-") + string(rune('a'+n))
			b.register(name, `{}`)
			before := b.state()
			r := b.do(call{method: test.method, path: controllers + strings.ReplaceAll(test.path, "%s", name), as: who, body: test.body})
			if r.status != status {
				t.Errorf("%s may %s: status %d, want %d; %.300s", who, test.what, r.status, status, r.body)
			}
			if (b.state() != before) != (status < 400 && test.method != "GET") {
				t.Errorf("%s may %s: status %d, and something changed %v", who, test.what, status, b.state() != before)
			}
		}
	}
}

// Users learn nothing of controllers, not even whether a call is right.
func TestControllers_PermissionsComeFirst(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	b.register("dns", `{}`)
	b.get(ada, controllers+"?limit=0").fails(v1.CodeForbidden)
	for _, name := range []string{"dns", "nobody", "a%00"} {
		path := controllers + "/" + name + "?x=y"
		b.get(ada, path).fails(v1.CodeForbidden)
		b.do(call{method: "DELETE", path: path, as: ada}).fails(v1.CodeForbidden)
		for _, body := range []string{`{}`, `{`, `[]`, "", strings.Repeat("x", 2<<20)} {
			b.do(call{method: "PUT", path: path, as: ada, body: body}).fails(v1.CodeForbidden)
			b.do(call{method: "PUT", path: path, as: admin, body: body}).fails(v1.CodeForbidden)
		}
	}
}

// An entry says what was registered in its canonical form, and is what GET and the list say too.
func TestControllers_SayWhatTheyRegister(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	if body := b.get(controller, controllers).is(http.StatusOK).body; body != `{"controllers":[]}` {
		t.Errorf("an empty registry is %s", body)
	}
	for name, test := range map[string]struct {
		body string
		want v1.Controller
	}{
		"all":                      {`{}`, v1.Controller{Platforms: []string{}, Kinds: []string{}}},
		"nulls":                    {`{"platforms":null,"kinds":null,"finalizes":null,"required":null}`, v1.Controller{Platforms: []string{}, Kinds: []string{}}},
		"empty":                    {`{"platforms":[],"kinds":[]}`, v1.Controller{Platforms: []string{}, Kinds: []string{}}},
		"dns":                      {`{"platforms":["GCP","aws","gcp"],"required":true}`, v1.Controller{Platforms: []string{"aws", "gcp"}, Kinds: []string{}, Required: true}},
		"workers":                  {`{"kinds":["nodepool","cluster","nodepool"],"finalizes":true}`, v1.Controller{Platforms: []string{}, Kinds: []string{"cluster", "nodepool"}, Finalizes: true}},
		strings.Repeat("é", 255):   {`{"kinds":["nodepool"]}`, v1.Controller{Platforms: []string{}, Kinds: []string{"nodepool"}}},
		"example.com%2Finfra v1+?": {`{}`, v1.Controller{Platforms: []string{}, Kinds: []string{}}},
	} {
		test.want.Name, test.want.Registered = strings.ReplaceAll(name, "%2F", "/"), true
		path := strings.NewReplacer(" ", "%20", "?", "%3F", "é", "%C3%A9").Replace(name)
		got := b.register(path, test.body)
		if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(v1.Controller{}, "FirstSeenAt", "LastHeartbeat")); diff != "" || got.FirstSeenAt.IsZero() || got.LastHeartbeat == nil {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		r := b.get(admin, controllers+"/"+path).is(http.StatusOK)
		if diff := cmp.Diff(got, into[v1.Controller](r)); diff != "" || strings.Contains(r.body, `:null`) {
			t.Errorf("%s: -answered +read:\n%s\n%s", name, diff, r.body)
		}
		if diff := cmp.Diff(got, b.registry()[got.Name]); diff != "" {
			t.Errorf("%s: -answered +listed:\n%s", name, diff)
		}
	}
}

// A controller as it was read, edited, is a registration; the same one again changes nothing.
func TestControllers_ReadEditWrite(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		of.report(of.declare(ada, `{"name":"orders"}`).ID, reportBody)
		known := of.get(controller, controllers+"/dns").is(http.StatusOK)
		if got := into[v1.Controller](known); got.Registered || got.LastHeartbeat == nil || got.Clusters+got.NodePools != 1 || got.Lag != 0 {
			t.Errorf("known by its report: %s", known.body)
		}
		first := of.register("dns", known.body)
		if !first.Registered || first.LastHeartbeat == nil {
			t.Errorf("registered as %+v", first)
		}
		edited := strings.Replace(known.body, `"platforms":[]`, `"platforms":["gcp"]`, 1)
		if got := of.register("dns", edited); !cmp.Equal(got.Platforms, []string{"gcp"}) || !got.FirstSeenAt.Equal(first.FirstSeenAt) {
			t.Errorf("%s makes %+v", edited, got)
		}
		before := of.state()
		of.register("dns", of.get(controller, controllers+"/dns").body)
		if diff := cmp.Diff(before, of.state()); diff != "" {
			t.Errorf("the same again changes:\n%s", diff)
		}
	})
}

// A retired controller stays in the registry; its reports count nowhere until it registers again.
func TestControllers_RetireAndComeBack(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		id := of.declare(ada, `{"name":"orders"}`).ID
		of.report(id, reportBody)
		of.report(id, `{"controller_name":"infra","conditions":[{"type":"Available","status":"False"}]}`)
		of.retire("infra")
		if got := of.status(id).Status; got.Phase != v1.PhaseReady {
			t.Errorf("it is waited for: %+v", got)
		}
		gone := of.registry()["infra"]
		if gone.RetiredAt == nil {
			t.Errorf("retired: %+v", gone)
		}
		before := of.state()
		of.retire("infra")
		if diff := cmp.Diff(before, of.state()); diff != "" {
			t.Errorf("a second time: %s", diff)
		}
		if r := of.report(id, `{"controller_name":"infra"}`); r.Applied || r.Reason != v1.NotAppliedRetired {
			t.Errorf("a report of a retired controller: %+v", r)
		}
		if back := of.register("infra", `{}`); back.RetiredAt != nil {
			t.Errorf("back: %+v", back)
		}
		if r := of.report(id, `{"controller_name":"infra","conditions":[{"type":"Available","status":"False"}]}`); !r.Applied {
			t.Errorf("a report after it came back: %+v", r)
		}
		if got := of.status(id).Status; got.Phase != v1.PhaseProgressing || !strings.Contains(got.Message, "infra") {
			t.Errorf("it is not waited for: %+v", got)
		}
	})
}

// What is required is waited for by name before anything is reported, by what it is for and nothing else.
func TestControllers_RequiredOnesAreWaitedFor(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		t := of.t
		of.register("infra", `{"platforms":["GCP"],"kinds":["`+string(of.kind)+`"],"required":true}`)
		gcp := of.declare(ada, `{"name":"a","spec":{"platform":{"type":"Gcp"}}}`)
		if got := gcp.Status; got.Phase != v1.PhasePending || !strings.Contains(got.Message, "infra") {
			t.Errorf("a new one: %+v", got)
		}
		of.report(gcp.ID, reportBody)
		if got := of.status(gcp.ID).Status; got.Phase != v1.PhaseProgressing || !strings.Contains(got.Message, "infra") {
			t.Errorf("before it reported: %+v", got)
		}
		aws := of.declare(ada, `{"name":"b","spec":{"platform":{"type":"aws"}}}`).ID
		of.report(aws, reportBody)
		if got := of.status(aws).Status; got.Phase != v1.PhaseReady {
			t.Errorf("of another platform: %+v", got)
		}
		of.report(gcp.ID, `{"controller_name":"infra","conditions":[{"type":"Available","status":"True"}]}`)
		if got := of.status(gcp.ID).Status; got.Phase != v1.PhaseReady {
			t.Errorf("after it reported: %+v", got)
		}
		if of.kind == models.KindNodePool {
			of.collection(models.KindCluster, ada).report(of.home, reportBody)
			if got := of.registry()["infra"]; got.Clusters != 0 || got.NodePools != 1 {
				t.Errorf("counts %+v", got)
			}
		}
	})
}
