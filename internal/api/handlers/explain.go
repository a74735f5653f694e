package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func (c *collection[R, L, S]) registerExplain(api huma.API) {
	huma.Register(api, spec{
		id: "explain" + c.name(), method: http.MethodGet, path: memberPath(c.kind) + "/explain", tag: tagStatus,
		summary: "Explain the status of " + c.a(),
		description: "Says in sentences why the " + c.kind.Noun() + " is not Ready, or that it is; who is waited for and why; " +
			"and which event comes next, when, and in which lane. It agrees with the status at the same moment.",
		success: success{http.StatusOK, "The explanation", c.examples.explanation},
		errors:  []v1.Code{v1.CodeInvalidID, v1.CodeInvalidQuery, v1.CodeNotFound},
	}.operation(), c.Explain)
}

// ExplainOutput says why a resource is not Ready.
type ExplainOutput struct{ Body v1.Explanation }

// Explain says why a resource is not Ready, or that it is.
func (c *collection[R, L, S]) Explain(ctx context.Context, in *GetInput) (*ExplainOutput, error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	explained, err := c.use.Explain(ctx, c.ActorOf(ctx), id)
	if err != nil {
		return nil, err
	}
	return &ExplainOutput{Body: explained}, nil
}
