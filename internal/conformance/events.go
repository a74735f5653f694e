package conformance

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

func eventChecks() []Check {
	return slices.Concat(ofBoth([]promise{
		{"events/created", "A POST is told by a created event, with who has made it.", ofControllers, eventCreated},
		{
			"events/updated-says-why",
			"An updated event tells a new spec from a change of what describes it, which keeps the generation.",
			ofControllers, eventUpdated,
		},
		{"events/deleted", "A DELETE is told by a deleted event, of the generation that it begins.", ofControllers, eventDeleted},
		{
			"events/reconcile-on-demand", "POST .../reconcile sends a reconcile event, with the id that it answers.",
			ofControllers, eventReconcile,
		},
		{
			"events/carry-attributes", "Attributes to filter by, and those of CloudEvents, say the same as the data.",
			ofControllers, eventAttributes,
		},
		{
			"events/come-in-order", "Created, updated and deleted events of one resource come in the order of the changes.",
			ofControllers, eventsInOrder,
		},
		{"events/keep-their-id", "An event that comes twice has the same id.", ofControllers, eventsKeepTheirID},
		{"events/need-a-change", "What changes nothing, or is refused, or a dry run, sends nothing.", ofControllers, eventsNeedAChange},
		{"events/report-wakes-everybody", "A report that moves something wakes everybody within seconds.", ofControllers, eventReactive},
		{
			"events/report-of-nothing-new-wakes-nobody", "A report that says the same, or differs in a message alone, wakes nobody.",
			ofControllers, eventsNothingNew,
		},
		{"events/paused-is-not-woken", "What is paused is woken on demand only, not by a report.", ofControllers, eventsPaused},
		{
			"events/deletion-is-repeated", "While a deletion waits, a wake-up is the deleted event again and never a reconcile.",
			ofControllers, eventDeletionPending,
		},
		{
			"events/force-is-told", "A forced deletion is told by a deleted event with force_delete and the reason.",
			ofControllers, eventForced,
		},
		{"events/trace-goes-on", "The traceparent of a call goes on in its event.", ofControllers, eventTrace},
	}), ofOne([]promise{
		{"events/are-ordered-by-cluster", "The ordering key is the cluster's id, on both topics.", ofControllers, eventOrderingKey},
		{
			"events/node-pools-have-a-topic",
			"Events of node pools come on their own topic, and name both; they are deleted before their cluster is.",
			ofControllers, eventNodePools,
		},
		{"events/no-platform-is-empty", "The attribute platform of what names none is there, and empty.", ofControllers, eventOfNoPlatform},
		{
			"events/force-reaches-node-pools", "A forced deletion of a cluster is told of each of its node pools too.",
			ofControllers, eventForcedOnPools,
		},
	}), ofBoth([]promise{
		{"events/young-is-woken-by-itself", "What is young is woken every half a minute, without anybody asking.", ofStatus, eventAttention},
		{
			"events/deletion-is-repeated-by-itself", "While a deletion waits, it is told every half a minute.",
			ofControllers, eventDeletionByItself,
		},
	}))
}

func eventCreated(ctx context.Context, p *probe) {
	m := p.await(ctx, p.declare(ctx, nil).ID, models.Created, v1.ReasonCreated)
	reply{p: p, body: m.Data}.shape("", "id:string type:string cluster_id:string generation:number timestamp:string source:string "+
		"reason:string metadata:object")
	e := m.event
	p.expect(e.Generation == 1 && e.Source == v1.Source && e.Metadata.TriggeredBy == v1.TriggeredByUser && e.Metadata.UserEmail == p.User,
		"generation 1, source "+v1.Source+", triggered_by user, user_email "+p.User, string(m.Data))
}

