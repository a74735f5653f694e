package conformance

import (
	"context"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func registryChecks() []Check {
	return []Check{
		{"registry/entry-comes-back", "A registration comes back as what it said, alone and in the list.", ofControllers, entryComesBack},
		{"registry/users-do-not-register", "A user's registration is 403.", ofControllers, usersDoNotRegister},
		{
			"registry/required-keeps-ready-false",
			"Nothing is Ready before a controller that is required for it has reported; the message names it.",
			ofControllers, requiredKeepsReadyFalse,
		},
		{
			"registry/counts-from-the-next-generation", "What is Ready stays so when a required controller registers, until its next generation.",
			ofControllers, countsFromTheNext,
		},
		{
			"registry/other-platforms-are-not-waited-for",
			"A controller registered for other platforms is not waited for, also where it has reported.",
			ofControllers, otherPlatforms,
		},
		{
			"registry/finalizer-holds", "A controller registered with finalizes holds a deletion without having reported.",
			ofControllers, finalizerHolds,
		},
		{
			"registry/retired-counts-nowhere", "A retired controller is not waited for, and its reports are 200, applied: false.",
			ofControllers, retiredCountsNowhere,
		},
	}
}

// register makes an entry of the run's platform.
func (p *probe) register(ctx context.Context, word string, r v1.RegisterController) v1.Controller {
	r.Platforms = []string{p.platform + "-" + word}
	return got[v1.Controller](p)(p.robot.RegisterController(ctx, p.controller(word), r))
}

// on makes a cluster of the platform that the entry of a word is for.
func (p *probe) on(ctx context.Context, word string) v1.Cluster {
	spec := v1.Object(`{"platform":{"type":"` + p.platform + "-" + word + `"}}`)
	return got[v1.Cluster](p)(p.user.CreateCluster(ctx, v1.CreateCluster{Name: p.name(), Spec: spec}))
}

func entryComesBack(ctx context.Context, p *probe) {
	entry := p.register(ctx, "entry", v1.RegisterController{Kinds: []string{"cluster"}, Finalizes: true, Required: true})
	p.robot.get(ctx, controllers+"/"+entry.Name).is(http.StatusOK).
		shows("name", p.controller("entry")).shows("platforms", []string{p.platform + "-entry"}).shows("kinds", []string{"cluster"}).
		shows("finalizes", true).shows("required", true).shows("registered", true)
	list := into[v1.ControllerList](p.robot.get(ctx, controllers).is(http.StatusOK))
	p.expect(slices.ContainsFunc(list.Controllers, func(c v1.Controller) bool { return c.Name == entry.Name && c.Finalizes && c.Required }),
		"an entry "+entry.Name+" that finalizes and is required", list)
}

func usersDoNotRegister(ctx context.Context, p *probe) {
	p.user.put(ctx, controllers+"/"+p.controller("user"), `{}`).refused(v1.CodeForbidden, "")
}

func requiredKeepsReadyFalse(ctx context.Context, p *probe) {
	required := p.register(ctx, "required", v1.RegisterController{Required: true}).Name
	id := p.on(ctx, "required").ID
	s := p.phase(ctx, id, v1.PhasePending, "NoControllers").Status
	p.expect(strings.Contains(s.Message, required), "a message that names "+required, s.Message)
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	s = p.phase(ctx, id, v1.PhaseProgressing, "PartialProgress").Status
	p.expect(strings.Contains(s.Message, required), "a message that names "+required, s.Message)
	p.report(ctx, id, says(required, 1, v1.ConditionTrue))
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
}

func countsFromTheNext(ctx context.Context, p *probe) {
	id := p.on(ctx, "next").ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.register(ctx, "next", v1.RegisterController{Required: true})
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	got[v1.Cluster](p)(p.user.PatchCluster(ctx, id, v1.Object(`{"spec":{"n":1}}`)))
	p.report(ctx, id, says(p.controller("a"), 2, v1.ConditionTrue))
	p.phase(ctx, id, v1.PhaseProgressing, "PartialProgress")
}

func otherPlatforms(ctx context.Context, p *probe) {
	elsewhere := p.register(ctx, "elsewhere", v1.RegisterController{Required: true, Finalizes: true}).Name
	id := p.cluster(ctx).ID
	p.report(ctx, id, says(elsewhere, 1, v1.ConditionFalse))
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
}

func finalizerHolds(ctx context.Context, p *probe) {
	finalizer := p.register(ctx, "finalizer", v1.RegisterController{Finalizes: true}).Name
	id := p.on(ctx, "finalizer").ID
	deletion := got[v1.Deletion](p)(p.user.DeleteCluster(ctx, id))
	p.expect(slices.Equal(deletion.WaitingFor, []string{finalizer}), "a deletion that waits for "+finalizer, deletion)
	p.report(ctx, id, finalizes(finalizer, 2, v1.ConditionTrue))
	p.gone(ctx, id)
}

func retiredCountsNowhere(ctx context.Context, p *probe) {
	retired := p.register(ctx, "retired", v1.RegisterController{Required: true}).Name
	id := p.on(ctx, "retired").ID
	p.report(ctx, id, says(retired, 1, v1.ConditionFalse))
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.robot.remove(ctx, controllers+"/"+retired).is(http.StatusNoContent)
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	p.robot.put(ctx, clusters+"/"+id+"/status", text(says(retired, 1, v1.ConditionTrue))).is(http.StatusOK).
		shows("applied", false).shows("reason", "controller_retired")
}
