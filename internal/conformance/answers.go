package conformance

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func answerChecks() []Check {
	return slices.Concat(ofOne([]promise{
		{"api/info-is-for-anybody", "GET /api/v1/info says to anybody what is running.", ofProbes, infoIsForAnybody},
		{
			"api/health-names-its-components", "GET /health says to anybody how the database and Pub/Sub are.",
			ofProbes, healthNamesItsComponents,
		},
		{"api/probes-are-for-anybody", "GET /livez and /readyz answer 200 to anybody while all is well.", ofProbes, probesAreForAnybody},
		{"api/document-is-served", "GET /openapi.yaml is the contract, and names every route of it.", ofClusters, documentIsServed},
		{"api/docs-load-from-here-only", "GET /docs is a page whose policy is default-src 'self'.", ofClusters, docsLoadFromHereOnly},
		{
			"api/create-answers-the-whole-cluster", "POST answers 201 with every field of the cluster.",
			ofClusters, createAnswersTheWholeCluster,
		},
		{"api/request-id-comes-back", "A short printable X-Request-ID comes back; for any other one is made.", ofErrors, requestIDComesBack},
		{"api/large-body-is-refused", "A body of more than 1 MiB is 413.", ofErrors, largeBodyIsRefused},
		{"api/other-media-types-are-refused", "A body that is not JSON by its Content-Type is 415.", ofErrors, otherMediaTypes},
	}), ofBoth([]promise{
		{"api/id-is-a-uuid-of-version-7", "An id is a UUID of version 7.", ofClusters, idIsOfVersion7},
		{
			"api/times-are-the-same-everywhere", "Times are RFC 3339 in UTC, the same to the digit in every answer.",
			ofClusters, timesAreTheSame,
		},
		{"api/spec-comes-back", "A spec comes back as the JSON value that it was, known fields or not.", ofClusters, specComesBack},
		{"api/etag-is-the-resource-version", "ETag is the resource_version in quotes.", ofClusters, etagIsTheVersion},
		{"api/nothing-is-cached", "No answer may be cached.", ofClusters, nothingIsCached},
		{"api/reconcile-is-accepted", "POST .../reconcile answers 202 and names the resource.", ofClusters, reconcileIsAccepted},
		{"api/method-not-allowed-names-those-that-are", "A method that a path does not know is 405, with Allow.", ofErrors, methodNotAllowed},
	}))
}

// The fields of answers, with their types.
const (
	statusFields = "observedGeneration:number phase:string reason:string message:string conditions:list lastUpdateTime:string"
	commonFields = "id:string name:string description:string paused:bool deletion_protection:bool created_by:string generation:number " +
		"resource_version:string labels:object spec:object status:object created_at:string updated_at:string"
	clusterFields   = commonFields + " target_project_id:string"
	conditionFields = "type:string status:string reason:string message:string lastTransitionTime:string observedGeneration:number"
)

func infoIsForAnybody(ctx context.Context, p *probe) {
	p.nobody.get(ctx, "/api/v1/info").is(http.StatusOK).
		shape("", "service:string version:string git_commit:string build_time:string api_version:string environment:string")
}

func healthNamesItsComponents(ctx context.Context, p *probe) {
	p.nobody.get(ctx, "/health").is(http.StatusOK).
		shape("", "status:string components:object timestamp:string").
		shape("components", "database:object pubsub:object")
}

func probesAreForAnybody(ctx context.Context, p *probe) {
	p.nobody.get(ctx, "/livez").is(http.StatusOK)
	p.nobody.get(ctx, "/readyz").is(http.StatusOK)
}

func documentIsServed(ctx context.Context, p *probe) {
	r := p.nobody.get(ctx, "/openapi.yaml").is(http.StatusOK)
	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(r.body, &document); err != nil {
		p.fail("a document of OpenAPI", err.Error())
	}
	routes := map[string]string{
		"/api/v1/info": "get", "/health": "get", "/livez": "get", "/readyz": "get", controllers: "get", controllers + "/{name}": "get put delete",
	}
	for _, all := range []string{clusters, nodePools} {
		one := all + "/{id}"
		routes[all], routes[one], routes[one+"/reconcile"] = "get post", "get put patch delete", "post"
		routes[one+"/status"], routes[one+"/status/{controller_name}"] = "get put", "delete"
	}
	for path, methods := range routes {
		for method := range strings.FieldsSeq(methods) {
			p.expect(document.Paths[path][method] != nil, "a document with "+method+" "+path,
				slices.Sorted(maps.Keys(document.Paths[path])))
		}
	}
}

func docsLoadFromHereOnly(ctx context.Context, p *probe) {
	r := p.nobody.get(ctx, "/docs").is(http.StatusOK)
	policy := r.header.Get("Content-Security-Policy")
	p.expect(strings.Contains(policy, "default-src 'self'"), "Content-Security-Policy: default-src 'self'", "Content-Security-Policy: "+policy)
}

