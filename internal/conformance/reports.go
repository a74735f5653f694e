package conformance

import (
	"context"
	"net/http"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func reportChecks() []Check {
	return ofBoth([]promise{
		{
			"status/stale-report-is-not-applied",
			"A report of an older generation than the stored one is 200, applied: false, and changes nothing.",
			ofControllers, staleReport,
		},
		{
			"status/generation-0-is-the-current-one", "A report without a generation, or of 0, is of the current one.",
			ofControllers, generation0,
		},
		{
			"status/generation-to-come-is-refused", "A report of a generation that does not exist yet is a 400.",
			ofControllers, generationToCome,
		},
		{
			"status/only-four-things-are-refused",
			"No JSON, no controller_name, a condition status that is none of the three: each is a 400 that names it.",
			ofControllers, fourThings,
		},
		{
			"status/unknown-fields-pass", "Unknown fields, nulls and values of another type pass in a report.",
			ofControllers, unknownFieldsPass,
		},
		{"status/last-of-two-conditions-stands", "Of two conditions of one type the last stands.", ofControllers, lastConditionStands},
		{"status/metadata-comes-back", "metadata comes back as the JSON value that it was.", ofControllers, metadataComesBack},
		{"status/error-comes-back", "last_error comes back, its details of any JSON.", ofStatus, errorComesBack},
		{
			"status/text-that-cannot-be-kept-passes", "Of a report's text what cannot be kept becomes U+FFFD, and the report is taken.",
			ofControllers, reportOfBadText,
		},
		{"status/equal-report-changes-nothing", "A report that says the same is applied, and moves no version.", ofControllers, equalReport},
		{
			"status/report-moves-the-version", "A report that says something else moves resource_version, and not updated_at.",
			ofClusters, reportMovesTheVersion,
		},
		{
			"status/report-of-a-new-message-is-stored", "A report that differs in a message alone is stored, and moves resource_version.",
			ofClusters, newMessageIsStored,
		},
	})
}

func staleReport(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.change(ctx, id, `{"spec":{"n":1}}`)
	p.report(ctx, id, says(p.controller("a"), 2, v1.ConditionTrue))
	before := p.look(ctx, id)
	r := p.reported(ctx, id, says(p.controller("a"), 1, v1.ConditionFalse))
	r.shows("applied", false).shows("reason", v1.NotAppliedStale).shows(p.kind.id, id).shows("controller_name", p.controller("a"))
	after := p.look(ctx, id)
	p.expect(after.ResourceVersion == before.ResourceVersion && after.Status.Phase == v1.PhaseReady, "nothing changed", after)
}

func generation0(ctx context.Context, p *probe) {
	for _, generation := range []string{"", `"observed_generation":0,`} {
		id := p.declare(ctx, nil).ID
		p.change(ctx, id, `{"spec":{"n":1}}`)
		body := `{` + generation + `"controller_name":"` + p.controller("a") + `","conditions":[{"type":"Available","status":"True"}]}`
		p.robot.put(ctx, p.path(id)+"/status", body).is(http.StatusOK).
			shape("", "message:string").shows("applied", true).shows("observed_generation", 2)
		p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	}
}

func generationToCome(ctx context.Context, p *probe) {
	path := p.path(p.declare(ctx, nil).ID) + "/status"
	p.robot.put(ctx, path, text(says(p.controller("a"), 2, v1.ConditionTrue))).refused(v1.CodeInvalidField, "observed_generation")
}

func fourThings(ctx context.Context, p *probe) {
	path := p.path(p.declare(ctx, nil).ID) + "/status"
	p.robot.put(ctx, path, `{"controller_name":`).refused(v1.CodeInvalidJSON, "")
	p.robot.put(ctx, path, `{"conditions":[]}`).refused(v1.CodeInvalidField, "controller_name")
	p.robot.put(ctx, path, `{"controller_name":"a","conditions":[{"type":"Available","status":"Maybe"}]}`).
		refused(v1.CodeInvalidField, "conditions[0].status")
}

func unknownFieldsPass(ctx context.Context, p *probe) {
	body := `{"controller_name":"` + p.controller("a") + `","colour":"red","metadata":null,"last_error":null,"observed_generation":null,
		"conditions":[{"type":"Available","status":"True","reason":null,"message":7,"lastTransitionTime":"yesterday","colour":1},null]}`
	id := p.declare(ctx, nil).ID
	p.robot.put(ctx, p.path(id)+"/status", body).is(http.StatusOK).shows("applied", true)
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
}

func lastConditionStands(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	r := says(p.controller("a"), 1, v1.ConditionFalse)
	r.Conditions = append(r.Conditions, says("", 0, v1.ConditionTrue).Conditions...)
	p.report(ctx, id, r)
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
}

func metadataComesBack(ctx context.Context, p *probe) {
	const metadata = `{"zone":"a","nested":{"list":[1,null,{"ü":2.5}]},"empty":{}}`
	id := p.declare(ctx, nil).ID
	r := says(p.controller("a"), 1, v1.ConditionTrue)
	r.Metadata = v1.Object(metadata)
	p.report(ctx, id, r)
	p.user.get(ctx, p.path(id)+"/status").is(http.StatusOK).
		shows("controller_status.0.metadata", reply{p: p, body: []byte(metadata)}.at(""))
}

func errorComesBack(ctx context.Context, p *probe) {
	const lastError = `{"error_type":"System","error_code":"E2","message":"no machines","details":{"asked":3,"got":[1.5,null]},
		"user_actionable":true,"retry_after":30,"timestamp":"2026-01-02T03:04:05Z"}`
	id := p.declare(ctx, nil).ID
	body := `{"controller_name":"` + p.controller("a") + `","conditions":[],"last_error":` + lastError + `}`
	p.robot.put(ctx, p.path(id)+"/status", body).is(http.StatusOK).shows("applied", true)
	stored := p.user.get(ctx, p.path(id)+"/status").is(http.StatusOK)
	for field, value := range into[fields](reply{p: p, body: []byte(lastError)}) {
		stored.shows("controller_status.0.last_error."+field, value)
	}
}

func reportOfBadText(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	r := says(p.controller("a"), 1, v1.ConditionFalse)
	r.Conditions[0].Message = "a\x00b"
	p.report(ctx, id, r)
	p.user.get(ctx, p.path(id)+"/status").is(http.StatusOK).shows("controller_status.0.conditions.0.message", "a\ufffdb")
}

func equalReport(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, fails(p.controller("a"), v1.ErrorTransient))
	before := p.look(ctx, id)
	p.report(ctx, id, fails(p.controller("a"), v1.ErrorTransient))
	after := p.look(ctx, id)
	p.expect(after.ResourceVersion == before.ResourceVersion, "the resource_version "+before.ResourceVersion+" still", after)
}

func reportMovesTheVersion(ctx context.Context, p *probe) {
	before := p.declare(ctx, nil)
	p.report(ctx, before.ID, says(p.controller("a"), 1, v1.ConditionFalse))
	after := p.look(ctx, before.ID)
	p.expect(after.ResourceVersion != before.ResourceVersion && after.UpdatedAt.Equal(before.UpdatedAt),
		"another resource_version than "+before.ResourceVersion+", and updated_at "+text(before.UpdatedAt), after)
}

func newMessageIsStored(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	r := says(p.controller("a"), 1, v1.ConditionFalse)
	p.report(ctx, id, r)
	before := p.look(ctx, id)
	r.Conditions[0].Message = "2 of 3 machines"
	p.report(ctx, id, r)
	p.user.get(ctx, p.path(id)+"/status").is(http.StatusOK).shows("controller_status.0.conditions.0.message", "2 of 3 machines")
	after := p.look(ctx, id)
	p.expect(after.ResourceVersion != before.ResourceVersion, "another resource_version than "+before.ResourceVersion, after)
}
