package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

func pastChecks() []Check {
	return ofBoth([]promise{
		{
			"api/revisions-are-the-specs", "GET .../revisions lists each spec that it has had, the newest first, with who began it.",
			ofPast, revisionsAreTheSpecs,
		},
		{"api/rollback-brings-a-spec-back", "POST .../rollback makes the spec of a generation that of a new one.", ofPast, rollbackBringsBack},
		{
			"api/timeline-tells-changes", "GET .../events tells each change, with who has made it, and its publication.",
			ofPast, timelineTellsChanges,
		},
		{"api/timeline-tells-reports", "GET .../events tells each report that moves something.", ofPast, timelineTellsReports},
	})
}

func revisionsAreTheSpecs(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.change(ctx, id, `{"spec":{"n":1}}`)
	p.change(ctx, id, `{"description":"no spec"}`)
	r := p.user.get(ctx, p.path(id)+"/revisions").is(http.StatusOK)
	list := into[v1.RevisionList](r).Revisions
	p.expect(len(list) == 2 && list[0].Generation == 2 && list[1].Generation == 1, "the revisions 2 and 1", r.String())
	r.shows("revisions.0.created_by", p.User).shape("revisions.0", "created_at:string diff:list")
	r.shows("revisions.0.diff", []fields{{"op": "add", "path": "/n", "value": 1}})
}

func rollbackBringsBack(ctx context.Context, p *probe) {
	made := p.declared(ctx, p.with(`"n":1`))
	id := into[resource](made).ID
	p.change(ctx, id, `{"spec":{"n":2,"m":2}}`)
	p.user.post(ctx, p.path(id)+"/rollback?to=1", "").is(http.StatusOK).shows("generation", 3).shows("spec", made.at("spec"))
	p.user.post(ctx, p.path(id)+"/rollback?to=9", "").refused(v1.CodeNotFound, "")
}

func timelineTellsChanges(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	created := p.kind.Event(models.Created)
	p.remembers(ctx, id, "the publication of "+created, func(e v1.TimelineEntry) bool {
		return e.What == v1.TimelinePublication && e.EventType == created
	})
	e := p.remembers(ctx, id, "the change "+created, func(e v1.TimelineEntry) bool {
		return e.What == v1.TimelineChange && e.EventType == created
	})
	p.expect(e.Generation == 1 && e.UserEmail == p.User && e.RequestID != "" && e.EventID != "",
		"the generation, who has made it, and the ids", e)
}

func timelineTellsReports(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, fails(p.controller("a"), v1.ErrorTransient))
	e := p.remembers(ctx, id, "a report", func(e v1.TimelineEntry) bool { return e.What == v1.TimelineReport })
	p.expect(e.ControllerName == p.controller("a") && e.ErrorCode == "E1" && len(e.Conditions) == 1, "the report as it was", e)
}

// remembers waits for an entry in the timeline of a resource, where a change is written only once its event is published.
func (p *probe) remembers(ctx context.Context, id, what string, wanted func(v1.TimelineEntry) bool) v1.TimelineEntry {
	late, again := time.After(p.patience), time.NewTicker(100*time.Millisecond)
	defer again.Stop()
	for {
		r := p.user.get(ctx, p.path(id)+"/events").is(http.StatusOK)
		entries := into[v1.Timeline](r).Events
		if at := slices.IndexFunc(entries, wanted); at >= 0 {
			return entries[at]
		}
		select {
		case <-again.C:
		case <-late:
			p.fail(fmt.Sprintf("%sof the past, %s, within %v", awaited, what, p.patience), r.String())
		}
	}
}
