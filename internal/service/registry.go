package service

import (
	"context"
	"sync/atomic"

	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// registry keeps the newest version of the registry of controllers that was asked for. It is safe
// for concurrent use.
type registry struct {
	db   *database.DB
	kept atomic.Pointer[models.Registry]
}

// nearest returns the registry of a version or newer, or if that cannot be read the newest that was:
// for what is shown and not stored, where the change itself is committed already.
func (g *registry) nearest(ctx context.Context, version int64) *models.Registry {
	if fresh, err := g.at(ctx, version); err == nil {
		return fresh
	}
	if kept := g.kept.Load(); kept != nil {
		return kept
	}
	return &models.Registry{}
}

// within returns the same registry for a transaction, which holds a connection and must not wait for
// another. What it reads there stays there.
func (g *registry) within(db *database.DB) *registry {
	inside := &registry{db: db}
	inside.kept.Store(g.kept.Load())
	return inside
}

// at returns the registry of a version or newer.
func (g *registry) at(ctx context.Context, version int64) (*models.Registry, error) {
	if kept := g.kept.Load(); kept != nil && kept.Version >= version {
		return kept, nil
	}
	fresh, err := g.db.Registry(ctx)
	if err != nil {
		return nil, err
	}
	g.kept.Store(fresh) // Of two at a time the older may win; the next call sees to it.
	return fresh, nil
}
