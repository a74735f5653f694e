package conformance

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func deletionChecks() []Check {
	return []Check{
		{"deletion/unheld-is-gone-at-once", "What nobody holds is gone with the 202: a 404, and in no list.", ofDeletion, unheldIsGone},
		{
			"deletion/names-whom-it-waits-for", "A deletion that is held names its holders, in the answer and in the status.",
			ofDeletion, namesWhomItWaitsFor,
		},
		{
			"deletion/refuses-changes", "While it is Deleting a cluster refuses changes and node pools, and keeps its name.",
			ofDeletion, refusesChanges,
		},
		{
			"deletion/ends-when-the-last-lets-go", "A deletion ends when the last holder has reported Finalized=True.",
			ofDeletion, endsWhenTheLastLetsGo,
		},
		{
			"deletion/older-generation-does-not-let-go", "Finalized=True of a generation before the deletion's does not let go.",
			ofDeletion, olderGeneration,
		},
		{"deletion/again-is-the-same", "DELETE again is the same 202, and changes nothing.", ofDeletion, againIsTheSame},
		{
			"deletion/force-is-for-the-second-time", "A forced first DELETE is an ordinary one; forced again it waits for nobody.",
			ofDeletion, forceIsForTheSecondTime,
		},
		{"deletion/reports-are-answered-afterwards", "A report on what is deleted is 200, applied: false.", ofDeletion, reportsAfterwards},
		{"deletion/node-pools-go-first", "A cluster waits for its node pools, each with its own holders.", ofDeletion, poolsGoFirst},
		{"deletion/protection-refuses", "What is protected from deletion is 409 until that is lifted.", ofDeletion, protectionRefuses},
	}
}

// finalizes is a report of a holder.
func finalizes(controller string, generation int64, done v1.ConditionStatus) v1.StatusReport {
	return v1.StatusReport{
		ControllerName: controller, ObservedGeneration: generation,
		Conditions: []v1.ReportedCondition{{Type: v1.ConditionFinalized, Status: done}},
	}
}

// held makes a cluster that controllers hold, and asks for its deletion.
func (p *probe) held(ctx context.Context, holders ...string) (string, v1.Deletion) {
	id := p.cluster(ctx).ID
	for _, holder := range holders {
		p.report(ctx, id, finalizes(p.controller(holder), 1, v1.ConditionFalse))
	}
	return id, got[v1.Deletion](p)(p.user.DeleteCluster(ctx, id))
}

func unheldIsGone(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	p.report(ctx, c.ID, says(p.controller("a"), 1, v1.ConditionTrue))
	p.user.remove(ctx, clusters+"/"+c.ID).is(http.StatusAccepted).shape("", "message:string").shows("cluster_id", c.ID)
	p.gone(ctx, c.ID)
	p.user.list(ctx, "name", c.Name).is(http.StatusOK).shows("total", 0)
}

func namesWhomItWaitsFor(ctx context.Context, p *probe) {
	id, deletion := p.held(ctx, "a", "b")
	p.expect(slices.Equal(deletion.WaitingFor, []string{p.controller("a"), p.controller("b")}), "waiting_for both holders", deletion)
	c := p.phase(ctx, id, v1.PhaseDeleting, "WaitingForFinalizers")
	p.expect(c.Generation == 2 && c.DeletionTimestamp != nil, "a generation of its own, and a deletion_timestamp", c)
	for _, holder := range deletion.WaitingFor {
		p.expect(strings.Contains(c.Status.Message, holder), "a message that names "+holder, c.Status.Message)
	}
	p.condition(c.Status, v1.ConditionProgressing, v1.ConditionTrue)
	p.condition(c.Status, v1.ConditionReady, v1.ConditionFalse)
}

func refusesChanges(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a")
	name := p.look(ctx, id).Name
	p.user.put(ctx, clusters+"/"+id, `{"spec":{}}`).refused(v1.CodeClusterDeleting, "")
	p.user.patch(ctx, clusters+"/"+id, `{"description":"x"}`).refused(v1.CodeClusterDeleting, "")
	p.user.post(ctx, nodePools, `{"cluster_id":"`+id+`","name":"workers"}`).refused(v1.CodeClusterDeleting, "")
	p.user.post(ctx, clusters, `{"name":"`+name+`"}`).refused(v1.CodeClusterNameExists, "name")
}

