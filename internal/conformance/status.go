package conformance

import (
	"context"
	"net/http"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func statusChecks() []Check {
	return []Check{
		{"status/nobody-is-pending", "Without any report a cluster is Pending: Ready is False, Available Unknown.", ofStatus, nobodyIsPending},
		{
			"status/one-reporter-makes-ready", "Without a registration the first reporter alone makes generation 1 Ready.",
			ofStatus, oneReporterMakesReady,
		},
		{
			"status/every-reporter-is-waited-for", "Whoever has reported is waited for, and the message names who is missing.",
			ofStatus, everyReporterIsWaitedFor,
		},
		{
			"status/new-spec-is-not-ready", "A new spec is not Ready before it is reported on; Available stays True meanwhile.",
			ofStatus, newSpecIsNotReady,
		},
		{"status/terminal-error-fails", "A Fatal or Configuration error makes the cluster Failed.", ofStatus, terminalErrorFails},
		{"status/failed-condition-fails", "A condition Failed=True makes the cluster Failed.", ofStatus, failedConditionFails},
		{
			"status/passing-error-is-progressing", "An error that will be retried leaves the cluster Progressing, and Degraded until it is gone.",
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
		{"status/shows-each-report", "GET .../status shows each controller's report, [] while there is none.", ofStatus, statusShowsReports},
		{"status/dropped-report-is-not-waited-for", "A report that is dropped is not waited for any more.", ofControllers, droppedReport},
		{"status/node-pools-have-their-own", "A node pool has a status of its own, by the same rules.", ofStatus, poolsHaveTheirOwn},
	}
}

func nobodyIsPending(ctx context.Context, p *probe) {
	s := p.phase(ctx, p.cluster(ctx).ID, v1.PhasePending, "NoControllers").Status
	p.condition(s, v1.ConditionReady, v1.ConditionFalse)
	p.condition(s, v1.ConditionAvailable, v1.ConditionUnknown)
	p.condition(s, v1.ConditionProgressing, v1.ConditionFalse)
	p.condition(s, v1.ConditionDegraded, v1.ConditionFalse)
	p.expect(s.ObservedGeneration == 0, "observedGeneration 0", s)
}

func oneReporterMakesReady(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	s := p.phase(ctx, id, v1.PhaseReady, "AllControllersReady").Status
	p.condition(s, v1.ConditionReady, v1.ConditionTrue)
	p.condition(s, v1.ConditionAvailable, v1.ConditionTrue)
	p.condition(s, v1.ConditionProgressing, v1.ConditionFalse)
	p.expect(s.ObservedGeneration == 1, "observedGeneration 1", s)
}

func everyReporterIsWaitedFor(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
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
	id := p.cluster(ctx).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	changed := got[v1.Cluster](p)(p.user.UpdateCluster(ctx, id, v1.UpdateCluster{Spec: p.spec(`"n":1`)}))
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
		id := p.cluster(ctx).ID
		p.report(ctx, id, fails(p.controller("a"), kind))
		s := p.phase(ctx, id, v1.PhaseFailed, "ControllerFailed").Status
		p.condition(s, v1.ConditionReady, v1.ConditionFalse)
		p.expect(strings.Contains(s.Message, p.controller("a")), "a message that names "+p.controller("a"), s.Message)
	}
}

func failedConditionFails(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	r := says(p.controller("a"), 1, v1.ConditionTrue)
	r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: v1.ConditionFailed, Status: v1.ConditionTrue})
	p.report(ctx, id, r)
	p.phase(ctx, id, v1.PhaseFailed, "ControllerFailed")
}

func passingError(ctx context.Context, p *probe) {
	for _, kind := range []string{v1.ErrorTransient, v1.ErrorSystem} {
		id := p.cluster(ctx).ID
		p.report(ctx, id, fails(p.controller("a"), kind))
		s := p.phase(ctx, id, v1.PhaseProgressing, "ControllersWithErrors").Status
		degraded := p.condition(s, v1.ConditionDegraded, v1.ConditionTrue)
		p.expect(strings.Contains(degraded.Message, p.controller("a")), "a message that names "+p.controller("a"), degraded)
		p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
		p.condition(p.phase(ctx, id, v1.PhaseReady, "AllControllersReady").Status, v1.ConditionDegraded, v1.ConditionFalse)
	}
}

func unknownErrorType(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	p.report(ctx, id, fails(p.controller("a"), "Weather"))
	p.phase(ctx, id, v1.PhaseProgressing, "ControllersWithErrors")
}

func conditionsNameTheirGeneration(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	got[v1.Cluster](p)(p.user.PatchCluster(ctx, id, v1.Object(`{"spec":{"n":1}}`)))
	s := p.look(ctx, id).Status
	p.expect(len(s.Conditions) == 4, "the conditions Ready, Available, Progressing and Degraded", s.Conditions)
	for _, c := range s.Conditions {
		p.expect(c.ObservedGeneration == 2, c.Type+" with observedGeneration 2", c)
	}
}

func transitionTimes(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
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

func statusShowsReports(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	p.user.get(ctx, clusters+"/"+id+"/status").is(http.StatusOK).
		shows("cluster_id", id).shows("generation", 1).shape("", "status:object controller_status:list").shows("controller_status", []int{})
	p.report(ctx, id, fails(p.controller("a"), v1.ErrorTransient))
	r := p.user.get(ctx, clusters+"/"+id+"/status").is(http.StatusOK).shape("status", statusFields)
	r.shape("controller_status.0", "cluster_id:string controller_name:string observed_generation:number conditions:list metadata:object "+
		"last_error:object last_updated:string")
	r.shows("controller_status.0.controller_name", p.controller("a")).shows("controller_status.0.last_error.error_code", "E1")
}

func droppedReport(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.report(ctx, id, says(p.controller("b"), 1, v1.ConditionFalse))
	p.robot.remove(ctx, clusters+"/"+id+"/status/"+p.controller("b")).is(http.StatusNoContent)
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	p.user.remove(ctx, clusters+"/"+id+"/status/"+p.controller("a")).refused(v1.CodeForbidden, "")
}

func poolsHaveTheirOwn(ctx context.Context, p *probe) {
	pool := p.pool(ctx, p.cluster(ctx).ID)
	got[v1.ReportResult](p)(p.robot.ReportNodePoolStatus(ctx, pool.ID, says(p.controller("a"), 1, v1.ConditionTrue)))
	p.user.get(ctx, nodePools+"/"+pool.ID+"/status").is(http.StatusOK).
		shows("nodepool_id", pool.ID).shows("cluster_id", pool.ClusterID).shows("status.phase", v1.PhaseReady)
	p.phase(ctx, pool.ClusterID, v1.PhasePending, "NoControllers")
}
