package conformance

import (
	"context"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func tryingChecks() []Check {
	return slices.Concat(ofBoth([]promise{
		{
			"api/idempotency-key-repeats-the-answer", "A POST of the same key and body is the same 201, and creates nothing.",
			ofTrying, keyRepeats,
		},
		{"api/idempotency-key-is-for-one-body", "A key that comes with another body is 422.", ofTrying, keyIsForOneBody},
		{"api/idempotency-key-waits", "Of parallel POSTs of one key and body one creates, and all answer it.", ofTrying, keyWaits},
		{"api/idempotency-key-keeps-a-201-only", "After a refusal a key is as if it had never come.", ofTrying, keyKeepsSuccess},
		{"api/idempotency-key-is-not-for-dry-runs", "In a dry run a key is neither read nor kept.", ofTrying, keyIsNotForDryRuns},
		{"api/dry-run-does-nothing", "A dry run answers what the call would, and does nothing.", ofTrying, dryRunDoesNothing},
	}), ofOne([]promise{
		{"api/idempotency-key-is-the-callers-own", "The same key of another caller is another key.", ofTrying, keyIsTheCallersOwn},
	}))
}

const keyHeader = "Idempotency-Key"

func keyRepeats(ctx context.Context, p *probe) {
	name := p.name()
	body := p.body(ctx, fields{"name": name})
	first := p.user.post(ctx, p.kind.path, body, keyHeader, name).is(http.StatusCreated)
	second := p.user.post(ctx, p.kind.path, " "+strings.ReplaceAll(body, ",", " , "), keyHeader, name).is(http.StatusCreated)
	second.shows("", first.at("")).has("ETag", first.header.Get("ETag"))
	p.user.list(ctx, "name", name).is(http.StatusOK).shows("total", 1)
}

func keyIsForOneBody(ctx context.Context, p *probe) {
	key := p.name()
	p.user.post(ctx, p.kind.path, p.body(ctx, nil), keyHeader, key).is(http.StatusCreated)
	p.user.post(ctx, p.kind.path, p.body(ctx, nil), keyHeader, key).refused(v1.CodeIdempotencyKeyReused, "")
}

func keyWaits(ctx context.Context, p *probe) {
	name := p.name()
	body := p.body(ctx, fields{"name": name})
	answers := p.inParallel(3, func(int) (reply, error) { return p.user.try(ctx, http.MethodPost, p.kind.path, body, keyHeader, name) })
	for _, answer := range answers {
		answer.is(http.StatusCreated).shows("id", answers[0].at("id"))
	}
}

func keyKeepsSuccess(ctx context.Context, p *probe) {
	key := p.name()
	p.user.post(ctx, p.kind.path, p.body(ctx, fields{"name": "No name"}), keyHeader, key).refused(v1.CodeInvalidField, "name")
	p.user.post(ctx, p.kind.path, p.body(ctx, nil), keyHeader, key).is(http.StatusCreated)
}

func keyIsNotForDryRuns(ctx context.Context, p *probe) {
	key := p.name()
	p.user.post(ctx, p.kind.path+"?dry_run=true", p.body(ctx, nil), keyHeader, key).is(http.StatusCreated)
	p.user.post(ctx, p.kind.path, p.body(ctx, nil), keyHeader, key).is(http.StatusCreated)
	p.user.post(ctx, p.kind.path+"?dry_run=true", p.body(ctx, nil), keyHeader, key).is(http.StatusCreated)
}

func keyIsTheCallersOwn(ctx context.Context, p *probe) {
	key := p.name()
	p.user.post(ctx, clusters, p.body(ctx, nil), keyHeader, key).is(http.StatusCreated)
	p.other.post(ctx, clusters, p.body(ctx, nil), keyHeader, key).is(http.StatusCreated).shows("created_by", p.Other)
}

func dryRunDoesNothing(ctx context.Context, p *probe) {
	name := p.name()
	p.tries(ctx, fields{"name": name}).is(http.StatusCreated).shows("name", name).shows("generation", 1)
	p.user.list(ctx, "name", name).is(http.StatusOK).shows("total", 0)
	r := p.declare(ctx, nil)
	path := p.path(r.ID)
	p.user.patch(ctx, path+"?dry_run=true", `{"spec":{"n":1}}`).is(http.StatusOK).shows("generation", 2)
	p.user.put(ctx, path+"?dry_run=true", text(p.with(`"n":1`))).is(http.StatusOK).shows("generation", 2)
	p.remove(ctx, r.ID, "?dry_run=true")
	p.user.get(ctx, path).is(http.StatusOK).shows("resource_version", r.ResourceVersion)
}
