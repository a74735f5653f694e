package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/faultpoint"
)

// probeTimeout bounds how long a dependency is asked for its health: the answer itself
// is due within two seconds.
const probeTimeout = 1500 * time.Millisecond

// health tells the truth about each dependency: the database is asked, Pub/Sub is as
// the latest publish was.
func (p *parts) health(ctx context.Context) v1.Health {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	h := v1.Health{Status: v1.Healthy, Components: map[string]v1.Component{}, Timestamp: faultpoint.Now().UTC()}
	h.Components["pubsub"] = v1.Component{Status: v1.Healthy}
	if ok, why := p.pubsub.Health(); !ok {
		h.Components["pubsub"] = v1.Component{Status: v1.Unhealthy, Message: why}
		h.Status = v1.Degraded
	}
	h.Components["database"] = v1.Component{Status: v1.Healthy}
	if err := p.loops.Ping(ctx); err != nil {
		p.log.WarnContext(ctx, "health: the database does not answer", "error", err)
		h.Components["database"] = v1.Component{Status: v1.Unhealthy, Message: "the database does not answer"}
		h.Status = v1.Unhealthy
	}
	return h
}

var (
	errDraining = errors.New("shutting down")
	errStarting = errors.New("waiting for the database")
)

// ready reports whether the service may take traffic: it is up, not on its way down, and
// the database answers with a schema that this binary can use.
func (p *parts) ready(ctx context.Context) error {
	switch {
	case p.draining.Load():
		return errDraining
	case !p.up.Load():
		return errStarting
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := p.loops.CheckSchema(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}
