package conformance

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

func deletionChecks() []Check {
	return slices.Concat(ofBoth([]promise{
		{
			"deletion/unheld-is-gone-at-once", "What nobody holds is gone with the 202: a 404 to everybody, and in no list.",
			ofDeletion, unheldIsGone,
		},
		{
			"deletion/names-whom-it-waits-for", "A deletion that is held names its holders, in the answer and in the status.",
			ofDeletion, namesWhomItWaitsFor,
		},
		{"deletion/refuses-changes", "While it is Deleting it refuses changes, and keeps its name.", ofDeletion, refusesChanges},
		{
			"deletion/ends-when-the-last-lets-go", "A deletion ends when the last holder has reported Finalized=True.",
			ofDeletion, endsWhenTheLastLetsGo,
		},
		{
			"deletion/older-generation-does-not-let-go", "Finalized=True of a generation before the deletion's does not let go.",
			ofDeletion, olderGeneration,
		},
		{"deletion/once-let-go-stands", "Who has let go is waited for no more, whatever it reports then.", ofDeletion, onceLetGoStands},
		{"deletion/again-is-the-same", "DELETE again is the same 202, and changes nothing.", ofDeletion, againIsTheSame},
		{
			"deletion/force-is-for-the-second-time", "A forced first DELETE is an ordinary one; forced again it waits for nobody.",
			ofDeletion, forceIsForTheSecondTime,
		},
		{"deletion/reports-are-answered-afterwards", "A report on what is deleted is 200, applied: false.", ofDeletion, reportsAfterwards},
		{"deletion/protection-refuses", "What is protected from deletion is 409 until that is lifted.", ofDeletion, protectionRefuses},
	}), ofOne([]promise{
		{"deletion/refuses-node-pools", "While it is Deleting a cluster refuses new node pools.", ofDeletion, refusesPools},
		{"deletion/node-pools-go-first", "A cluster waits for its node pools, each with its own holders.", ofDeletion, poolsGoFirst},
		{
			"deletion/force-takes-node-pools", "A forced deletion of a cluster waits for its node pools' holders no more either.",
			ofDeletion, forceTakesPools,
		},
		{
			"deletion/node-pool-protection-is-its-own", "A protected node pool is guarded from its own DELETE, not from that of its cluster.",
			ofNodePools, poolProtectionIsItsOwn,
		},
	}))
}

// finalizes is a report of a holder.
func finalizes(controller string, generation int64, done v1.ConditionStatus) v1.StatusReport {
	return v1.StatusReport{
		ControllerName: controller, ObservedGeneration: generation,
		Conditions: []v1.ReportedCondition{{Type: v1.ConditionFinalized, Status: done}},
	}
}

// held makes a resource that controllers hold, and asks for its deletion.
func (p *probe) held(ctx context.Context, holders ...string) (string, v1.Deletion) {
	id := p.declare(ctx, nil).ID
	for _, holder := range holders {
		p.report(ctx, id, finalizes(p.controller(holder), 1, v1.ConditionFalse))
	}
	return id, p.remove(ctx, id, "")
}

func unheldIsGone(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	p.report(ctx, r.ID, says(p.controller("a"), 1, v1.ConditionTrue))
	p.user.remove(ctx, p.path(r.ID)).is(http.StatusAccepted).
		shape("", "message:string").shows(p.kind.id, r.ID).shows("cluster_id", r.cluster())
	p.gone(ctx, r.ID)
	p.user.list(ctx, "name", r.Name).is(http.StatusOK).shows("total", 0)
}

func namesWhomItWaitsFor(ctx context.Context, p *probe) {
	id, deletion := p.held(ctx, "a", "b")
	p.expect(slices.Equal(deletion.WaitingFor, []string{p.controller("a"), p.controller("b")}), "waiting_for both holders", deletion)
	r := p.phase(ctx, id, v1.PhaseDeleting, "WaitingForFinalizers")
	p.expect(r.Generation == 2 && r.DeletionTimestamp != nil, "a generation of its own, and a deletion_timestamp", r)
	for _, holder := range deletion.WaitingFor {
		p.expect(strings.Contains(r.Status.Message, holder), "a message that names "+holder, r.Status.Message)
	}
	p.condition(r.Status, v1.ConditionProgressing, v1.ConditionTrue)
	p.condition(r.Status, v1.ConditionReady, v1.ConditionFalse)
}

func refusesChanges(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a")
	p.user.put(ctx, p.path(id), `{"spec":{}}`).refused(v1.CodeClusterDeleting, "")
	p.user.patch(ctx, p.path(id), `{"description":"x"}`).refused(v1.CodeClusterDeleting, "")
	p.user.post(ctx, p.kind.path, p.body(ctx, fields{"name": p.look(ctx, id).Name})).refused(p.kind.nameExists, "name")
}

func refusesPools(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a")
	p.user.post(ctx, nodePools, `{"cluster_id":"`+id+`","name":"workers"}`).refused(v1.CodeClusterDeleting, "")
}

func endsWhenTheLastLetsGo(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a", "b")
	p.report(ctx, id, finalizes(p.controller("a"), 2, v1.ConditionTrue))
	p.waitsFor(ctx, id, "b", "a")
	p.report(ctx, id, finalizes(p.controller("b"), 0, v1.ConditionTrue))
	p.gone(ctx, id)
}

