package handlers

import (
	"context"
	"log/slog"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// Options are what the handlers need.
type Options struct {
	Clusters    *service.Resources
	NodePools   *service.Resources
	Controllers *service.Controllers
	Info        v1.Info
	// Secrets keep the values of redacted fields out of errors.
	Secrets models.Secrets
	// ActorOf returns the caller of the request that a context belongs to.
	ActorOf func(context.Context) models.Actor
	// Health says how the dependencies are, Ready whether the service may take traffic.
	Health func(context.Context) v1.Health
	Ready  func(context.Context) error
	Log    *slog.Logger
}

// Handlers answer the calls of the API. They are safe for concurrent use.
type Handlers struct{ Options }

// New returns the handlers.
func New(o Options) *Handlers { return &Handlers{Options: o} }
