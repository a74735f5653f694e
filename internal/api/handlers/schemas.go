package handlers

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Tags returns the groups of calls with what they are for.
func Tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: tagClusters, Description: "Clusters: declare, change, delete, wake"},
		{Name: tagNodePools, Description: "Node pools of clusters: the same"},
		{Name: tagStatus, Description: "What the controllers make of a cluster or a node pool"},
		{Name: tagControllers, Description: "The registry of controllers"},
		{Name: tagService, Description: "The service itself"},
	}
}

// Alias tells the registry that a v1.Object is a free object, before any schema is made.
func Alias(r huma.Registry) {
	r.RegisterTypeAlias(reflect.TypeFor[v1.Object](), reflect.TypeFor[map[string]any]())
}

// Describe completes a document that every call has been added to: the bodies of
// requests, and what Go's types do not say of their fields.
func Describe(d *huma.OpenAPI) {
	r := d.Components.Schemas
	d.Components.Examples = errorExamples()
	bodies[v1.CreateCluster, v1.UpdateCluster, v1.PatchCluster](d, models.KindCluster, clusterExamples())
	bodies[v1.CreateNodePool, v1.UpdateNodePool, v1.PatchNodePool](d, models.KindNodePool, nodePoolExamples())
	d.Paths[controllerPath].Put.RequestBody = body[v1.RegisterController](r, exampleRegistration())
	schema[v1.ErrorBody](r)
	schema[v1.Problem](r)
	for name, s := range r.Map() {
		open(s)
		explain(name, s)
	}
	for path, item := range d.Paths {
		identify(path, item)
		complete(item.Get)
	}
	for _, kind := range []string{"Cluster", "NodePool"} {
		closed(r, "Create"+kind, "id", "generation")
		closed(r, "Update"+kind)
		closed(r, "Patch"+kind)
	}
}

// bodies describes the bodies of the requests on a kind: a POST, a PUT, a PATCH, a report.
func bodies[Create, Update, Patch any](d *huma.OpenAPI, kind models.Kind, of examples) {
	r, member := d.Components.Schemas, d.Paths[memberPath(kind)]
	d.Paths[collectionPath(kind)].Post.RequestBody = body[Create](r, of.create)
	member.Put.RequestBody = body[Update](r, of.update)
	member.Patch.RequestBody = patchBody[Patch](r, of.patch)
	d.Paths[memberPath(kind)+"/status"].Put.RequestBody = body[v1.StatusReport](r, exampleReport())
}

func schema[T any](r huma.Registry) *huma.Schema { return r.Schema(reflect.TypeFor[T](), true, "") }

func body[T any](r huma.Registry, example any) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{mediaJSON: {Schema: schema[T](r), Example: example}}}
}

// patchBody takes a merge patch under its own media type as well.
func patchBody[T any](r huma.Registry, example any) *huma.RequestBody {
	b := body[T](r, example)
	b.Content[mediaMergePatch] = b.Content[mediaJSON]
	return b
}

// open lets a schema have more fields than it names, since answers grow, and takes out
// the nulls that huma allows for every pointer: an absent field is left out.
func open(s *huma.Schema) {
	s.AdditionalProperties = nil
	for _, p := range s.Properties {
		p.Nullable = false
	}
}

// closed makes a request refuse what it does not know, and lets null stand for absent.
// Fields of a cluster that only answers have may be sent back.
func closed(r huma.Registry, name string, more ...string) {
	s := r.Map()[name]
	s.AdditionalProperties = false
	for field, p := range s.Properties {
		p.Nullable = p.Ref == "" && !slices.Contains(s.Required, field)
	}
	for _, field := range append(more, "created_by", "resource_version", "status", "created_at", "updated_at", "deletion_timestamp") {
		s.Properties[field] = &huma.Schema{ReadOnly: true, Description: "Accepted and ignored: only answers say it"}
	}
}

// complete gives an answer that fails with the body of a success that body's schema.
func complete(op *huma.Operation) {
	if op == nil {
		return
	}
	for _, response := range op.Responses {
		if c := response.Content[mediaJSON]; c != nil && c.Schema == nil {
			c.Schema = op.Responses["200"].Content[mediaJSON].Schema
		}
	}
}

// identify describes the parameter that names a resource.
func identify(path string, item *huma.PathItem) {
	of, id := "The id of the cluster", exampleID
	if strings.HasPrefix(path, collectionPath(models.KindNodePool)) {
		of, id = "The id of the node pool", examplePoolID
	}
	for _, op := range []*huma.Operation{item.Get, item.Put, item.Patch, item.Post, item.Delete} {
		if op == nil {
			continue
		}
		for _, p := range op.Parameters {
			switch {
			case p.Name == "controller_name", p.Name == "name" && p.In == "path":
				p.Description, p.Example = "The name under which the controller reports", "dns"
			case p.In == "path":
				p.Description, p.Schema, p.Example = of, &huma.Schema{Type: huma.TypeString, Format: "uuid"}, id
			}
		}
	}
}

// explain adds to the fields of a schema their meaning and their form.
func explain(name string, s *huma.Schema) {
	s.Description = meanings[name][""]
	for field, p := range s.Properties {
		if p.Ref != "" {
			s.Properties[field] = &huma.Schema{AllOf: []*huma.Schema{{Ref: p.Ref}}, Description: meanings[name][field]}
			continue
		}
		p.Description = meanings[name][field]
		if values, ok := enums()[name+"."+field]; ok {
			p.Enum = values
		}
		if format, ok := formats[field]; ok && p.Type == huma.TypeString && p.Format == "" {
			p.Format = format
		}
	}
}

// formats are the same wherever a field of that name is.
var formats = map[string]string{ //nolint:gochecknoglobals // a constant table
	"id": "uuid", "cluster_id": "uuid", "nodepool_id": "uuid", "user_email": "email", "event_id": "uuid", "created_by": "email",
}

func enums() map[string][]any {
	var phases, codes []any
	for _, phase := range v1.Phases() {
		phases = append(phases, string(phase))
	}
	for _, code := range slices.Sorted(maps.Keys(v1.Codes())) {
		codes = append(codes, string(code))
	}
	conditions := []any{string(v1.ConditionTrue), string(v1.ConditionFalse), string(v1.ConditionUnknown)}
	health := []any{v1.Healthy, v1.Degraded, v1.Unhealthy}
	return map[string][]any{
		"Status.phase": phases, "Condition.status": conditions, "ReportedCondition.status": conditions,
		"ErrorBody.code": codes, "Problem.code": codes, "Health.status": health, "Component.status": health,
		"Explanation.phase": phases,
		"WaitedFor.why":     {v1.WaitFinalizer, v1.WaitNeverReported, v1.WaitBehindGeneration, v1.WaitError, v1.WaitNotAvailable},
		"NextEvent.type":    {v1.ClusterReconcile, v1.ClusterDeleted, v1.NodePoolReconcile, v1.NodePoolDeleted},
		"NextEvent.lane":    {v1.ReasonAttention, v1.ReasonStable, v1.ReasonReactive},
		"Problem.title":     titles(), "TimelineEntry.what": {v1.TimelineChange, v1.TimelinePublication, v1.TimelineReport},
	}
}

func titles() []any {
	seen := map[string]bool{}
	for code := range v1.Codes() {
		seen[http.StatusText(code.HTTPStatus())] = true
	}
	var all []any
	for _, title := range slices.Sorted(maps.Keys(seen)) {
		all = append(all, title)
	}
	return all
}
