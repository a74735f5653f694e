package conformance

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func changeChecks() []Check {
	return slices.Concat(ofBoth([]promise{
		{
			"api/generation-moves-with-the-spec-only", "The generation moves when the spec changes, and only then.",
			ofClusters, generationMovesWithTheSpec,
		},
		{
			"api/equal-put-changes-nothing", "A PUT that changes nothing makes no generation and no version.",
			ofClusters, equalPutChangesNothing,
		},
		{
			"api/parallel-puts-have-a-generation-each", "Of N parallel PUTs of different specs each has a generation of its own.",
			ofClusters, parallelPuts,
		},
		{"api/if-match-refuses-after-any-change", "If-Match is 412 after any change since, a report too.", ofClusters, ifMatchRefuses},
		{
			"api/generation-refuses-after-a-new-spec", "A generation in the body is 409 once the spec has moved on; reports do not disturb it.",
			ofClusters, generationRefuses,
		},
		{"api/put-needs-a-spec", "A PUT without a spec, or with null, is a 400 that names it.", ofClusters, putNeedsASpec},
		{
			"api/put-keeps-what-it-leaves-out", "Labels, description, paused and deletion_protection that a PUT leaves out keep their values.",
			ofClusters, putKeeps,
		},
		{"api/what-was-read-can-be-written", "Fields that are only output are ignored in a PUT.", ofClusters, readEditWrite},
		{"api/name-and-id-are-for-life", "Another name, id or place in a PUT is a 400 that names it.", ofClusters, nameIsForLife},
		{"api/unknown-fields-are-refused", "A field that is not known is a 400 that names it.", ofClusters, unknownFieldsAreRefused},
		{"api/patch-merges", "A PATCH is a JSON Merge Patch: null removes, lists are replaced, the rest stays.", ofClusters, patchMerges},
		{"api/names-are-labels", "A name is a label by RFC 1123 of at most 63 characters.", ofClusters, namesAreLabels},
		{"api/name-is-taken-once", "A name is that of one that lives, and free again after its deletion.", ofClusters, nameIsTakenOnce},
		{"api/labels-are-checked", "Labels are those of Kubernetes; a fault names the label.", ofClusters, labelsAreChecked},
		{
			"api/platform-is-checked", "spec.platform.type, where there is one, is 1 to 63 letters, digits and dashes.",
			ofClusters, platformIsChecked,
		},
		{"api/changes-are-checked", "A PUT and a PATCH are checked as a POST is.", ofClusters, changesAreChecked},
	}), ofOne([]promise{
		{
			"api/name-is-free-for-others", "A name is one cluster's of its owner: another owner may have it too.",
			ofClusters, nameIsFreeForOthers,
		},
	}))
}

func generationMovesWithTheSpec(ctx context.Context, p *probe) {
	path := p.path(p.declare(ctx, nil).ID)
	r := p.user.put(ctx, path, text(p.with(`"n":1`))).is(http.StatusOK).shows("generation", 2)
	described := fields{"labels": fields{"a": "b"}, "description": "x", "paused": true, "spec": r.at("spec")}
	r = p.user.put(ctx, path, text(described)).is(http.StatusOK)
	r.shows("generation", 2).shows("labels.a", "b").shows("description", "x").shows("paused", true)
	p.report(ctx, into[resource](r).ID, says(p.controller("a"), 0, v1.ConditionTrue))
	p.user.get(ctx, path).is(http.StatusOK).shows("generation", 2)
}

func equalPutChangesNothing(ctx context.Context, p *probe) {
	r := p.declare(ctx, p.with(`"a":{"b":1,"c":[2]}`))
	same := `{"spec":{"a":{"c":[2.0],"b":1},"platform":{"type":"` + p.platform + `"}}}`
	p.user.put(ctx, p.path(r.ID), same).is(http.StatusOK).
		shows("generation", 1).shows("resource_version", r.ResourceVersion).shows("updated_at", r.UpdatedAt)
}

