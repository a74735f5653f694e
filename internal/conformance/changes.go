package conformance

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func changeChecks() []Check {
	return []Check{
		{
			"api/generation-moves-with-the-spec-only", "The generation moves when the spec changes, and only then.",
			ofClusters, generationMovesWithTheSpec,
		},
		{"api/equal-put-changes-nothing", "A PUT that changes nothing makes no generation and no version.", ofClusters, equalPutChangesNothing},
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
		{"api/put-keeps-what-it-leaves-out", "Labels and description that a PUT leaves out keep their values.", ofClusters, putKeeps},
		{"api/what-was-read-can-be-written", "Fields that are only output are ignored in a PUT.", ofClusters, readEditWrite},
		{"api/name-and-id-are-for-life", "Another name or id in a PUT is a 400 that names it.", ofClusters, nameIsForLife},
		{"api/unknown-fields-are-refused", "A field that is not known is a 400 that names it.", ofClusters, unknownFieldsAreRefused},
		{"api/patch-merges", "A PATCH is a JSON Merge Patch: null removes, lists are replaced, the rest stays.", ofClusters, patchMerges},
		{"api/names-are-labels", "A name is a label by RFC 1123 of at most 63 characters.", ofClusters, namesAreLabels},
		{
			"api/name-is-taken-once", "A name is one living cluster's of its owner, and free again after that one's deletion.",
			ofClusters, nameIsTakenOnce,
		},
		{"api/labels-are-checked", "Labels are those of Kubernetes; a fault names the label.", ofClusters, labelsAreChecked},
		{"api/idempotency-key-repeats-the-answer", "A POST of the same key and body is the same 201, and creates nothing.", ofTrying, keyRepeats},
		{"api/idempotency-key-is-for-one-body", "A key that comes with another body is 422.", ofTrying, keyIsForOneBody},
		{"api/dry-run-does-nothing", "A dry run answers what the call would, and does nothing.", ofTrying, dryRunDoesNothing},
	}
}

func generationMovesWithTheSpec(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	r := p.user.put(ctx, clusters+"/"+c.ID, `{"spec":`+p.spec(`"n":1`).String()+`}`).is(http.StatusOK).shows("generation", 2)
	described := `{"labels":{"a":"b"},"description":"x","paused":true,"spec":` + text(r.at("spec")) + `}`
	p.user.put(ctx, clusters+"/"+c.ID, described).is(http.StatusOK).shows("generation", 2).shows("labels.a", "b")
	p.report(ctx, c.ID, says(p.controller("a"), 0, v1.ConditionTrue))
	p.expect(p.look(ctx, c.ID).Generation == 2, "generation 2 after a report", p.look(ctx, c.ID))
}

func equalPutChangesNothing(ctx context.Context, p *probe) {
	c := p.cluster(ctx, `"a":{"b":1,"c":[2]}`)
	same := `{"spec":{"a":{"c":[2.0],"b":1},"platform":{"type":"` + p.platform + `"}}}`
	p.user.put(ctx, clusters+"/"+c.ID, same).is(http.StatusOK).
		shows("generation", 1).shows("resource_version", c.ResourceVersion).shows("updated_at", c.UpdatedAt)
}

func parallelPuts(ctx context.Context, p *probe) {
	const n = 6
	c := p.cluster(ctx)
	var wg sync.WaitGroup
	generations, errs := make([]int64, n), make([]error, n)
	for i := range n {
		wg.Go(func() {
			var answer v1.Cluster
			answer, errs[i] = p.user.UpdateCluster(ctx, c.ID, v1.UpdateCluster{Spec: p.spec(`"n":` + strconv.Itoa(i))})
			generations[i] = answer.Generation
		})
	}
	wg.Wait()
	for _, err := range errs {
		p.must(err)
	}
	slices.Sort(generations)
	p.expect(slices.Equal(generations, []int64{2, 3, 4, 5, 6, 7}), "generations 2 to 7, each once", generations)
}

