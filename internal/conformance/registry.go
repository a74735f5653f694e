package conformance

import (
	"context"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

func registryChecks() []Check {
	return slices.Concat(ofOne([]promise{
		{"registry/entry-comes-back", "A registration comes back as what it said, alone and in the list.", ofControllers, entryComesBack},
		{"registry/users-do-not-register", "A user's registration is 403, and an administrator's.", ofControllers, usersDoNotRegister},
	}), ofBoth([]promise{
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
			"registry/other-kinds-are-not-waited-for", "A controller registered for another kind is not waited for, also where it has reported.",
			ofControllers, otherKinds,
		},
		{
			"registry/finalizer-holds", "A controller registered with finalizes holds a deletion without having reported.",
			ofControllers, finalizerHolds,
		},
		{
			"registry/retired-counts-nowhere",
			"A retired controller is not waited for, and its reports are 200, applied: false, until it registers again.",
			ofControllers, retiredCountsNowhere,
		},
		{
			"registry/retired-holds-nothing", "A deletion does not wait for a controller that is retired meanwhile.",
			ofControllers, retiredHoldsNothing,
		},
	}))
}

// register makes an entry of a platform of its own.
func (p *probe) register(ctx context.Context, word string, r v1.RegisterController) v1.Controller {
	r.Platforms = []string{p.platformOf(word)}
	return got[v1.Controller](p)(p.robot.RegisterController(ctx, p.controller(word), r))
}

// platformOf is the platform that the entry of a word is for.
func (p *probe) platformOf(word string) string { return p.platform + "-" + p.word(word) }

// on makes a resource of the platform that the entry of a word is for, and returns its id.
func (p *probe) on(ctx context.Context, word string) string {
	return p.declare(ctx, fields{"spec": platform(p.platformOf(word))}).ID
}

func entryComesBack(ctx context.Context, p *probe) {
	entry := p.register(ctx, "entry", v1.RegisterController{Kinds: []string{"cluster"}, Finalizes: true, Required: true})
	p.robot.get(ctx, controllers+"/"+entry.Name).is(http.StatusOK).
		shows("name", p.controller("entry")).shows("platforms", []string{p.platformOf("entry")}).shows("kinds", []string{"cluster"}).
		shows("finalizes", true).shows("required", true).shows("registered", true)
	list := into[v1.ControllerList](p.robot.get(ctx, controllers).is(http.StatusOK))
	p.expect(slices.ContainsFunc(list.Controllers, func(c v1.Controller) bool { return c.Name == entry.Name && c.Finalizes && c.Required }),
		"an entry "+entry.Name+" that finalizes and is required", list)
}

func usersDoNotRegister(ctx context.Context, p *probe) {
	entry := text(v1.RegisterController{Platforms: []string{p.platformOf("user")}})
	p.user.put(ctx, controllers+"/"+p.controller("user"), entry).refused(v1.CodeForbidden, "")
	if p.Admin != "" {
		p.admin.put(ctx, controllers+"/"+p.controller("user"), entry).refused(v1.CodeForbidden, "")
	}
}

func requiredKeepsReadyFalse(ctx context.Context, p *probe) {
	required := p.register(ctx, "required", v1.RegisterController{Required: true}).Name
	id := p.on(ctx, "required")
	s := p.phase(ctx, id, v1.PhasePending, "NoControllers").Status
	p.expect(strings.Contains(s.Message, required), "a message that names "+required, s.Message)
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	s = p.phase(ctx, id, v1.PhaseProgressing, "PartialProgress").Status
	p.expect(strings.Contains(s.Message, required), "a message that names "+required, s.Message)
	p.condition(s, v1.ConditionAvailable, v1.ConditionUnknown)
	p.expect(s.ObservedGeneration == 0, "observedGeneration 0 while one is missing", s)
	p.report(ctx, id, says(required, 1, v1.ConditionTrue))
	s = p.phase(ctx, id, v1.PhaseReady, "AllControllersReady").Status
	p.expect(s.ObservedGeneration == 1, "observedGeneration 1", s)
}

func countsFromTheNext(ctx context.Context, p *probe) {
	id := p.on(ctx, "next")
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.register(ctx, "next", v1.RegisterController{Required: true})
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	p.change(ctx, id, `{"spec":{"n":1}}`)
	p.report(ctx, id, says(p.controller("a"), 2, v1.ConditionTrue))
	p.phase(ctx, id, v1.PhaseProgressing, "PartialProgress")
}

func otherPlatforms(ctx context.Context, p *probe) {
	elsewhere := p.register(ctx, "elsewhere", v1.RegisterController{Required: true, Finalizes: true}).Name
	p.notWaitedFor(ctx, p.declare(ctx, nil).ID, elsewhere)
}

func otherKinds(ctx context.Context, p *probe) {
	other := models.KindNodePool
	if p.kind.Kind == other {
		other = models.KindCluster
	}
	entry := p.register(ctx, "kind", v1.RegisterController{Kinds: []string{string(other)}, Required: true, Finalizes: true})
	p.notWaitedFor(ctx, p.on(ctx, "kind"), entry.Name)
}

// notWaitedFor expects neither Ready nor a deletion to wait for a controller that has reported.
func (p *probe) notWaitedFor(ctx context.Context, id, controller string) {
	p.report(ctx, id, says(controller, 1, v1.ConditionFalse))
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	p.remove(ctx, id, "")
	p.gone(ctx, id)
}

func finalizerHolds(ctx context.Context, p *probe) {
	finalizer := p.register(ctx, "finalizer", v1.RegisterController{Finalizes: true}).Name
	id := p.on(ctx, "finalizer")
	deletion := p.remove(ctx, id, "")
	p.expect(slices.Equal(deletion.WaitingFor, []string{finalizer}), "a deletion that waits for "+finalizer, deletion)
	p.report(ctx, id, finalizes(finalizer, 2, v1.ConditionTrue))
	p.gone(ctx, id)
}

func retiredCountsNowhere(ctx context.Context, p *probe) {
	retired := p.register(ctx, "retired", v1.RegisterController{Required: true}).Name
	id := p.on(ctx, "retired")
	p.report(ctx, id, says(retired, 1, v1.ConditionFalse))
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.robot.remove(ctx, controllers+"/"+retired).is(http.StatusNoContent)
	p.phase(ctx, id, v1.PhaseReady, "AllControllersReady")
	p.reported(ctx, id, says(retired, 1, v1.ConditionTrue)).shows("applied", false).shows("reason", v1.NotAppliedRetired)
	p.register(ctx, "retired", v1.RegisterController{})
	p.report(ctx, id, says(retired, 1, v1.ConditionFalse))
	p.phase(ctx, id, v1.PhaseProgressing, "PartialProgress")
}

func retiredHoldsNothing(ctx context.Context, p *probe) {
	holder := p.register(ctx, "holder", v1.RegisterController{Finalizes: true}).Name
	id := p.on(ctx, "holder")
	deletion := p.remove(ctx, id, "")
	p.expect(slices.Equal(deletion.WaitingFor, []string{holder}), "a deletion that waits for "+holder, deletion)
	p.robot.remove(ctx, controllers+"/"+holder).is(http.StatusNoContent)
	p.follows(ctx, id)
}
