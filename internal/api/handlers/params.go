package handlers

import (
	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

const schemaPrefix = "#/components/schemas/"

func listParams(kind models.Kind) []*huma.Param {
	those := kind.Noun() + "s"
	least, most, none := 1.0, float64(models.MaxLimit), 0.0
	return []*huma.Param{
		query("limit", "How many "+those+" a page has at most", &huma.Schema{
			Type: huma.TypeInteger, Minimum: &least, Maximum: &most, Default: models.DefaultLimit,
		}),
		query("offset", "How many matches to skip", &huma.Schema{Type: huma.TypeInteger, Minimum: &none, Default: 0}),
		query("order_by", "What "+those+" are ordered by, from the least; with a '-' from the greatest. Ties are broken by id", &huma.Schema{
			Type: huma.TypeString, Enum: anyOf(models.Orders()), Default: string(models.NewestFirst),
		}),
		query("page_token", "The next_page_token of the page before, with the same filters and order_by; not together with offset", text("")),
		query("status", "Only "+those+" in this phase", &huma.Schema{Type: huma.TypeString, Enum: anyOf(v1.Phases())}),
		query("platform", "Only "+those+" whose spec.platform.type is this, whatever the case", text(`^[A-Za-z0-9-]{1,63}$`)),
		query("name", "Only "+those+" of this name", text(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)),
		query("created_by", "Only "+those+" of this creator; a user may name the own address only", &huma.Schema{
			Type: huma.TypeString, Format: "email",
		}),
		query("label_selector", "Only "+those+" that this Kubernetes label selector matches, such as env=prod,tier!=test", text("")),
		query("total", "exact counts matches beyond 1,000", &huma.Schema{Type: huma.TypeString, Enum: []any{"exact"}}),
	}
}

// clusterParams are the two names of the filter by cluster.
func clusterParams() []*huma.Param {
	id := &huma.Schema{Type: huma.TypeString, Format: "uuid"}
	return []*huma.Param{
		query("cluster_id", "Only node pools of this cluster", id),
		query("clusterId", "Another name of cluster_id; give one of them", id),
	}
}

func deleteParams() []*huma.Param {
	most := 1024
	return []*huma.Param{
		query("force", "Whether to wait for no controller any more. Of a resource that is not yet being deleted it begins the ordinary deletion",
			&huma.Schema{Type: huma.TypeBoolean, Default: false}),
		query("reason", "Why it is forced, in words; kept with who forced it", &huma.Schema{Type: huma.TypeString, MaxLength: &most}),
	}
}

func historyParams() []*huma.Param {
	least, most := 1.0, float64(models.MaxLimit)
	return []*huma.Param{
		query("limit", "How many entries a page has at most", &huma.Schema{
			Type: huma.TypeInteger, Minimum: &least, Maximum: &most, Default: models.DefaultLimit,
		}),
		query("page_token", "The next_page_token of the page before", text("")),
	}
}

func toParam() *huma.Param {
	least := 1.0
	p := query("to", "The generation whose spec it is to have", &huma.Schema{Type: huma.TypeInteger, Minimum: &least})
	p.Required, p.Example = true, 1
	return p
}

func idempotencyParam() *huma.Param {
	least, most := 1, 255
	return &huma.Param{
		Name: "Idempotency-Key", In: "header", Example: "8c1f6f1e-orders",
		Schema: &huma.Schema{Type: huma.TypeString, MinLength: &least, MaxLength: &most},
		Description: "Makes the call one that may be repeated: the same key and body within 24 hours get the same 201 again, and create " +
			"nothing. Keys are the caller's own. While the first call is under way a second one waits, up to 10 seconds; then it is " +
			"REQUEST_IN_FLIGHT, with Retry-After. A dry run neither reads nor keeps a key",
	}
}

func dryRunParam() *huma.Param {
	return query("dry_run", "Whether to answer as the call would be answered, and do nothing",
		&huma.Schema{Type: huma.TypeBoolean, Default: false})
}

func ifMatchParam() *huma.Param {
	return &huma.Param{
		Name: "If-Match", In: "header", Schema: text(""), Example: `"7"`,
		Description: "Entity tags (RFC 9110): the call is refused when the resource has changed since, by a report too",
	}
}

func anyOf[T ~string](values []T) []any {
	list := make([]any, 0, len(values))
	for _, v := range values {
		list = append(list, string(v))
	}
	return list
}

func query(name, description string, schema *huma.Schema) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema}
}

func text(pattern string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Pattern: pattern} }
