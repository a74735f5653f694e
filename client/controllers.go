package client

import (
	"context"
	"net/http"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// ListControllers returns the registry of controllers. For controllers and administrators.
func (c *Client) ListControllers(ctx context.Context) (v1.ControllerList, error) {
	return call[v1.ControllerList](ctx, c, newRequest(http.MethodGet, nil, nil, "controllers"))
}

// GetController returns an entry of the registry. For controllers and administrators.
func (c *Client) GetController(ctx context.Context, name string) (v1.Controller, error) {
	return call[v1.Controller](ctx, c, newRequest(http.MethodGet, nil, nil, "controllers", name))
}

// RegisterController says what a controller works on, or says it anew. For controllers and administrators. It may be
// repeated. Takes [DryRun].
func (c *Client) RegisterController(
	ctx context.Context, name string, body v1.RegisterController, options ...Option,
) (v1.Controller, error) {
	r := newRequest(http.MethodPut, nil, body, "controllers", name)
	r.repeatable = true
	return call[v1.Controller](ctx, c, r, options...)
}

// RetireController has the reports of a controller count nowhere, until it registers again. For controllers and
// administrators. Takes [DryRun].
func (c *Client) RetireController(ctx context.Context, name string, options ...Option) error {
	_, err := call[struct{}](ctx, c, newRequest(http.MethodDelete, nil, nil, "controllers", name), options...)
	return err
}
