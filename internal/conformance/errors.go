package conformance

import (
	"context"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func errorChecks() []Check {
	return slices.Concat(ofOne([]promise{
		{
			"errors/have-one-shape", "Every failure has error and message (one sentence), a code and the id of its request.",
			ofErrors, errorsHaveOneShape,
		},
		{"errors/name-the-path", "A fault has the client's path of its field, and the value.", ofErrors, errorsNameThePath},
		{
			"errors/values-are-short", "A fault does not repeat a value of more than 100 bytes, or one that is no scalar.",
			ofErrors, errorsValuesAreShort,
		},
		{
			"errors/are-problems-if-asked", "With Accept: application/problem+json a failure is a problem of RFC 9457.",
			ofErrors, errorsAreProblems,
		},
		{"errors/unknown-route", "A path that does not exist is 404 NOT_FOUND, in the same shape.", ofErrors, unknownRoute},
		{"errors/invalid-json", "A body that is no JSON object is 400 INVALID_JSON.", ofErrors, invalidJSON},
		{
			"errors/text-that-cannot-be-kept", "Text that the database cannot hold is a 400 that names the field.",
			ofErrors, textThatCannotBeKept,
		},
		{
			"errors/keys-that-cannot-be-kept", "A key that the database cannot hold is a 400 of the field that it is in.",
			ofErrors, keysThatCannotBeKept,
		},
	}), ofBoth([]promise{
		{"errors/name-all-faults", "All faults of a body are named at once, the first on top.", ofErrors, errorsNameAllFaults},
		{"errors/unknown-id", "What does not exist is 404 NOT_FOUND for every call.", ofErrors, unknownID},
		{"errors/invalid-id", "An id that is no UUID is 400 INVALID_ID.", ofErrors, invalidID},
		{"errors/do-not-repeat-secrets", "A fault of a secret does not repeat its value.", ofErrors, errorsDoNotRepeatSecrets},
	}))
}

func errorsHaveOneShape(ctx context.Context, p *probe) {
	const fields = "error:string message:string code:string request_id:string"
	for _, r := range []reply{
		p.nobody.get(ctx, clusters),
		p.user.get(ctx, "/api/v1/nothing"),
		p.user.get(ctx, clusters+"/"+unknown),
		p.user.remove(ctx, clusters),
		p.user.put(ctx, clusters+"/"+unknown+"/status", `{"controller_name":"a"}`),
		p.user.post(ctx, clusters, `{}`).shape("details", "field:string errors:list").shape("details.errors.0", "field:string reason:string"),
	} {
		r.expectHeader("Content-Type", "application/json", func(t string) bool { return strings.HasPrefix(t, "application/json") })
		r.shape("", fields).shows("message", r.at("error")).shows("request_id", r.header.Get("X-Request-ID"))
	}
}

func errorsNameAllFaults(ctx context.Context, p *probe) {
	bad := fields{"name": "Bad", "colour": "red", "labels": fields{"tier": "-"}, "spec": platform("no good")}
	r := p.user.post(ctx, p.kind.path, p.body(ctx, bad))
	body := r.refused(v1.CodeInvalidField, "")
	p.expect(body.Details != nil && len(body.Details.Errors) == 4 && body.Details.Errors[0].Field == body.Details.Field,
		"4 faults in details.errors, the first of them on top", r.String())
	for _, field := range []string{"name", "colour", "labels.tier", "spec.platform.type"} {
		p.expect(slices.ContainsFunc(body.Details.Errors, func(e v1.FieldError) bool { return e.Field == field && e.Reason != "" }),
			"a fault of "+field, r.String())
	}
}

func errorsNameThePath(ctx context.Context, p *probe) {
	p.user.post(ctx, clusters, p.body(ctx, fields{"spec": platform("no good")})).
		shows("details.field", "spec.platform.type").shows("details.value", "no good")
	p.user.list(ctx, "limit", "ten").shows("details.field", "limit").shows("details.value", "ten")
}

func errorsValuesAreShort(ctx context.Context, p *probe) {
	for field, bad := range map[string]any{"name": strings.Repeat("A", 101), "description": fields{"not": "text"}} {
		r := p.user.post(ctx, clusters, p.body(ctx, fields{field: bad}))
		r.refused(v1.CodeInvalidField, field)
		r.shows("details.value", nil).shows("details.errors.0.value", nil)
	}
}

func errorsAreProblems(ctx context.Context, p *probe) {
	const problem = "application/problem+json"
	r := p.user.post(ctx, clusters, `{"name":"Bad"}`, "Accept", problem).is(http.StatusBadRequest)
	r.expectHeader("Content-Type", problem, func(t string) bool { return strings.HasPrefix(t, problem) })
	r.shape("", "type:string title:string detail:string request_id:string")
	r.shows("status", http.StatusBadRequest).shows("code", v1.CodeInvalidField).shows("errors.0.field", "name")
}

func unknownRoute(ctx context.Context, p *probe) {
	p.user.get(ctx, "/api/v1/nothing").refused(v1.CodeNotFound, "")
	p.nobody.get(ctx, "/nothing").refused(v1.CodeNotFound, "")
}

func unknownID(ctx context.Context, p *probe) {
	path := p.path(unknown)
	p.user.get(ctx, path).refused(v1.CodeNotFound, "")
	p.user.get(ctx, path+"/status").refused(v1.CodeNotFound, "")
	p.user.put(ctx, path, `{"spec":{}}`).refused(v1.CodeNotFound, "")
	p.user.patch(ctx, path, `{"spec":{}}`).refused(v1.CodeNotFound, "")
	p.user.remove(ctx, path).refused(v1.CodeNotFound, "")
	p.user.post(ctx, path+"/reconcile", "").refused(v1.CodeNotFound, "")
	p.robot.put(ctx, path+"/status", `{"controller_name":"a"}`).refused(v1.CodeNotFound, "")
}

func invalidID(ctx context.Context, p *probe) {
	p.user.get(ctx, p.path("no-id")).refused(v1.CodeInvalidID, "id")
	p.user.remove(ctx, p.path("no-id")).refused(v1.CodeInvalidID, "id")
}

func invalidJSON(ctx context.Context, p *probe) {
	for _, bad := range []string{`{"name":`, `[]`, `"name"`, `null`} {
		p.user.post(ctx, clusters, bad).refused(v1.CodeInvalidJSON, "body")
	}
}

func textThatCannotBeKept(ctx context.Context, p *probe) {
	for _, bad := range []string{`"\u0000"`, `"\ud800"`, `1e999`, "\"\xff\""} {
		body := `{"name":"` + p.name() + `","spec":{"note":` + bad + `}}`
		p.user.post(ctx, clusters, body).refused(v1.CodeInvalidField, "spec.note")
	}
}

func keysThatCannotBeKept(ctx context.Context, p *probe) {
	for field, bad := range map[string]string{"spec": `"spec":{"a\u0000":1}`, "labels": `"labels":{"a\u0000":"b"}`} {
		body := p.user.post(ctx, clusters, `{"name":"`+p.name()+`",`+bad+`}`).refused(v1.CodeInvalidField, "")
		p.expect(body.Details != nil && strings.HasPrefix(body.Details.Field, field), "a fault in "+field, body)
	}
}

func errorsDoNotRepeatSecrets(ctx context.Context, p *probe) {
	r := p.user.post(ctx, p.kind.path, p.body(ctx, p.with(`"serviceAccountSigningKey":"`+secret+`\u0000"`)))
	r.refused(v1.CodeInvalidField, "spec.serviceAccountSigningKey")
	p.keepsSecret(r)
}
