package client

import (
	"context"
	"net/http"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// GetInfo returns what is running.
func (c *Client) GetInfo(ctx context.Context) (v1.Info, error) {
	return call[v1.Info](ctx, c, newRequest(http.MethodGet, nil, nil, "info"))
}

// GetHealth returns the health of the service. One that is unhealthy is an answer and no error.
func (c *Client) GetHealth(ctx context.Context) (v1.Health, error) {
	return call[v1.Health](ctx, c, probe("/health"))
}

// GetLive returns whether the process can answer at all.
func (c *Client) GetLive(ctx context.Context) (v1.Probe, error) {
	return call[v1.Probe](ctx, c, probe("/livez"))
}

// GetReady returns whether the process may take traffic. That it may not is an answer and no error.
func (c *Client) GetReady(ctx context.Context) (v1.Probe, error) {
	return call[v1.Probe](ctx, c, probe("/readyz"))
}

// probe is a call that is made once: what it asks is how things are now.
func probe(path string) request {
	r := newRequest(http.MethodGet, nil, nil)
	r.path, r.repeatable, r.spoken = path, false, []int{http.StatusServiceUnavailable}
	return r
}
