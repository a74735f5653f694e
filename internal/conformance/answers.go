package conformance

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func answerChecks() []Check {
	return []Check{
		{"api/info-is-for-anybody", "GET /api/v1/info says to anybody what is running.", ofProbes, infoIsForAnybody},
		{"api/health-names-its-components", "GET /health says to anybody how the database and Pub/Sub are.", ofProbes, healthNamesItsComponents},
		{"api/probes-are-for-anybody", "GET /livez and /readyz answer 200 to anybody while all is well.", ofProbes, probesAreForAnybody},
		{"api/document-is-served", "GET /openapi.yaml is the contract, and names every route of it.", ofClusters, documentIsServed},
		{"api/docs-load-from-here-only", "GET /docs is a page whose policy is default-src 'self'.", ofClusters, docsLoadFromHereOnly},
		{"api/create-answers-the-whole-cluster", "POST answers 201 with every field of the cluster.", ofClusters, createAnswersTheWholeCluster},
		{"api/id-is-a-uuid-of-version-7", "The id of a cluster is a UUID of version 7.", ofClusters, idIsOfVersion7},
		{"api/times-are-the-same-everywhere", "Times are RFC 3339 in UTC, the same to the digit in every answer.", ofClusters, timesAreTheSame},
		{"api/spec-comes-back", "A spec comes back as the JSON value that it was, known fields or not.", ofClusters, specComesBack},
		{"api/etag-is-the-resource-version", "ETag is the resource_version in quotes.", ofClusters, etagIsTheVersion},
		{"api/nothing-is-cached", "No answer may be cached.", ofClusters, nothingIsCached},
		{"api/request-id-comes-back", "A short printable X-Request-ID comes back; for any other one is made.", ofErrors, requestIDComesBack},
		{"api/reconcile-is-accepted", "POST .../reconcile answers 202 and names the cluster.", ofClusters, reconcileIsAccepted},
		{"api/method-not-allowed-names-those-that-are", "A method that a path does not know is 405, with Allow.", ofErrors, methodNotAllowed},
		{"api/large-body-is-refused", "A body of more than 1 MiB is 413.", ofErrors, largeBodyIsRefused},
		{"api/other-media-types-are-refused", "A body that is not JSON by its Content-Type is 415.", ofErrors, otherMediaTypes},
	}
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
	for _, route := range []string{
		clusters, clusters + "/{id}", clusters + "/{id}/status", clusters + "/{id}/status/{controller_name}", clusters + "/{id}/reconcile",
		nodePools, nodePools + "/{id}", nodePools + "/{id}/status", controllers + "/{name}", "/api/v1/info", "/health",
	} {
		p.expect(strings.Contains(string(r.body), route+":\n"), "a document with the path "+route, string(r.body[:min(len(r.body), 200)]))
	}
}

func docsLoadFromHereOnly(ctx context.Context, p *probe) {
	r := p.nobody.get(ctx, "/docs").is(http.StatusOK)
	policy := r.header.Get("Content-Security-Policy")
	p.expect(strings.Contains(policy, "default-src 'self'"), "Content-Security-Policy: default-src 'self'", "Content-Security-Policy: "+policy)
}

func createAnswersTheWholeCluster(ctx context.Context, p *probe) {
	name := p.name()
	r := p.user.post(ctx, clusters, `{"name":"`+name+`","spec":`+p.spec().String()+`}`).is(http.StatusCreated)
	r.shape("", clusterFields).shape("status", statusFields).shape("status.conditions.0", conditionFields)
	r.shows("name", name).shows("created_by", p.User).shows("generation", 1).shows("target_project_id", "").shows("labels", v1.Object("{}"))
}

func idIsOfVersion7(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	p.expect(regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id),
		"a UUID of version 7", id)
}

func timesAreTheSame(ctx context.Context, p *probe) {
	posted := p.user.post(ctx, clusters, `{"name":"`+p.name()+`","spec":`+p.spec().String()+`}`).is(http.StatusCreated)
	c := into[v1.Cluster](posted)
	read := p.user.get(ctx, clusters+"/"+c.ID).is(http.StatusOK)
	list := p.user.list(ctx, "name", c.Name).is(http.StatusOK)
	for _, field := range []string{"created_at", "updated_at", "status.lastUpdateTime"} {
		at := posted.at(field)
		read.shows(field, at)
		list.shows("clusters.0."+field, at)
		_, err := time.Parse(time.RFC3339Nano, text(at))
		p.expect(err == nil && strings.HasSuffix(text(at), "Z"), field+" as a time of RFC 3339 in UTC", text(at))
	}
}

func specComesBack(ctx context.Context, p *probe) {
	const unknown = `{"list":[1,2.5,-3e2,null,true,{"deep":[[]]}],"empty":{},"text":"ü \" \\ \u6f22 \t","null":null,"zero":0}`
	c := p.cluster(ctx, `"of-nobody":`+unknown)
	want := reply{p: p, body: []byte(unknown)}.at("")
	p.user.get(ctx, clusters+"/"+c.ID).is(http.StatusOK).shows("spec.of-nobody", want)
	p.user.list(ctx, "name", c.Name).is(http.StatusOK).shows("clusters.0.spec.of-nobody", want)
}

func etagIsTheVersion(ctx context.Context, p *probe) {
	r := p.user.post(ctx, clusters, `{"name":"`+p.name()+`","spec":`+p.spec().String()+`}`).is(http.StatusCreated)
	for _, answer := range []reply{
		r,
		p.user.get(ctx, clusters+"/"+into[v1.Cluster](r).ID).is(http.StatusOK),
		p.user.patch(ctx, clusters+"/"+into[v1.Cluster](r).ID, `{"description":"other"}`).is(http.StatusOK),
	} {
		answer.has("ETag", `"`+text(answer.at("resource_version"))+`"`)
	}
}

func nothingIsCached(ctx context.Context, p *probe) {
	p.user.list(ctx, "limit", "1").is(http.StatusOK).has("Cache-Control", "no-store")
	p.user.get(ctx, clusters+"/"+p.cluster(ctx).ID).is(http.StatusOK).has("Cache-Control", "no-store")
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
	id := p.cluster(ctx).ID
	p.user.post(ctx, clusters+"/"+id+"/reconcile", "").is(http.StatusAccepted).shape("", "message:string").shows("cluster_id", id)
}

func methodNotAllowed(ctx context.Context, p *probe) {
	r := p.user.put(ctx, clusters, `{}`)
	r.refused(v1.CodeMethodNotAllowed, "")
	r.expectHeader("Allow", "GET and POST", func(allow string) bool {
		return strings.Contains(allow, http.MethodGet) && strings.Contains(allow, http.MethodPost)
	})
}

func largeBodyIsRefused(ctx context.Context, p *probe) {
	large := `"text":"` + strings.Repeat("x", 1<<20) + `"`
	p.user.post(ctx, clusters, `{"name":"`+p.name()+`","spec":`+p.spec(large).String()+`}`).refused(v1.CodeBodyTooLarge, "")
}

func otherMediaTypes(ctx context.Context, p *probe) {
	p.user.post(ctx, clusters, `{"name":"`+p.name()+`"}`, "Content-Type", "text/plain").refused(v1.CodeUnsupportedMediaType, "Content-Type")
}
