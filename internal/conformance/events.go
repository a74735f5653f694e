package conformance

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/internal/models"
)

func eventChecks() []Check {
	return []Check{
		{"events/created", "A POST is told by cluster.created, with who has made it.", ofControllers, eventCreated},
		{
			"events/updated-says-why",
			"cluster.updated tells a new spec from a change of what describes the cluster, which keeps the generation.",
			ofControllers, eventUpdated,
		},
		{"events/deleted", "A DELETE is told by cluster.deleted, of the generation that it begins.", ofControllers, eventDeleted},
		{"events/reconcile-on-demand", "POST .../reconcile sends cluster.reconcile, with the id that it answers.", ofControllers, eventReconcile},
		{
			"events/carry-attributes", "Attributes to filter by, and those of CloudEvents, say the same as the data.",
			ofControllers, eventAttributes,
		},
		{"events/are-ordered-by-cluster", "The ordering key is the cluster's id, on both topics.", ofControllers, eventOrderingKey},
		{
			"events/come-in-order", "Created, updated and deleted events of one cluster come in the order of the changes.",
			ofControllers, eventsInOrder,
		},
		{"events/keep-their-id", "An event that comes twice has the same id.", ofControllers, eventsKeepTheirID},
		{"events/need-a-change", "What changes nothing, or is refused, or a dry run, sends nothing.", ofControllers, eventsNeedAChange},
		{"events/report-wakes-everybody", "A report that moves something wakes everybody within seconds.", ofControllers, eventReactive},
		{
			"events/deletion-is-repeated", "While a deletion waits, a wake-up is cluster.deleted again and never cluster.reconcile.",
			ofControllers, eventDeletionPending,
		},
		{"events/force-is-told", "A forced deletion is told by cluster.deleted with force_delete and the reason.", ofControllers, eventForced},
		{
			"events/node-pools-have-a-topic",
			"Events of node pools come on their own topic, and name both; they are deleted before their cluster is.",
			ofControllers, eventNodePools,
		},
		{"events/trace-goes-on", "The traceparent of a call goes on in its event.", ofControllers, eventTrace},
	}
}

func eventCreated(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	m := p.await(ctx, c.ID, v1.ClusterCreated, v1.ReasonCreated)
	reply{p: p, body: m.Data}.shape("", "id:string type:string cluster_id:string generation:number timestamp:string source:string "+
		"reason:string metadata:object")
	e := m.event
	p.expect(e.Generation == 1 && e.Source == v1.Source && e.Metadata.TriggeredBy == v1.TriggeredByUser && e.Metadata.UserEmail == p.User,
		"generation 1, source "+v1.Source+", triggered_by user, user_email "+p.User, string(m.Data))
}

func eventUpdated(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	got[v1.Cluster](p)(p.user.PatchCluster(ctx, id, v1.Object(`{"spec":{"n":1}}`)))
	m := p.await(ctx, id, v1.ClusterUpdated, v1.ReasonSpecChanged)
	p.expect(m.event.Generation == 2, "generation 2", string(m.Data))
	got[v1.Cluster](p)(p.user.PatchCluster(ctx, id, v1.Object(`{"labels":{"a":"b"}}`)))
	m = p.await(ctx, id, v1.ClusterUpdated, v1.ReasonMetadataChanged)
	p.expect(m.event.Generation == 2, "generation 2 still", string(m.Data))
}

func eventDeleted(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, id))
	m := p.await(ctx, id, v1.ClusterDeleted, v1.ReasonDeletionRequested)
	p.expect(m.event.Generation == 2 && !m.event.Metadata.ForceDelete, "generation 2, not forced", string(m.Data))
}

func eventReconcile(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	answer := got[v1.Reconciliation](p)(p.user.ReconcileCluster(ctx, id))
	m := p.await(ctx, id, v1.ClusterReconcile, v1.ReasonManual)
	p.expect(m.event.ID == answer.EventID && m.event.Metadata.TriggeredBy == v1.TriggeredByManual,
		"the id "+answer.EventID+", triggered_by manual", string(m.Data))
}

func eventAttributes(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	got[v1.Cluster](p)(p.user.PatchCluster(ctx, id, v1.Object(`{"spec":{"platform":{"type":"`+strings.ToUpper(p.platform)+`"}}}`)))
	m := p.await(ctx, id, v1.ClusterUpdated, v1.ReasonSpecChanged)
	e := m.event
	at := e.Timestamp.UTC().Format(time.RFC3339Nano)
	for name, want := range map[string]string{
		"event_type": e.Type, "cluster_id": id, "generation": strconv.FormatInt(e.Generation, 10), "platform": p.platform, "reason": e.Reason,
		"source": e.Source, "timestamp": at, "created_by": p.User, "content-type": "application/json",
		"ce-specversion": "1.0", "ce-id": e.ID, "ce-source": e.Source, "ce-type": e.Type, "ce-subject": id, "ce-time": at,
	} {
		p.expect(m.Attributes[name] == want, "attribute "+name+" = "+want, m.Attributes)
	}
}

func eventOrderingKey(ctx context.Context, p *probe) {
	pool := p.pool(ctx, p.cluster(ctx).ID)
	for _, m := range []message{
		p.await(ctx, pool.ClusterID, v1.ClusterCreated, v1.ReasonCreated), p.await(ctx, pool.ClusterID, v1.NodePoolCreated, v1.ReasonCreated),
	} {
		p.expect(m.OrderingKey == pool.ClusterID, "the ordering key "+pool.ClusterID+" of "+m.event.Type, m.OrderingKey)
	}
}

