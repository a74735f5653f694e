package conformance

import (
	"context"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func statusChecks() []Check {
	return slices.Concat(ofBoth([]promise{
		{"status/nobody-is-pending", "Without any report it is Pending: Ready is False, Available Unknown.", ofStatus, nobodyIsPending},
		{
			"status/one-reporter-makes-ready", "Without a registration the first reporter alone makes generation 1 Ready.",
			ofStatus, oneReporterMakesReady,
		},
		{
			"status/nobody-available-is-provisioning", "While nobody is available it is Progressing, ControllersProvisioning.",
			ofStatus, nobodyAvailable,
		},
		{
			"status/every-reporter-is-waited-for", "Whoever has reported is waited for, and the message names who is missing.",
			ofStatus, everyReporterIsWaitedFor,
		},
		{
			"status/new-spec-is-not-ready", "A new spec is not Ready before it is reported on; Available stays True meanwhile.",
			ofStatus, newSpecIsNotReady,
		},
		{"status/terminal-error-fails", "A Fatal or Configuration error makes it Failed.", ofStatus, terminalErrorFails},
		{"status/failed-condition-fails", "A condition Failed=True makes it Failed.", ofStatus, failedConditionFails},
		{
			"status/failure-is-of-its-generation",
			"A failure ends with its generation: a new spec is Progressing, and Degraded by the latest report.",
			ofStatus, failureIsOfItsGeneration,
		},
		{
			"status/passing-error-is-progressing", "An error that will be retried leaves it Progressing, and Degraded until it is gone.",
			ofStatus, passingError,
		},
		{"status/unknown-error-type-is-transient", "An error of an unknown type counts as Transient.", ofStatus, unknownErrorType},
		{
			"status/conditions-name-their-generation", "Every condition says which generation it was calculated for.",
			ofStatus, conditionsNameTheirGeneration,
		},
		{
			"status/transition-time-moves-with-the-status-only",
			"lastTransitionTime moves when the condition's status does, and at no other time.",
			ofStatus, transitionTimes,
		},
		{
			"status/reading-moves-nothing", "The same facts are the same status and version at each read, in each answer.",
			ofStatus, readingMovesNothing,
		},
		{"status/shows-each-report", "GET .../status shows each controller's report, [] while there is none.", ofStatus, statusShowsReports},
		{
			"status/explain-says-why", "GET .../explain says in sentences, and by name, who is waited for, and what comes next.",
			ofStatus, explainSaysWhy,
		},
		{"status/dropped-report-is-not-waited-for", "A report that is dropped is not waited for any more.", ofControllers, droppedReport},
	}), ofOne([]promise{
		{
			"status/node-pools-have-their-own", "A node pool has a status of its own, which the cluster's does not look at.",
			ofStatus, poolsHaveTheirOwn,
		},
	}))
}

func nobodyIsPending(ctx context.Context, p *probe) {
	s := p.phase(ctx, p.declare(ctx, nil).ID, v1.PhasePending, "NoControllers").Status
	p.condition(s, v1.ConditionReady, v1.ConditionFalse)
	p.condition(s, v1.ConditionAvailable, v1.ConditionUnknown)
	p.condition(s, v1.ConditionProgressing, v1.ConditionFalse)
	p.condition(s, v1.ConditionDegraded, v1.ConditionFalse)
	p.expect(s.ObservedGeneration == 0, "observedGeneration 0", s)
}

func oneReporterMakesReady(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	s := p.phase(ctx, id, v1.PhaseReady, "AllControllersReady").Status
	p.condition(s, v1.ConditionReady, v1.ConditionTrue)
	p.condition(s, v1.ConditionAvailable, v1.ConditionTrue)
	p.condition(s, v1.ConditionProgressing, v1.ConditionFalse)
	p.expect(s.ObservedGeneration == 1, "observedGeneration 1", s)
}

func nobodyAvailable(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionFalse))
	s := p.phase(ctx, id, v1.PhaseProgressing, "ControllersProvisioning").Status
	p.condition(s, v1.ConditionProgressing, v1.ConditionTrue)
	p.condition(s, v1.ConditionReady, v1.ConditionFalse)
	p.condition(s, v1.ConditionAvailable, v1.ConditionFalse)
	p.condition(s, v1.ConditionDegraded, v1.ConditionFalse)
}