func endsWhenTheLastLetsGo(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a", "b")
	p.report(ctx, id, finalizes(p.controller("a"), 2, v1.ConditionTrue))
	s := p.phase(ctx, id, v1.PhaseDeleting, "WaitingForFinalizers").Status
	p.expect(!strings.Contains(s.Message, p.controller("a")) && strings.Contains(s.Message, p.controller("b")),
		"a message that names "+p.controller("b")+" alone", s.Message)
	p.report(ctx, id, finalizes(p.controller("b"), 0, v1.ConditionTrue))
	p.gone(ctx, id)
}

func olderGeneration(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a")
	got[v1.ReportResult](p)(p.robot.ReportClusterStatus(ctx, id, finalizes(p.controller("a"), 1, v1.ConditionTrue)))
	p.phase(ctx, id, v1.PhaseDeleting, "WaitingForFinalizers")
}

func againIsTheSame(ctx context.Context, p *probe) {
	id, first := p.held(ctx, "a")
	p.user.remove(ctx, clusters+"/"+id).is(http.StatusAccepted).
		shows("generation", first.Generation).shows("deletion_timestamp", first.DeletionTimestamp).shows("waiting_for", first.WaitingFor)
}

func forceIsForTheSecondTime(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	p.report(ctx, id, finalizes(p.controller("a"), 1, v1.ConditionFalse))
	first := got[v1.Deletion](p)(p.user.DeleteCluster(ctx, id, client.Force("conformance")))
	p.expect(slices.Equal(first.WaitingFor, []string{p.controller("a")}), "a deletion that waits for "+p.controller("a"), first)
	second := got[v1.Deletion](p)(p.user.DeleteCluster(ctx, id, client.Force("conformance")))
	p.expect(len(second.WaitingFor) == 0, "a deletion that waits for nobody", second)
	p.gone(ctx, id)
}

func reportsAfterwards(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, id))
	p.robot.put(ctx, clusters+"/"+id+"/status", text(says(p.controller("a"), 1, v1.ConditionTrue))).is(http.StatusOK).
		shows("applied", false).shows("reason", "cluster_deleted")
}

func poolsGoFirst(ctx context.Context, p *probe) {
	pool := p.pool(ctx, p.cluster(ctx).ID)
	got[v1.ReportResult](p)(p.robot.ReportNodePoolStatus(ctx, pool.ID, finalizes(p.controller("a"), 1, v1.ConditionFalse)))
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, pool.ClusterID))
	p.phase(ctx, pool.ClusterID, v1.PhaseDeleting, "WaitingForFinalizers")
	p.user.get(ctx, nodePools+"/"+pool.ID).is(http.StatusOK).shows("status.phase", v1.PhaseDeleting)
	got[v1.ReportResult](p)(p.robot.ReportNodePoolStatus(ctx, pool.ID, finalizes(p.controller("a"), 0, v1.ConditionTrue)))
	p.user.get(ctx, nodePools+"/"+pool.ID).refused(v1.CodeNotFound, "")
	soon, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	p.must(p.user.WaitForDeletion(soon, pool.ClusterID, nil))
}

// followLimit is how long a cluster may outlive the last node pool that it has waited for: a few passes of the scheduler,
// which may be the one to see that nobody is waited for any more.
const followLimit = 5 * time.Second

func protectionRefuses(ctx context.Context, p *probe) {
	c := got[v1.Cluster](p)(p.user.CreateCluster(ctx, v1.CreateCluster{Name: p.name(), DeletionProtection: true, Spec: p.spec()}))
	path := clusters + "/" + c.ID
	p.user.remove(ctx, path).refused(v1.CodeDeletionProtected, "")
	p.user.patch(ctx, path, `{"deletion_protection":false}`).is(http.StatusOK)
	p.user.remove(ctx, path).is(http.StatusAccepted)
}