func eventUpdated(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.change(ctx, id, `{"spec":{"n":1}}`)
	m := p.await(ctx, id, models.Updated, v1.ReasonSpecChanged)
	p.expect(m.event.Generation == 2, "generation 2", string(m.Data))
	p.change(ctx, id, `{"labels":{"a":"b"}}`)
	m = p.await(ctx, id, models.Updated, v1.ReasonMetadataChanged)
	p.expect(m.event.Generation == 2, "generation 2 still", string(m.Data))
}

func eventDeleted(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.remove(ctx, id, "")
	m := p.await(ctx, id, models.Deleted, v1.ReasonDeletionRequested)
	p.expect(m.event.Generation == 2 && !m.event.Metadata.ForceDelete, "generation 2, not forced", string(m.Data))
}

// wake wakes the controllers of a resource on demand, and waits for the event.
func (p *probe) wake(ctx context.Context, id string) message {
	woken := into[v1.Reconciliation](p.user.post(ctx, p.path(id)+"/reconcile", "").is(http.StatusAccepted))
	return p.awaitWhere(ctx, id, "with the id "+woken.EventID, p.patience, func(m message) bool { return m.event.ID == woken.EventID })
}

func eventReconcile(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	answer := into[v1.Reconciliation](p.user.post(ctx, p.path(id)+"/reconcile", "").is(http.StatusAccepted))
	m := p.await(ctx, id, models.Reconcile, v1.ReasonManual)
	p.expect(m.event.ID == answer.EventID && m.event.Metadata.TriggeredBy == v1.TriggeredByManual,
		"the id "+answer.EventID+", triggered_by manual", string(m.Data))
}

func eventAttributes(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	p.change(ctx, r.ID, `{"spec":{"platform":{"type":"`+strings.ToUpper(p.platform)+`"}}}`)
	m := p.await(ctx, r.ID, models.Updated, v1.ReasonSpecChanged)
	e := m.event
	for name, want := range map[string]string{
		"event_type": e.Type, p.kind.id: r.ID, "cluster_id": r.cluster(), "generation": strconv.FormatInt(e.Generation, 10),
		"platform": p.platform, "reason": e.Reason, "source": e.Source, "created_by": p.User,
		"ce-specversion": "1.0", "ce-id": e.ID, "ce-source": e.Source, "ce-type": e.Type, "ce-subject": r.ID,
	} {
		p.expect(m.Attributes[name] == want, "attribute "+name+" = "+want, m.Attributes)
	}
	for _, name := range []string{"timestamp", "ce-time"} {
		at, err := time.Parse(time.RFC3339Nano, m.Attributes[name])
		p.expect(err == nil && at.Equal(e.Timestamp), "attribute "+name+" = "+text(e.Timestamp), m.Attributes)
	}
	p.expect(strings.HasPrefix(m.Attributes["content-type"], "application/json"), "attribute content-type = application/json", m.Attributes)
}

func eventOrderingKey(ctx context.Context, p *probe) {
	pool := p.pool(ctx, p.cluster(ctx).ID)
	for _, m := range []message{
		p.await(ctx, pool.ClusterID, models.Created, v1.ReasonCreated), p.awaitType(ctx, pool.ID, v1.NodePoolCreated, v1.ReasonCreated),
	} {
		p.expect(m.OrderingKey == pool.ClusterID, "the ordering key "+pool.ClusterID+" of "+m.event.Type, m.OrderingKey)
	}
}

// changes are the events of a resource's changes, in the order in which they first came.
func (p *probe) changes(id string) (first []message) {
	return p.firsts(id, func(m message) bool {
		return m.event.Type != p.kind.Event(models.Reconcile) && m.event.Reason != v1.ReasonDeletionPending
	})
}

// firsts are the events about a resource that are as wanted, without their duplicates.
func (p *probe) firsts(id string, wanted func(message) bool) (first []message) {
	all, _ := p.journal.of(id)
	for _, m := range all {
		known := slices.ContainsFunc(first, func(f message) bool { return f.event.ID == m.event.ID })
		if wanted(m) && !known {
			first = append(first, m)
		}
	}
	return first
}

