package handlers

import (
	"context"
	"errors"
	"net/http"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The words of a probe.
const (
	probeOK       = "ok"
	probeNotReady = "not ready"
)

// InfoOutput says what is running.
type InfoOutput struct{ Body v1.Info }

// GetInfo returns what is running.
func (h *Handlers) GetInfo(context.Context, *Plain) (*InfoOutput, error) {
	return &InfoOutput{Body: h.Info}, nil
}

// HealthOutput is the health of the service, with the status that goes with it.
type HealthOutput struct {
	Status int
	Body   v1.Health
}

// GetHealth returns the health of each dependency.
func (h *Handlers) GetHealth(ctx context.Context, _ *struct{}) (*HealthOutput, error) {
	health := h.Health(ctx)
	out := &HealthOutput{Status: http.StatusOK, Body: health}
	if health.Status == v1.Unhealthy {
		out.Status = http.StatusServiceUnavailable
	}
	return out, nil
}

// ProbeOutput is the answer to a probe.
type ProbeOutput struct {
	Status int
	Body   v1.Probe
}

// GetLive says that the process runs.
func (*Handlers) GetLive(context.Context, *struct{}) (*ProbeOutput, error) {
	return &ProbeOutput{Status: http.StatusOK, Body: v1.Probe{Status: probeOK}}, nil
}

// GetReady says whether the process may take traffic. Of the reason why not, only a
// sentence that is meant for callers is shown; the log has the rest.
func (h *Handlers) GetReady(ctx context.Context, _ *struct{}) (*ProbeOutput, error) {
	err := h.Ready(ctx)
	if err == nil {
		return &ProbeOutput{Status: http.StatusOK, Body: v1.Probe{Status: probeOK}}, nil
	}
	h.Log.DebugContext(ctx, "not ready", "error", err)
	probe := v1.Probe{Status: probeNotReady}
	if e, ok := errors.AsType[*models.Error](err); ok {
		probe.Reason = e.Message
	}
	return &ProbeOutput{Status: http.StatusServiceUnavailable, Body: probe}, nil
}
