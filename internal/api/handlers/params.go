package handlers

import (
	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

const schemaPrefix = "#/components/schemas/"

func listParams() []*huma.Param {
	least, most, none := 1.0, float64(models.MaxLimit), 0.0
	phases := make([]any, 0, len(v1.Phases()))
	for _, phase := range v1.Phases() {
		phases = append(phases, string(phase))
	}
	return []*huma.Param{
		query("limit", "How many clusters a page has at most", &huma.Schema{
			Type: huma.TypeInteger, Minimum: &least, Maximum: &most, Default: models.DefaultLimit,
		}),
		query("offset", "How many matches to skip", &huma.Schema{Type: huma.TypeInteger, Minimum: &none, Default: 0}),
		query("status", "Only clusters in this phase", &huma.Schema{Type: huma.TypeString, Enum: phases}),
		query("platform", "Only clusters whose spec.platform.type is this, whatever the case", text(`^[A-Za-z0-9-]{1,63}$`)),
		query("name", "Only clusters of this name", text(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)),
		query("created_by", "Only clusters of this creator; a user may name the own address only", &huma.Schema{
			Type: huma.TypeString, Format: "email",
		}),
		query("label_selector", "Only clusters that this Kubernetes label selector matches, such as env=prod,tier!=test", text("")),
		query("total", "exact counts matches beyond 1,000", &huma.Schema{Type: huma.TypeString, Enum: []any{"exact"}}),
	}
}

func deleteParams() []*huma.Param {
	most := 1024
	return []*huma.Param{
		query("force", "Whether to wait for no controller", &huma.Schema{Type: huma.TypeBoolean, Default: false}),
		query("reason", "Why, in words", &huma.Schema{Type: huma.TypeString, MaxLength: &most}),
	}
}

func ifMatchParam() *huma.Param {
	return &huma.Param{
		Name: "If-Match", In: "header", Schema: text(""), Example: `"7"`,
		Description: "Entity tags (RFC 9110): the call is refused when the cluster has changed since, by a report too",
	}
}

func query(name, description string, schema *huma.Schema) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema}
}

func text(pattern string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Pattern: pattern} }