func ifMatchRefuses(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	path, read := clusters+"/"+c.ID, `"`+c.ResourceVersion+`"`
	changed := p.user.patch(ctx, path, `{"description":"a"}`, "If-Match", read).is(http.StatusOK)
	p.user.patch(ctx, path, `{"description":"b"}`, "If-Match", read).refused(v1.CodePreconditionFailed, "If-Match")
	p.report(ctx, c.ID, says(p.controller("a"), 0, v1.ConditionTrue))
	p.user.put(ctx, path, `{"spec":{}}`, "If-Match", changed.header.Get("ETag")).refused(v1.CodePreconditionFailed, "If-Match")
}

func generationRefuses(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	path := clusters + "/" + c.ID
	p.report(ctx, c.ID, says(p.controller("a"), 0, v1.ConditionTrue))
	p.user.put(ctx, path, `{"generation":1,"spec":`+p.spec(`"n":1`).String()+`}`).is(http.StatusOK)
	p.user.put(ctx, path, `{"generation":1,"spec":`+p.spec(`"n":2`).String()+`}`).refused(v1.CodeGenerationConflict, "generation")
	p.user.patch(ctx, path, `{"generation":1,"spec":{"n":2}}`).refused(v1.CodeGenerationConflict, "generation")
}

func putNeedsASpec(ctx context.Context, p *probe) {
	path := clusters + "/" + p.cluster(ctx).ID
	p.user.put(ctx, path, `{"description":"x"}`).refused(v1.CodeInvalidField, "spec")
	p.user.put(ctx, path, `{"spec":null}`).refused(v1.CodeInvalidField, "spec")
}

func putKeeps(ctx context.Context, p *probe) {
	c := got[v1.Cluster](p)(p.user.CreateCluster(ctx, v1.CreateCluster{
		Name: p.name(), Description: "kept", Labels: map[string]string{"kept": "yes"}, Paused: true, Spec: p.spec(),
	}))
	p.user.put(ctx, clusters+"/"+c.ID, `{"spec":`+p.spec(`"n":1`).String()+`}`).is(http.StatusOK).
		shows("generation", 2).shows("description", "kept").shows("labels.kept", "yes").shows("paused", true)
}

func readEditWrite(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	read := p.user.get(ctx, clusters+"/"+c.ID).is(http.StatusOK)
	edited := strings.Replace(string(read.body), `"spec":{`, `"spec":{"edited":true,`, 1)
	edited = strings.Replace(edited, `"created_by":"`, `"created_by":"not.`, 1)
	p.user.put(ctx, clusters+"/"+c.ID, edited).is(http.StatusOK).
		shows("generation", 2).shows("spec.edited", true).shows("created_by", c.CreatedBy).shows("created_at", c.CreatedAt)
}

func nameIsForLife(ctx context.Context, p *probe) {
	path := clusters + "/" + p.cluster(ctx).ID
	p.user.put(ctx, path, `{"name":"`+p.name()+`","spec":{}}`).refused(v1.CodeInvalidField, "name")
	p.user.put(ctx, path, `{"id":"00000000-0000-7000-8000-000000000000","spec":{}}`).refused(v1.CodeInvalidField, "id")
}

func unknownFieldsAreRefused(ctx context.Context, p *probe) {
	p.user.post(ctx, clusters, `{"name":"`+p.name()+`","colour":"red"}`).refused(v1.CodeInvalidField, "colour")
	path := clusters + "/" + p.cluster(ctx).ID
	p.user.put(ctx, path, `{"spec":{},"colour":"red"}`).refused(v1.CodeInvalidField, "colour")
	p.user.patch(ctx, path, `{"colour":"red"}`).refused(v1.CodeInvalidField, "colour")
}