func createAnswersTheWholeCluster(ctx context.Context, p *probe) {
	r := p.declared(ctx, nil)
	r.shape("", clusterFields).shape("status", statusFields).shape("status.conditions.0", conditionFields)
	r.shows("created_by", p.User).shows("generation", 1).shows("target_project_id", "").shows("labels", fields{}).
		shows("deletion_timestamp", nil)
	said := fields{"name": p.name(), "target_project_id": "project-1", "description": "said", "labels": fields{"a": "b"}, "paused": true}
	r = p.declared(ctx, said)
	for field, value := range said {
		r.shows(field, value)
	}
}

func idIsOfVersion7(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.expect(regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id),
		"a UUID of version 7", id)
}

func timesAreTheSame(ctx context.Context, p *probe) {
	posted := p.declared(ctx, nil)
	r := into[resource](posted)
	read := p.user.get(ctx, p.path(r.ID)).is(http.StatusOK)
	list := p.user.list(ctx, "name", r.Name).is(http.StatusOK)
	for _, field := range []string{"created_at", "updated_at", "status.lastUpdateTime"} {
		at := posted.at(field)
		read.shows(field, at)
		list.shows(p.kind.list+".0."+field, at)
		_, err := time.Parse(time.RFC3339Nano, text(at))
		p.expect(err == nil && strings.HasSuffix(text(at), "Z"), field+" as a time of RFC 3339 in UTC", text(at))
	}
}

func specComesBack(ctx context.Context, p *probe) {
	const unknown = `{"list":[1,2.5,-3e2,null,true,{"deep":[[]]}],"empty":{},"text":"ü \" \\ \u6f22 \t","null":null,"zero":0}`
	r := p.declare(ctx, p.with(`"of-nobody":`+unknown))
	want := reply{p: p, body: []byte(unknown)}.at("")
	p.user.get(ctx, p.path(r.ID)).is(http.StatusOK).shows("spec.of-nobody", want)
	p.user.list(ctx, "name", r.Name).is(http.StatusOK).shows(p.kind.list+".0.spec.of-nobody", want)
}

func etagIsTheVersion(ctx context.Context, p *probe) {
	r := p.declared(ctx, nil)
	path := p.path(into[resource](r).ID)
	for _, answer := range []reply{
		r,
		p.user.get(ctx, path).is(http.StatusOK),
		p.user.patch(ctx, path, `{"description":"other"}`).is(http.StatusOK),
		p.user.put(ctx, path, text(p.with(`"n":1`))).is(http.StatusOK),
	} {
		answer.has("ETag", `"`+text(answer.at("resource_version"))+`"`)
	}
}

func nothingIsCached(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	for _, answer := range []reply{
		p.user.list(ctx, "limit", "1"), p.user.get(ctx, p.path(id)), p.user.get(ctx, p.path(id)+"/status"),
	} {
		answer.is(http.StatusOK).expectHeader("Cache-Control", "no-store", func(v string) bool { return strings.Contains(v, "no-store") })
	}
}

func requestIDComesBack(ctx context.Context, p *probe) {
	given := p.name()
	p.user.list(ctx, "limit", "1").expectHeader("X-Request-ID", "one that was made", func(id string) bool { return id != "" })
	p.user.get(ctx, clusters+"?limit=1", "X-Request-ID", given).has("X-Request-ID", given)
	for _, bad := range []string{strings.Repeat("x", 1000), "two words"} {
		p.user.get(ctx, clusters+"?limit=1", "X-Request-ID", bad).
			expectHeader("X-Request-ID", "one that was made", func(id string) bool { return id != "" && id != bad })
	}
}

func reconcileIsAccepted(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	p.user.post(ctx, p.path(r.ID)+"/reconcile", "").is(http.StatusAccepted).
		shape("", "message:string").shows(p.kind.id, r.ID).shows("cluster_id", r.cluster())
}

func methodNotAllowed(ctx context.Context, p *probe) {
	r := p.user.put(ctx, p.kind.path, `{}`)
	r.refused(v1.CodeMethodNotAllowed, "")
	r.expectHeader("Allow", "GET and POST", func(allow string) bool {
		return strings.Contains(allow, http.MethodGet) && strings.Contains(allow, http.MethodPost)
	})
}

func largeBodyIsRefused(ctx context.Context, p *probe) {
	large := `"text":"` + strings.Repeat("x", 1<<20) + `"`
	p.user.post(ctx, clusters, p.body(ctx, p.with(large))).refused(v1.CodeBodyTooLarge, "")
}

func otherMediaTypes(ctx context.Context, p *probe) {
	p.user.post(ctx, clusters, `{"name":"`+p.name()+`"}`, "Content-Type", "text/plain").refused(v1.CodeUnsupportedMediaType, "Content-Type")
}
