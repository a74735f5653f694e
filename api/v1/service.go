package v1

import "time"

// Info is the answer to GET /api/v1/info.
type Info struct {
	Service     string `json:"service"`
	Version     string `json:"version"`
	GitCommit   string `json:"git_commit"`
	BuildTime   string `json:"build_time"`
	APIVersion  string `json:"api_version"`
	Environment string `json:"environment"`
}

// The values of [Health].Status and of its components.
const (
	Healthy   = "healthy"
	Degraded  = "degraded"
	Unhealthy = "unhealthy"
)

// Health is the answer to GET /health. It is unhealthy (503) without the database, and
// degraded (200) without Pub/Sub, since the API still works and no event is lost.
type Health struct {
	Status     string               `json:"status"`
	Components map[string]Component `json:"components"`
	Timestamp  time.Time            `json:"timestamp"`
}

// Component is the health of one thing that the service depends on.
type Component struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// Probe is the answer to GET /livez and /readyz.
type Probe struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}