func patchMerges(ctx context.Context, p *probe) {
	c := got[v1.Cluster](p)(p.user.CreateCluster(ctx, v1.CreateCluster{
		Name: p.name(), Labels: map[string]string{"a": "1", "b": "2"}, Spec: p.spec(`"keep":{"x":1,"y":2}`, `"drop":1`, `"list":[1,2,3]`),
	}))
	const patch = `{"labels":{"a":null,"c":"3"},"spec":{"drop":null,"keep":{"y":null,"z":3},"list":[4]}}`
	r := p.user.patch(ctx, clusters+"/"+c.ID, patch, "Content-Type", "application/merge-patch+json").is(http.StatusOK)
	r.shows("labels", map[string]string{"b": "2", "c": "3"}).shows("spec.drop", nil).shows("spec.list", []int{4})
	r.shows("spec.keep", map[string]int{"x": 1, "z": 3}).shows("spec.platform.type", p.platform).shows("generation", 2)
}

func namesAreLabels(ctx context.Context, p *probe) {
	for _, bad := range []string{"", "Upper", "-a", "a-", "a_b", "a.b", strings.Repeat("a", 64)} {
		p.user.post(ctx, clusters+"?dry_run=true", `{"name":"`+bad+`"}`).refused(v1.CodeInvalidField, "name")
	}
	p.user.post(ctx, clusters+"?dry_run=true", `{"name":"`+strings.Repeat("a", 63)+`"}`).is(http.StatusCreated)
}

func nameIsTakenOnce(ctx context.Context, p *probe) {
	c := p.cluster(ctx)
	same := `{"name":"` + c.Name + `","spec":` + p.spec().String() + `}`
	p.user.post(ctx, clusters, same).refused(v1.CodeClusterNameExists, "name")
	p.other.post(ctx, clusters+"?dry_run=true", same).is(http.StatusCreated)
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, c.ID))
	p.user.post(ctx, clusters, same).is(http.StatusCreated)
}

func labelsAreChecked(ctx context.Context, p *probe) {
	p.user.post(ctx, clusters+"?dry_run=true", `{"name":"`+p.name()+`","labels":{"tier":"-"}}`).refused(v1.CodeInvalidField, "labels.tier")
	p.user.post(ctx, clusters+"?dry_run=true", `{"name":"`+p.name()+`","labels":{"example.com/tier":"web.1_A"}}`).is(http.StatusCreated)
}

func keyRepeats(ctx context.Context, p *probe) {
	name := p.name()
	body := `{"name":"` + name + `","spec":` + p.spec().String() + `}`
	first := p.user.post(ctx, clusters, body, "Idempotency-Key", name).is(http.StatusCreated)
	second := p.user.post(ctx, clusters, " "+strings.ReplaceAll(body, ",", " , "), "Idempotency-Key", name).is(http.StatusCreated)
	second.shows("", first.at("")).has("ETag", first.header.Get("ETag"))
	p.user.list(ctx, "name", name).is(http.StatusOK).shows("total", 1)
}

func keyIsForOneBody(ctx context.Context, p *probe) {
	name := p.name()
	p.user.post(ctx, clusters, `{"name":"`+name+`","spec":`+p.spec().String()+`}`, "Idempotency-Key", name).is(http.StatusCreated)
	p.user.post(ctx, clusters, `{"name":"`+p.name()+`","spec":`+p.spec().String()+`}`, "Idempotency-Key", name).
		refused(v1.CodeIdempotencyKeyReused, "")
}

func dryRunDoesNothing(ctx context.Context, p *probe) {
	name := p.name()
	tried := got[v1.Cluster](p)(p.user.CreateCluster(ctx, v1.CreateCluster{Name: name, Spec: p.spec()}, client.DryRun()))
	p.expect(tried.Name == name && tried.Generation == 1, "the cluster as it would be", tried)
	p.user.list(ctx, "name", name).is(http.StatusOK).shows("total", 0)
	c := p.cluster(ctx)
	tried = got[v1.Cluster](p)(p.user.PatchCluster(ctx, c.ID, v1.Object(`{"spec":{"n":1}}`), client.DryRun()))
	p.expect(tried.Generation == 2, "generation 2 as it would be", tried)
	got[v1.Deletion](p)(p.user.DeleteCluster(ctx, c.ID, client.DryRun()))
	p.expect(p.look(ctx, c.ID).ResourceVersion == c.ResourceVersion, "the version "+c.ResourceVersion+" still", p.look(ctx, c.ID))
}