func eventsInOrder(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	want := []string{p.kind.Event(models.Created) + " (created) of generation 1"}
	for i := range 4 {
		p.change(ctx, id, `{"spec":{"n":`+strconv.Itoa(i)+`}}`)
		want = append(want, p.kind.Event(models.Updated)+" (spec_changed) of generation "+strconv.Itoa(i+2))
	}
	p.remove(ctx, id, "")
	want = append(want, p.kind.Event(models.Deleted)+" (deletion_requested) of generation 6")
	p.await(ctx, id, models.Deleted, v1.ReasonDeletionRequested)
	seen := told(p.changes(id))
	p.expect(slices.Equal(seen, want), strings.Join(want, ", "), strings.Join(seen, ", "))
}

func eventsKeepTheirID(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.remove(ctx, id, "")
	p.await(ctx, id, models.Deleted, v1.ReasonDeletionRequested)
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
	id := p.declare(ctx, nil).ID
	p.user.put(ctx, p.path(id), text(p.with())).is(http.StatusOK)
	p.user.patch(ctx, p.path(id), `{"spec":null}`).refused(v1.CodeInvalidField, "spec")
	p.user.patch(ctx, p.path(id)+"?dry_run=true", `{"spec":{"n":1}}`).is(http.StatusOK)
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionTrue))
	p.remove(ctx, id, "")
	p.await(ctx, id, models.Deleted, v1.ReasonDeletionRequested)
	seen := told(p.changes(id))
	p.expect(len(seen) == 2, "a created and a deleted event alone", strings.Join(seen, ", "))
}

func eventReactive(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionFalse))
	m := p.await(ctx, id, models.Reconcile, v1.ReasonReactive)
	p.expect(m.event.Metadata.TriggeredBy == v1.TriggeredByReactive && m.event.Generation == 1, "triggered_by reactive", string(m.Data))
}

// reactive are the wake-ups of a resource for a report, once another has been woken for a later one. The events of one resource come
// in order, so that one on demand is the last.
func (p *probe) reactive(ctx context.Context, id string) []message {
	later := p.declare(ctx, nil).ID
	p.report(ctx, later, says(p.controller("a"), 1, v1.ConditionFalse))
	p.await(ctx, later, models.Reconcile, v1.ReasonReactive)
	p.wake(ctx, id)
	return p.firsts(id, func(m message) bool { return m.event.Reason == v1.ReasonReactive })
}

func eventsNothingNew(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	r := says(p.controller("a"), 1, v1.ConditionFalse)
	p.report(ctx, id, r)
	p.await(ctx, id, models.Reconcile, v1.ReasonReactive)
	p.report(ctx, id, r)
	r.Conditions[0].Message = "2 of 3 machines"
	p.report(ctx, id, r)
	seen := p.reactive(ctx, id)
	p.expect(len(seen) == 1, "one wake-up, for the first report", told(seen))
}

func eventsPaused(ctx context.Context, p *probe) {
	id := p.declare(ctx, fields{"paused": true}).ID
	p.report(ctx, id, says(p.controller("a"), 1, v1.ConditionFalse))
	seen := p.reactive(ctx, id)
	p.expect(len(seen) == 0, "no wake-up for a report", told(seen))
}

func eventDeletionPending(ctx context.Context, p *probe) {
	id, deletion := p.held(ctx, "a")
	requested := p.await(ctx, id, models.Deleted, v1.ReasonDeletionRequested)
	m := p.wake(ctx, id)
	p.expect(m.event.Type == p.kind.Event(models.Deleted) && m.event.Reason == v1.ReasonDeletionPending &&
		m.event.Generation == deletion.Generation && m.event.ID != requested.event.ID,
		p.kind.Event(models.Deleted)+" (deletion_pending) of the same generation with another id", string(m.Data))
}

const whyForced = "?force=true&reason=it+is+stuck"