func parallelPuts(ctx context.Context, p *probe) {
	const n = 6
	path := p.path(p.declare(ctx, nil).ID)
	answers := p.inParallel(n, func(i int) (reply, error) {
		return p.user.try(ctx, http.MethodPut, path, text(p.with(`"n":`+strconv.Itoa(i))))
	})
	generations := make([]int64, n)
	for i, answer := range answers {
		generations[i] = into[resource](answer.is(http.StatusOK)).Generation
	}
	slices.Sort(generations)
	p.expect(slices.Equal(generations, []int64{2, 3, 4, 5, 6, 7}), "generations 2 to 7, each once", generations)
}

// inParallel makes n calls at the same time, all of which must be answered.
func (p *probe) inParallel(n int, call func(i int) (reply, error)) []reply {
	var wg sync.WaitGroup
	answers, errs := make([]reply, n), make([]error, n)
	for i := range n {
		wg.Go(func() { answers[i], errs[i] = call(i) })
	}
	wg.Wait()
	for _, err := range errs {
		p.must(err)
	}
	return answers
}

func ifMatchRefuses(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	path, read := p.path(r.ID), `"`+r.ResourceVersion+`"`
	changed := p.user.patch(ctx, path, `{"description":"a"}`, "If-Match", read).is(http.StatusOK)
	p.user.patch(ctx, path, `{"description":"b"}`, "If-Match", read).refused(v1.CodePreconditionFailed, "If-Match")
	p.report(ctx, r.ID, says(p.controller("a"), 0, v1.ConditionTrue))
	p.user.put(ctx, path, `{"spec":{}}`, "If-Match", changed.header.Get("ETag")).refused(v1.CodePreconditionFailed, "If-Match")
}

func generationRefuses(ctx context.Context, p *probe) {
	id := p.declare(ctx, nil).ID
	p.report(ctx, id, says(p.controller("a"), 0, v1.ConditionTrue))
	p.user.put(ctx, p.path(id), text(fields{"generation": 1, "spec": p.spec(`"n":1`)})).is(http.StatusOK)
	p.user.put(ctx, p.path(id), text(fields{"generation": 1, "spec": p.spec(`"n":2`)})).refused(v1.CodeGenerationConflict, "generation")
	p.user.patch(ctx, p.path(id), `{"generation":1,"spec":{"n":2}}`).refused(v1.CodeGenerationConflict, "generation")
}

func putNeedsASpec(ctx context.Context, p *probe) {
	path := p.path(p.declare(ctx, nil).ID)
	p.user.put(ctx, path, `{"description":"x"}`).refused(v1.CodeInvalidField, "spec")
	p.user.put(ctx, path, `{"spec":null}`).refused(v1.CodeInvalidField, "spec")
}

func putKeeps(ctx context.Context, p *probe) {
	kept := fields{"description": "kept", "labels": fields{"kept": "yes"}, "paused": true, "deletion_protection": true}
	id := p.declare(ctx, kept).ID
	r := p.user.put(ctx, p.path(id), text(p.with(`"n":1`))).is(http.StatusOK).shows("generation", 2)
	for field, value := range kept {
		r.shows(field, value)
	}
}

func readEditWrite(ctx context.Context, p *probe) {
	read := p.user.get(ctx, p.path(p.declare(ctx, nil).ID)).is(http.StatusOK)
	edited := into[fields](read)
	spec, _ := edited["spec"].(fields)
	p.expect(spec != nil, "a spec that is an object", read.String())
	spec["edited"], edited["created_by"] = true, p.Other
	p.user.put(ctx, p.path(text(edited["id"])), text(edited)).is(http.StatusOK).shows("generation", 2).shows("spec.edited", true).
		shows("created_by", read.at("created_by")).shows("created_at", read.at("created_at"))
}

func nameIsForLife(ctx context.Context, p *probe) {
	path := p.path(p.declare(ctx, nil).ID)
	for field, other := range map[string]string{"name": p.name(), "id": unknown, p.kind.place: unknown} {
		p.user.put(ctx, path, text(fields{field: other, "spec": p.spec()})).refused(v1.CodeInvalidField, field)
	}
}

