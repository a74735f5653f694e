package conformance

import (
	"context"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func identityChecks() []Check {
	return slices.Concat(ofOne([]promise{
		{"api/identity-is-needed", "A call that names no user is 401.", ofIdentity, identityIsNeeded},
		{"api/identity-is-an-address", "A user that is no e-mail address is 401.", ofIdentity, identityIsAnAddress},
		{
			"api/look-alike-headers-are-refused", "A header that looks like the one of the identity, or a second one, is a 400.",
			ofIdentity, lookAlikes,
		},
		{"api/roles-are-not-believed", "A user who claims a role is a user.", ofIdentity, rolesAreNotBelieved},
	}), ofBoth([]promise{
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
		{"api/secrets-survive-a-rollback", "A rollback restores the secret that the generation had.", ofPast, secretsSurviveARollback},
	}))
}

const (
	// unknown is the id of nothing.
	unknown = "00000000-0000-7000-8000-000000000000"
	secret  = "not-for-everybody"

	identityHeader = "X-User-Email"
)

func identityIsNeeded(ctx context.Context, p *probe) {
	p.nobody.get(ctx, clusters).refused(v1.CodeAuthRequired, "")
	p.nobody.get(ctx, clusters+"/"+unknown).refused(v1.CodeAuthRequired, "")
}

func identityIsAnAddress(ctx context.Context, p *probe) {
	for _, bad := range []string{"nobody", "@example.com", "a b@example.com"} {
		p.nobody.get(ctx, clusters+"?limit=1", identityHeader, bad).refused(v1.CodeInvalidEmail, "")
	}
}

func lookAlikes(ctx context.Context, p *probe) {
	p.user.get(ctx, clusters+"?limit=1", "X_User_Email", p.Other).refused(v1.CodeAmbiguousIdentity, "")
	p.user.get(ctx, clusters+"?limit=1", identityHeader, p.User, identityHeader, p.Other).refused(v1.CodeAmbiguousIdentity, "")
}

func rolesAreNotBelieved(ctx context.Context, p *probe) {
	path := p.path(p.declare(ctx, nil).ID)
	for _, role := range []string{"admin", "controller"} {
		p.other.get(ctx, path, "X-User-Roles", role).refused(v1.CodeNotFound, "")
	}
}

func notYoursIsNotFound(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	path := p.path(r.ID)
	p.other.get(ctx, path).refused(v1.CodeNotFound, "")
	p.other.get(ctx, path+"/status").refused(v1.CodeNotFound, "")
	p.other.put(ctx, path, text(p.with())).refused(v1.CodeNotFound, "")
	p.other.patch(ctx, path, `{"description":"mine"}`).refused(v1.CodeNotFound, "")
	p.other.remove(ctx, path).refused(v1.CodeNotFound, "")
	p.other.post(ctx, path+"/reconcile", "").refused(v1.CodeNotFound, "")
	p.other.list(ctx, "name", r.Name).is(http.StatusOK).shows("total", 0)
}

func usersDoNotReport(ctx context.Context, p *probe) {
	const report = `{"controller_name":"forged","conditions":[{"type":"Available","status":"True"}]}`
	p.user.put(ctx, p.path(p.declare(ctx, nil).ID)+"/status", report).refused(v1.CodeForbidden, "")
	p.user.put(ctx, p.path(unknown)+"/status", report).refused(v1.CodeForbidden, "")
}

func controllersDoNotDeclare(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	path := p.path(r.ID)
	p.robot.get(ctx, path).is(http.StatusOK).shows("created_by", p.User)
	p.robot.list(ctx, "name", r.Name, "created_by", p.User).is(http.StatusOK).shows("total", 1)
	p.robot.post(ctx, p.kind.path, p.body(ctx, nil)).refused(v1.CodeForbidden, "")
	p.robot.put(ctx, path, text(p.with())).refused(v1.CodeForbidden, "")
	p.robot.patch(ctx, path, `{"description":"mine"}`).refused(v1.CodeForbidden, "")
	p.robot.remove(ctx, path).refused(v1.CodeForbidden, "")
	p.robot.post(ctx, path+"/reconcile", "").is(http.StatusAccepted)
}

func administrators(ctx context.Context, p *probe) {
	if p.Admin == "" {
		p.skip("no administrator is named")
	}
	r := p.declare(ctx, nil)
	path := p.path(r.ID)
	p.admin.patch(ctx, path, `{"description":"seen"}`).is(http.StatusOK).shows("created_by", p.User)
	p.admin.list(ctx, "created_by", p.User, "name", r.Name).is(http.StatusOK).shows("total", 1)
	p.admin.post(ctx, path+"/reconcile", "").is(http.StatusAccepted)
	p.admin.put(ctx, path+"/status", text(says(p.controller("a"), 0, v1.ConditionTrue))).refused(v1.CodeForbidden, "")
	p.report(ctx, r.ID, says(p.controller("a"), 0, v1.ConditionTrue))
	p.admin.remove(ctx, path+"/status/"+p.controller("a")).is(http.StatusNoContent)
	p.admin.remove(ctx, path).is(http.StatusAccepted)
}

func secretsAreForControllers(ctx context.Context, p *probe) {
	posted := p.declared(ctx, p.with(`"serviceAccountSigningKey":"`+secret+`"`))
	r := into[resource](posted)
	path := p.path(r.ID)
	for _, answer := range []reply{
		posted,
		p.user.get(ctx, path).is(http.StatusOK),
		p.user.patch(ctx, path, `{"spec":{"n":1}}`).is(http.StatusOK),
		p.user.patch(ctx, path+"?dry_run=true", `{"spec":{"n":2}}`).is(http.StatusOK),
		p.user.list(ctx, "name", r.Name).is(http.StatusOK),
		p.user.get(ctx, path+"/revisions").is(http.StatusOK),
		p.user.get(ctx, path+"/events").is(http.StatusOK),
	} {
		p.keepsSecret(answer)
	}
	if p.Admin != "" {
		p.keepsSecret(p.admin.get(ctx, path).is(http.StatusOK))
	}
	p.robot.get(ctx, path).is(http.StatusOK).shows("spec.serviceAccountSigningKey", secret)
}

// keepsSecret expects an answer without the secret, however it is spelled.
func (p *probe) keepsSecret(r reply) {
	p.expect(!strings.Contains(text(r.at("")), secret), "an answer without the secret", r.String())
}

func secretsSurvive(ctx context.Context, p *probe) {
	r := p.declare(ctx, p.with(`"serviceAccountSigningKey":"`+secret+`"`))
	path := p.path(r.ID)
	p.user.put(ctx, path, text(p.with())).is(http.StatusOK).shows("generation", 1)
	p.robot.get(ctx, path).is(http.StatusOK).shows("spec.serviceAccountSigningKey", secret)
	p.user.put(ctx, path, text(p.with(`"serviceAccountSigningKey":null`)), "If-Match", `"`+r.ResourceVersion+`"`).is(http.StatusOK)
	p.robot.get(ctx, path).is(http.StatusOK).shows("spec.serviceAccountSigningKey", nil).shows("generation", 2)
}

func secretsSurviveARollback(ctx context.Context, p *probe) {
	path := p.path(p.declare(ctx, p.with(`"serviceAccountSigningKey":"`+secret+`"`)).ID)
	p.user.patch(ctx, path, `{"spec":{"serviceAccountSigningKey":null}}`).is(http.StatusOK).shows("generation", 2)
	back := p.user.post(ctx, path+"/rollback?to=1", "").is(http.StatusOK).shows("generation", 3)
	p.keepsSecret(back)
	p.robot.get(ctx, path).is(http.StatusOK).shows("spec.serviceAccountSigningKey", secret)
}