func everyReporterIsWaitedFor(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.report(ctx, id, says(p.controller("b"), 1, v1.ConditionFalse))
	s := p.phase(ctx, id, v1.PhaseProgressing, "PartialProgress").Status
	p.condition(s, v1.ConditionReady, v1.ConditionFalse)
	p.condition(s, v1.ConditionAvailable, v1.ConditionFalse)
	p.expect(strings.Contains(s.Message, p.controller("b")), "a message that names "+p.controller("b"), s.Message)
	p.report(ctx, id, says(p.controller("b"), 1, v1.ConditionTrue))
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
}

func newSpecIsNotReady(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	changed := into[resource](p.user.put(ctx, p.path(id), text(p.with(`"n":1`))).is(http.StatusOK))
	for _, s := range []v1.Status{changed.Status, p.look(ctx, id).Status} {
		p.condition(s, v1.ConditionReady, v1.ConditionFalse)
		p.condition(s, v1.ConditionAvailable, v1.ConditionTrue)
		p.expect(s.Phase == v1.PhaseProgressing && s.ObservedGeneration == 1, "Progressing, and observedGeneration 1", s)
	}
	p.report(ctx, id, says(p.controller("a"), 2, v1.ConditionTrue))
	s := p.phase(ctx, id, v1.PhaseReady, "AllControllersReady").Status
	p.expect(s.ObservedGeneration == 2, "observedGeneration 2", s)
}

// fails is a report of an error.
func fails(controller, errorType string) v1.StatusReport {
	r := says(controller, 0, v1.ConditionFalse)
	r.LastError = &v1.ReportError{ErrorType: errorType, ErrorCode: "E1", Message: "it does not work"}
	return r
}

func terminalErrorFails(ctx context.Context, p *probe) {
	for _, kind := range []string{v1.ErrorFatal, v1.ErrorConfiguration} {
		id := p.declare(ctx, nil).ID
		p.report(ctx, id, fails(p.controller("a"), kind))
		s := p.phase(ctx, id, v1.PhaseFailed, "ControllerFailed").Status
		p.condition(s, v1.ConditionReady, v1.ConditionFalse)
		p.expect(strings.Contains(s.Message, p.controller("a")), "a message that names "+p.controller("a"), s.Message)
	}
}

func failedConditionFails(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	r := says(p.controller("a"), 1, v1.ConditionTrue)
	r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: v1.ConditionFailed, Status: v1.ConditionTrue})
	p.report(ctx, id, r)
	p.phase(ctx, id, v1.PhaseFailed, "ControllerFailed")
}

func failureIsOfItsGeneration(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, fails(p.controller("a"), v1.ErrorFatal))
	p.phase(ctx, id, v1.PhaseFailed, "ControllerFailed")
	p.change(ctx, id, `{"spec":{"n":1}}`)
	p.condition(p.phase(ctx, id, v1.PhaseProgressing, "ControllersProvisioning").Status, v1.ConditionDegraded, v1.ConditionTrue)
}

func passingError(ctx context.Context, p *probe) {
	for _, kind := range []string{v1.ErrorTransient, v1.ErrorSystem} {
		id := p.declare(ctx, nil).ID
		p.report(ctx, id, fails(p.controller("a"), kind))
		s := p.phase(ctx, id, v1.PhaseProgressing, "ControllersWithErrors").Status
		degraded := p.condition(s, v1.ConditionDegraded, v1.ConditionTrue)
		p.expect(strings.Contains(degraded.Message, p.controller("a")), "a message that names "+p.controller("a"), degraded)
		p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
		p.condition(p.phase(ctx, id, v1.PhaseReady, "AllControllersReady").Status, v1.ConditionDegraded, v1.ConditionFalse)
	}
}

func unknownErrorType(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, fails(p.controller("a"), "Weather"))
	p.phase(ctx, id, v1.PhaseProgressing, "ControllersWithErrors")
}

func conditionsNameTheirGeneration(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.change(ctx, id, `{"spec":{"n":1}}`)
	s := p.look(ctx, id).Status
	p.expect(len(s.Conditions) == 4, "the conditions Ready, Available, Progressing and Degraded", s.Conditions)
	for _, c := range s.Conditions {
		p.expect(c.ObservedGeneration == 2, c.Type+" with observedGeneration 2", c)
	}
}