// awaitForced waits for the event of a forced deletion.
func (p *probe) awaitForced(ctx context.Context, id, eventType string) {
	m := p.awaitWhere(ctx, id, eventType+" with force_delete", p.patience, func(m message) bool {
		return m.event.Type == eventType && m.event.Metadata.ForceDelete
	})
	p.expect(m.event.Metadata.ForceReason == "it is stuck" && m.event.Metadata.UserEmail == p.User,
		"the reason, and who forced it", string(m.Data))
}

func eventForced(ctx context.Context, p *probe) {
	id, _ := p.held(ctx, "a")
	p.remove(ctx, id, whyForced)
	p.awaitForced(ctx, id, p.kind.Event(models.Deleted))
}

func eventForcedOnPools(ctx context.Context, p *probe) {
	pool := p.heldPool(ctx)
	p.remove(ctx, pool.ClusterID, whyForced)
	p.awaitForced(ctx, pool.ID, v1.NodePoolDeleted)
}

func eventNodePools(ctx context.Context, p *probe) {
	pool := p.pool(ctx, p.cluster(ctx).ID)
	p.remove(ctx, pool.ClusterID, "")
	for eventType, reason := range map[string]string{v1.NodePoolCreated: v1.ReasonCreated, v1.NodePoolDeleted: v1.ReasonDeletionRequested} {
		m := p.awaitType(ctx, pool.ID, eventType, reason)
		p.expect(m.kind == models.KindNodePool, "the topic of node pools", string(m.kind))
		p.expect(m.event.ClusterID == pool.ClusterID && m.Attributes["nodepool_id"] == pool.ID && m.Attributes["ce-subject"] == pool.ID,
			"nodepool_id "+pool.ID+" in the attributes, and its cluster in the data", m)
	}
}

func eventOfNoPlatform(ctx context.Context, p *probe) {
	// A node pool's: a subscription is to what names no platform only on their topic.
	body := text(fields{"name": "workers", "cluster_id": p.cluster(ctx).ID})
	pool := into[resource](p.user.post(ctx, nodePools, body).is(http.StatusCreated))
	m := p.awaitType(ctx, pool.ID, v1.NodePoolCreated, v1.ReasonCreated)
	platform, there := m.Attributes["platform"]
	p.expect(there && platform == "", "an attribute platform that is empty", m.Attributes)
}

func eventTrace(ctx context.Context, p *probe) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	posted := p.user.post(ctx, p.kind.path, p.body(ctx, nil), "traceparent", "00-"+trace+"-00f067aa0ba902b7-01").is(http.StatusCreated)
	m := p.await(ctx, into[resource](posted).ID, models.Created, v1.ReasonCreated)
	p.expect(strings.HasPrefix(m.Attributes["traceparent"], "00-"+trace+"-"), "traceparent 00-"+trace+"-...", m.Attributes["traceparent"])
}

// awaitByItself waits for an event that nobody has asked for, and returns it.
func (p *probe) awaitByItself(ctx context.Context, id string, action models.Action, reason string) message {
	eventType := p.kind.Event(action)
	m := p.awaitWhere(ctx, id, eventType+" ("+reason+") by itself", 2*p.patience, func(m message) bool {
		return m.event.Type == eventType && m.event.Reason == reason
	})
	p.expect(m.event.Metadata.TriggeredBy == v1.TriggeredByScheduler && m.event.Metadata.Interval == p.lane,
		"triggered_by scheduler, interval "+p.lane, string(m.Data))
	return m
}

func eventAttention(ctx context.Context, p *probe) {
	m := p.awaitByItself(ctx, p.declare(ctx, nil).ID, models.Reconcile, v1.ReasonAttention)
	p.expect(m.event.Generation == 1, "generation 1", string(m.Data))
}

func eventDeletionByItself(ctx context.Context, p *probe) {
	id, deletion := p.held(ctx, "a")
	m := p.awaitByItself(ctx, id, models.Deleted, v1.ReasonDeletionPending)
	p.expect(m.event.Generation == deletion.Generation, "the generation of the deletion", string(m.Data))
}