func unknownFieldsAreRefused(ctx context.Context, p *probe) {
	p.user.post(ctx, p.kind.path, p.body(ctx, fields{"colour": "red"})).refused(v1.CodeInvalidField, "colour")
	path := p.path(p.declare(ctx, nil).ID)
	p.user.put(ctx, path, `{"spec":{},"colour":"red"}`).refused(v1.CodeInvalidField, "colour")
	p.user.patch(ctx, path, `{"colour":"red"}`).refused(v1.CodeInvalidField, "colour")
}

func patchMerges(ctx context.Context, p *probe) {
	made := p.with(`"keep":{"x":1,"y":2}`, `"drop":1`, `"list":[1,2,3]`)
	made["labels"] = fields{"a": "1", "b": "2"}
	id := p.declare(ctx, made).ID
	const patch = `{"labels":{"a":null,"c":"3"},"spec":{"drop":null,"keep":{"y":null,"z":3},"list":[4]}}`
	r := p.user.patch(ctx, p.path(id), patch, "Content-Type", "application/merge-patch+json").is(http.StatusOK)
	r.shows("labels", map[string]string{"b": "2", "c": "3"}).shows("spec.drop", nil).shows("spec.list", []int{4})
	r.shows("spec.keep", map[string]int{"x": 1, "z": 3}).shows("spec.platform.type", p.platform).shows("generation", 2)
}

// tries is what POST says to a declaration in a dry run.
func (p *probe) tries(ctx context.Context, more fields) reply {
	return p.user.post(ctx, p.kind.path+"?dry_run=true", p.body(ctx, more))
}

func namesAreLabels(ctx context.Context, p *probe) {
	for _, bad := range []string{"", "Upper", "-a", "a-", "a_b", "a.b", strings.Repeat("a", 64)} {
		p.tries(ctx, fields{"name": bad}).refused(v1.CodeInvalidField, "name")
	}
	p.tries(ctx, fields{"name": strings.Repeat("a", 63)}).is(http.StatusCreated)
}

func nameIsTakenOnce(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	same := p.body(ctx, fields{"name": r.Name})
	p.user.post(ctx, p.kind.path, same).refused(p.kind.nameExists, "name")
	p.remove(ctx, r.ID, "")
	p.user.post(ctx, p.kind.path, same).is(http.StatusCreated)
}

func nameIsFreeForOthers(ctx context.Context, p *probe) {
	same := text(fields{"name": p.declare(ctx, nil).Name, "spec": p.spec()})
	p.other.post(ctx, clusters, same).is(http.StatusCreated).shows("created_by", p.Other)
}

func labelsAreChecked(ctx context.Context, p *probe) {
	p.tries(ctx, fields{"labels": fields{"tier": "-"}}).refused(v1.CodeInvalidField, "labels.tier")
	p.tries(ctx, fields{"labels": fields{"example.com/tier": "web.1_A"}}).is(http.StatusCreated)
}

// platform is a spec that names one.
func platform(name any) fields { return fields{"platform": fields{"type": name}} }

func platformIsChecked(ctx context.Context, p *probe) {
	for _, bad := range []any{"", "a_b", "a b", strings.Repeat("a", 64), 7} {
		p.tries(ctx, fields{"spec": platform(bad)}).refused(v1.CodeInvalidField, "spec.platform.type")
	}
	for _, good := range []string{strings.Repeat("A", 63), "9-Lives"} {
		p.tries(ctx, fields{"spec": platform(good)}).is(http.StatusCreated)
	}
	p.tries(ctx, fields{"spec": fields{}}).is(http.StatusCreated)
}

func changesAreChecked(ctx context.Context, p *probe) {
	r := p.declare(ctx, nil)
	for field, bad := range map[string]fields{
		"labels.tier":        {"labels": fields{"tier": "-"}, "spec": p.spec()},
		"spec.platform.type": {"spec": platform("a_b")},
	} {
		p.user.put(ctx, p.path(r.ID), text(bad)).refused(v1.CodeInvalidField, field)
		p.user.patch(ctx, p.path(r.ID), text(bad)).refused(v1.CodeInvalidField, field)
	}
	p.user.get(ctx, p.path(r.ID)).is(http.StatusOK).shows("resource_version", r.ResourceVersion)
}