// changes are the events of a cluster's changes, in the order in which they first came.
func (p *probe) changes(cluster string) (first []message) {
	all, _ := p.journal.of(cluster)
	for _, m := range all {
		wake := m.event.Type == v1.ClusterReconcile || m.event.Reason == v1.ReasonDeletionPending
		known := slices.ContainsFunc(first, func(f message) bool { return f.event.ID == m.event.ID })
		if !wake && !known && m.kind == models.KindCluster {
			first = append(first, m)
		}
	}
	return first
}

func eventsInOrder(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	want := []string{"cluster.created (created) of generation 1"}
	for i := range 4 {
		got[v1.Cluster](p)(p.user.PatchCluster(ctx, id, v1.Object(`{"spec":{"n":`+strconv.Itoa(i)+`}}`)))
		want = append(want, "cluster.updated (spec_changed) of generation "+strconv.Itoa(i+2))
	}
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, id))
	want = append(want, "cluster.deleted (deletion_requested) of generation 6")
	p.await(ctx, id, v1.ClusterDeleted, v1.ReasonDeletionRequested)
	seen := told(p.changes(id))
	p.expect(slices.Equal(seen, want), strings.Join(want, ", "), strings.Join(seen, ", "))
}

func eventsKeepTheirID(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, id))
	p.await(ctx, id, v1.ClusterDeleted, v1.ReasonDeletionRequested)
	all, _ := p.journal.of(id)
	ids := map[string]string{}
	for _, m := range all {
		before, known := ids[m.event.Type]
		p.expect(!known || before == m.event.ID, "one id for each delivery of "+m.event.Type, []string{before, m.event.ID})
		p.expect(m.event.ID != "" && m.Attributes["ce-id"] == m.event.ID, "the id in the data and in ce-id", m.Attributes)
		ids[m.event.Type] = m.event.ID
	}
}

func eventsNeedAChange(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	got[v1.Cluster](p)(p.user.UpdateCluster(ctx, c.ID, v1.UpdateCluster{Spec: p.spec()}))
	_, err := p.user.PatchCluster(ctx, c.ID, v1.Object(`{"spec":null}`))
	p.refuses(err, v1.CodeInvalidField)
	got[v1.Cluster](p)(p.user.PatchCluster(ctx, c.ID, v1.Object(`{"spec":{"n":1}}`), client.DryRun()))
	p.report(ctx, c.ID, says(p.controller("a"), 1, v1.ConditionTrue))
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, c.ID))
	p.await(ctx, c.ID, v1.ClusterDeleted, v1.ReasonDeletionRequested)
	seen := told(p.changes(c.ID))
	p.expect(len(seen) == 2, "cluster.created and cluster.deleted alone", strings.Join(seen, ", "))
}

func eventReactive(ctx context.Context, p *probe) {
	id := p.cluster(ctx).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionFalse))
	m := p.await(ctx, id, v1.ClusterReconcile, v1.ReasonReactive)
	p.expect(m.event.Metadata.TriggeredBy == v1.TriggeredByReactive && m.event.Generation == 1, "triggered_by reactive", string(m.Data))
}

func eventDeletionPending(ctx context.Context, p *probe) {
	id, deletion := p.held(ctx, "a")
	requested := p.await(ctx, id, v1.ClusterDeleted, v1.ReasonDeletionRequested)
	woken := p.user.post(ctx, clusters+"/"+id+"/reconcile", "").is(http.StatusAccepted)
	m := p.awaitWhere(ctx, id, "with the id "+text(woken.at("event_id")), func(m message) bool { return m.event.ID == woken.at("event_id") })
	p.expect(m.event.Type == v1.ClusterDeleted && m.event.Reason == v1.ReasonDeletionPending && m.event.Generation == deletion.Generation &&
		m.event.ID != requested.event.ID, "cluster.deleted (deletion_pending) of the same generation with another id", string(m.Data))
}

func eventForced(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a")
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, id, client.Force("it is stuck")))
	m := p.awaitWhere(ctx, id, "cluster.deleted with force_delete", func(m message) bool { return m.event.Metadata.ForceDelete })
	p.expect(m.event.Type == v1.ClusterDeleted && m.event.Metadata.ForceReason == "it is stuck" && m.event.Metadata.UserEmail == p.User,
		"cluster.deleted with the reason, and who forced it", string(m.Data))
}

func eventNodePools(ctx context.Context, p *probe) {
	pool := p.pool(ctx, p.cluster(ctx).ID)
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, pool.ClusterID))
	for eventType, reason := range map[string]string{v1.NodePoolCreated: v1.ReasonCreated, v1.NodePoolDeleted: v1.ReasonDeletionRequested} {
		m := p.await(ctx, pool.ClusterID, eventType, reason)
		p.expect(m.kind == models.KindNodePool, "the topic of node pools", string(m.kind))
		p.expect(m.event.NodePoolID == pool.ID && m.Attributes["nodepool_id"] == pool.ID && m.Attributes["ce-subject"] == pool.ID,
			"nodepool_id "+pool.ID+" in the data and the attributes", m)
	}
}

func eventTrace(ctx context.Context, p *probe) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	body := `{"name":"` + p.name() + `","spec":` + p.spec().String() + `}`
	c := into[v1.Cluster](p.user.post(ctx, clusters, body, "traceparent", "00-"+trace+"-00f067aa0ba902b7-01").is(http.StatusCreated))
	m := p.await(ctx, c.ID, v1.ClusterCreated, v1.ReasonCreated)
	p.expect(strings.HasPrefix(m.Attributes["traceparent"], "00-"+trace+"-"), "traceparent 00-"+trace+"-...", m.Attributes["traceparent"])
}