// waitsFor expects a deletion to wait for a holder and no more for another.
func (p *probe) waitsFor(ctx context.Context, id, holder, other string) {
	s := p.phase(ctx, id, v1.PhaseDeleting, "WaitingForFinalizers").Status
	p.expect(!strings.Contains(s.Message, p.controller(other)) && strings.Contains(s.Message, p.controller(holder)),
		"a message that names "+p.controller(holder)+" alone", s.Message)
}

func olderGeneration(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a")
	p.reported(ctx, id, finalizes(p.controller("a"), 1, v1.ConditionTrue))
	p.phase(ctx, id, v1.PhaseDeleting, "WaitingForFinalizers")
}

func onceLetGoStands(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a", "b")
	p.report(ctx, id, finalizes(p.controller("a"), 2, v1.ConditionTrue))
	p.report(ctx, id, finalizes(p.controller("a"), 2, v1.ConditionFalse))
	p.waitsFor(ctx, id, "b", "a")
	p.report(ctx, id, finalizes(p.controller("b"), 2, v1.ConditionTrue))
	p.gone(ctx, id)
}

func againIsTheSame(ctx context.Context, p *probe) {
	id, first := p.held(ctx, "a")
	p.user.remove(ctx, p.path(id)).is(http.StatusAccepted).
		shows("generation", first.Generation).shows("deletion_timestamp", first.DeletionTimestamp).shows("waiting_for", first.WaitingFor)
}

func forceIsForTheSecondTime(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, finalizes(p.controller("a"), 1, v1.ConditionFalse))
	first := p.remove(ctx, id, forced)
	p.expect(slices.Equal(first.WaitingFor, []string{p.controller("a")}), "a deletion that waits for "+p.controller("a"), first)
	second := p.remove(ctx, id, forced)
	p.expect(len(second.WaitingFor) == 0, "a deletion that waits for nobody", second)
	p.gone(ctx, id)
}

func reportsAfterwards(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.remove(ctx, id, "")
	p.reported(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue)).shows("applied", false).shows("reason", p.kind.deleted)
}

func protectionRefuses(ctx context.Context, p *probe) {
	path := p.path(p.declare(ctx, fields{"deletion_protection": true}).ID)
	p.user.remove(ctx, path).refused(v1.CodeDeletionProtected, "")
	p.user.patch(ctx, path, `{"deletion_protection":false}`).is(http.StatusOK)
	p.user.remove(ctx, path).is(http.StatusAccepted)
}

// heldPool makes a node pool that a controller holds, in a cluster whose deletion it asks for.
func (p *probe) heldPool(ctx context.Context) resource {
	pool := p.pool(ctx, p.cluster(ctx).ID)
	p.reportOnPool(ctx, pool.ID, finalizes(p.controller("a"), 1, v1.ConditionFalse))
	p.remove(ctx, pool.ClusterID, "")
	return pool
}

func (p *probe) reportOnPool(ctx context.Context, id string, r v1.StatusReport) {
	p.robot.put(ctx, nodePools+"/"+id+"/status", text(r)).is(http.StatusOK).shows("applied", true)
}

func poolsGoFirst(ctx context.Context, p *probe) {
	pool := p.heldPool(ctx)
	p.phase(ctx, pool.ClusterID, v1.PhaseDeleting, "WaitingForFinalizers")
	p.user.get(ctx, nodePools+"/"+pool.ID).is(http.StatusOK).shows("status.phase", v1.PhaseDeleting)
	p.reportOnPool(ctx, pool.ID, finalizes(p.controller("a"), 0, v1.ConditionTrue))
	p.user.get(ctx, nodePools+"/"+pool.ID).refused(v1.CodeNotFound, "")
	p.follows(ctx, pool.ClusterID)
}

// followLimit is how long a resource may outlive what it has waited for, its last node pool or a controller that is retired: a
// few passes of the scheduler, which may be the one to see that nobody is waited for any more.
const followLimit = 5 * time.Second

// follows expects a resource to follow what it has waited for.
func (p *probe) follows(ctx context.Context, id string) {
	soon, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	wait := p.user.WaitForDeletion
	if p.kind.Kind == models.KindNodePool {
		wait = p.user.WaitForNodePoolDeletion
	}
	p.must(wait(soon, id, nil))
}

func forceTakesPools(ctx context.Context, p *probe) {
	pool := p.heldPool(ctx)
	p.remove(ctx, pool.ClusterID, forced)
	p.user.get(ctx, nodePools+"/"+pool.ID).refused(v1.CodeNotFound, "")
	p.follows(ctx, pool.ClusterID)
}

func poolProtectionIsItsOwn(ctx context.Context, p *probe) {
	body := fields{"name": "workers", "cluster_id": p.cluster(ctx).ID, "deletion_protection": true}
	pool := into[resource](p.user.post(ctx, nodePools, text(body)).is(http.StatusCreated))
	p.user.remove(ctx, nodePools+"/"+pool.ID).refused(v1.CodeDeletionProtected, "")
	p.remove(ctx, pool.ClusterID, "")
	p.user.get(ctx, nodePools+"/"+pool.ID).refused(v1.CodeNotFound, "")
}
