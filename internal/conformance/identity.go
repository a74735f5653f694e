package conformance

import (
	"context"
	"net/http"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func identityChecks() []Check {
	return []Check{
		{"api/identity-is-needed", "A call that names no user is 401.", ofIdentity, identityIsNeeded},
		{"api/look-alike-headers-are-refused", "A header that looks like the one of the identity is a 400.", ofIdentity, lookAlikes},
		{"api/not-yours-is-not-found", "What is another user's is a 404, whatever the call.", ofIdentity, notYoursIsNotFound},
		{"api/users-do-not-report", "A user's report is 403, before anything is looked up.", ofIdentity, usersDoNotReport},
		{
			"api/controllers-do-not-declare", "A controller reads everything, and may not create, change or delete.",
			ofIdentity, controllersDoNotDeclare,
		},
		{
			"api/administrators-change-everything", "An administrator reads and changes everybody's, and may not report.",
			ofIdentity, administrators,
		},
		{
			"api/secrets-are-for-controllers", "spec.serviceAccountSigningKey comes back to controllers and to nobody else.",
			ofClusters, secretsAreForControllers,
		},
		{"api/secrets-survive-a-put", "A secret that a PUT leaves out keeps its value; null removes it.", ofClusters, secretsSurvive},
	}
}

const (
	// unknown is the id of nothing.
	unknown = "00000000-0000-7000-8000-000000000000"
	secret  = "not-for-everybody"
)

func identityIsNeeded(ctx context.Context, p *probe) {
	p.nobody.get(ctx, clusters).refused(v1.CodeAuthRequired, "")
	p.nobody.get(ctx, clusters+"/"+unknown).refused(v1.CodeAuthRequired, "")
}

func lookAlikes(ctx context.Context, p *probe) {
	p.user.get(ctx, clusters+"?limit=1", "X_User_Email", p.other.as).refused(v1.CodeAmbiguousIdentity, "")
}

func notYoursIsNotFound(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	path := clusters + "/" + c.ID
	p.other.get(ctx, path).refused(v1.CodeNotFound, "")
	p.other.get(ctx, path+"/status").refused(v1.CodeNotFound, "")
	p.other.patch(ctx, path, `{"description":"mine"}`).refused(v1.CodeNotFound, "")
	p.other.remove(ctx, path).refused(v1.CodeNotFound, "")
	p.other.post(ctx, path+"/reconcile", "").refused(v1.CodeNotFound, "")
	p.other.list(ctx, "name", c.Name).is(http.StatusOK).shows("total", 0)
}

func usersDoNotReport(ctx context.Context, p *probe) {
	const report = `{"controller_name":"forged","conditions":[{"type":"Available","status":"True"}]}`
	p.user.put(ctx, clusters+"/"+p.cluster(ctx).ID+"/status", report).refused(v1.CodeForbidden, "")
	p.user.put(ctx, clusters+"/"+unknown+"/status", report).refused(v1.CodeForbidden, "")
}

func controllersDoNotDeclare(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	path := clusters + "/" + c.ID
	p.robot.get(ctx, path).is(http.StatusOK).shows("created_by", p.User)
	p.robot.list(ctx, "name", c.Name).is(http.StatusOK).shows("total", 1)
	p.robot.post(ctx, clusters, `{"name":"`+p.name()+`"}`).refused(v1.CodeForbidden, "")
	p.robot.patch(ctx, path, `{"description":"mine"}`).refused(v1.CodeForbidden, "")
	p.robot.remove(ctx, path).refused(v1.CodeForbidden, "")
	p.robot.post(ctx, path+"/reconcile", "").is(http.StatusAccepted)
}

func administrators(ctx context.Context, p *probe) {
	if p.Admin == "" {
		p.skip("no administrator is named")
	}
	c := p.cluster(ctx)
	p.admin.patch(ctx, clusters+"/"+c.ID, `{"description":"seen"}`).is(http.StatusOK).shows("created_by", p.User)
	p.admin.list(ctx, "created_by", p.User, "name", c.Name).is(http.StatusOK).shows("total", 1)
	_, err := p.admin.ReportClusterStatus(ctx, c.ID, says(p.controller("a"), 0, v1.ConditionTrue))
	p.refuses(err, v1.CodeForbidden)
	got[v1.Deletion](p)(p.admin.DeleteCluster(ctx, c.ID))
}

func secretsAreForControllers(ctx context.Context, p *probe) {
	body := `{"name":"` + p.name() + `","spec":` + p.spec(`"serviceAccountSigningKey":"`+secret+`"`).String() + `}`
	posted := p.user.post(ctx, clusters, body).is(http.StatusCreated)
	c := into[v1.Cluster](posted)
	for _, answer := range []reply{
		posted,
		p.user.get(ctx, clusters+"/"+c.ID).is(http.StatusOK),
		p.user.patch(ctx, clusters+"/"+c.ID, `{"spec":{"n":1}}`).is(http.StatusOK),
		p.user.list(ctx, "name", c.Name).is(http.StatusOK),
		p.user.get(ctx, clusters+"/"+c.ID+"/revisions").is(http.StatusOK),
	} {
		p.expect(!strings.Contains(string(answer.body), secret), "an answer without the secret", answer.String())
	}
	p.robot.get(ctx, clusters+"/"+c.ID).is(http.StatusOK).shows("spec.serviceAccountSigningKey", secret)
}

func secretsSurvive(ctx context.Context, p *probe) {
	c := p.cluster(ctx, `"serviceAccountSigningKey":"`+secret+`"`)
	path := clusters + "/" + c.ID
	p.user.put(ctx, path, `{"spec":`+p.spec().String()+`}`).is(http.StatusOK).shows("generation", 1)
	p.robot.get(ctx, path).is(http.StatusOK).shows("spec.serviceAccountSigningKey", secret)
	removed := v1.UpdateCluster{Spec: p.spec(`"serviceAccountSigningKey":null`)}
	got[v1.Cluster](p)(p.user.UpdateCluster(ctx, c.ID, removed, client.IfMatch(c.ResourceVersion)))
	p.robot.get(ctx, path).is(http.StatusOK).shows("spec.serviceAccountSigningKey", nil).shows("generation", 2)
}