func transitionTimes(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	before := p.condition(p.look(ctx, id).Status, v1.ConditionReady, v1.ConditionFalse)
	silent := says(p.controller("a"), 1, v1.ConditionFalse)
	p.report(ctx, id, silent)
	silent.Conditions[0].Message = "another message"
	p.report(ctx, id, silent)
	same := p.condition(p.look(ctx, id).Status, v1.ConditionReady, v1.ConditionFalse)
	p.expect(same.LastTransitionTime.Equal(before.LastTransitionTime), "lastTransitionTime "+text(before.LastTransitionTime)+" still", same)
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	moved := p.condition(p.look(ctx, id).Status, v1.ConditionReady, v1.ConditionTrue)
	p.expect(moved.LastTransitionTime.After(before.LastTransitionTime), "a lastTransitionTime after "+text(before.LastTransitionTime), moved)
	again := p.condition(p.look(ctx, id).Status, v1.ConditionReady, v1.ConditionTrue)
	p.expect(again.LastTransitionTime.Equal(moved.LastTransitionTime), "the same lastTransitionTime at each read", again)
}

func readingMovesNothing(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	p.report(ctx, r.ID, says(p.controller("a"), 1, v1.ConditionFalse))
	p.report(ctx, r.ID, fails(p.controller("b"), v1.ErrorTransient))
	first := p.user.get(ctx, p.path(r.ID)).is(http.StatusOK)
	p.user.get(ctx, p.path(r.ID)+"/status").is(http.StatusOK).shows("status", first.at("status"))
	p.user.list(ctx, "name", r.Name).is(http.StatusOK).shows(p.kind.list+".0", first.at(""))
	p.user.get(ctx, p.path(r.ID)).is(http.StatusOK).shows("", first.at(""))
}

func statusShowsReports(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.user.get(ctx, p.path(id)+"/status").is(http.StatusOK).
		shows(p.kind.id, id).shows("generation", 1).shape("", "status:object controller_status:list").shows("controller_status", []int{})
	p.report(ctx, id, fails(p.controller("a"), v1.ErrorTransient))
	r := p.user.get(ctx, p.path(id)+"/status").is(http.StatusOK).shape("status", statusFields)
	r.shape("controller_status.0", "cluster_id:string controller_name:string observed_generation:number conditions:list metadata:object "+
		"last_error:object last_updated:string")
	r.shows("controller_status.0.controller_name", p.controller("a")).shows("controller_status.0.last_error.error_code", "E1")
}

func explainSaysWhy(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	p.report(ctx, r.ID, says(p.controller("a"), 1, v1.ConditionFalse))
	path := p.path(r.ID) + "/explain"
	why := p.user.get(ctx, path).is(http.StatusOK)
	why.shows(p.kind.id, r.ID).shows("phase", v1.PhaseProgressing).shape("", "sentences:list").shape("next_event", "due_at:string lane:string")
	why.shows("waiting_for.0.controller_name", p.controller("a")).shows("waiting_for.0.why", v1.WaitNotAvailable)
	p.expect(why.at("sentences.0") != nil, "a sentence", why.String())
	p.report(ctx, r.ID, says(p.controller("a"), 1, v1.ConditionTrue))
	p.change(ctx, r.ID, `{"paused":true}`)
	p.user.get(ctx, path).is(http.StatusOK).shows("phase", v1.PhaseReady).shows("waiting_for", []int{}).shows("next_event", nil)
}

func droppedReport(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.report(ctx, id, says(p.controller("b"), 1, v1.ConditionFalse))
	p.robot.remove(ctx, p.path(id)+"/status/"+p.controller("b")).is(http.StatusNoContent)
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	p.user.remove(ctx, p.path(id)+"/status/"+p.controller("a")).refused(v1.CodeForbidden, "")
}

func poolsHaveTheirOwn(ctx context.Context, p *probe) {
	pool := p.pool(ctx, p.cluster(ctx).ID)
	path := nodePools + "/" + pool.ID + "/status"
	p.robot.put(ctx, path, text(says(p.controller("a"), 1, v1.ConditionTrue))).is(http.StatusOK).shows("applied", true)
	p.user.get(ctx, path).is(http.StatusOK).
		shows("nodepool_id", pool.ID).shows("cluster_id", pool.ClusterID).shows("status.phase", v1.PhaseReady)
	p.phase(ctx, pool.ClusterID, v1.PhasePending, "NoControllers")
}
