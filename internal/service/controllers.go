package service

import (
	"context"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Controllers are the use cases of the registry of controllers. It is safe for concurrent use.
type Controllers struct{ db *database.DB }

// NewControllers returns the use cases over a database.
func NewControllers(db *database.DB) *Controllers { return &Controllers{db: db} }

// Rehearse makes a call, and takes back whatever it has done, as [Resources.Rehearse] does.
func (s *Controllers) Rehearse(ctx context.Context, call func(ctx context.Context, rehearsed *Controllers) error) error {
	return s.db.Rehearse(ctx, func(ctx context.Context, db *database.DB) error { return call(ctx, NewControllers(db)) })
}

// Register makes a controller known with what it says of itself, or changes that. It counts on a
// resource from that one's next generation on, or from the controller's first report there. The same again
// is a heartbeat.
func (s *Controllers) Register(ctx context.Context, by models.Actor, name string, in v1.RegisterController) (v1.Controller, error) {
	if err := by.MayReport(name); err != nil {
		return v1.Controller{}, err
	}
	if err := models.CheckControllerName(name); err != nil {
		return v1.Controller{}, err
	}
	registration, err := models.NewRegistration(in)
	if err != nil {
		return v1.Controller{}, err
	}
	if known, err := s.db.HearController(ctx, name, registration); err != nil || known {
		return s.entryUnless(ctx, name, err)
	}
	err = s.db.ChangeController(ctx, name, func(stored *models.Controller, now time.Time) (models.Controller, bool, error) {
		if stored == nil {
			stored = &models.Controller{Name: name}
		}
		next, moved := stored.Register(registration, now)
		return next, moved, nil
	})
	return s.entryUnless(ctx, name, err)
}

// Retire ends a controller: nothing waits for it and its reports count nowhere, until it registers
// again. NOT_FOUND for one that nobody knows.
func (s *Controllers) Retire(ctx context.Context, by models.Actor, name string) error {
	if err := by.MayRetire(name); err != nil {
		return err
	}
	name = models.SanitizeText(name)
	return s.db.ChangeController(ctx, name, func(stored *models.Controller, now time.Time) (models.Controller, bool, error) {
		if stored == nil {
			return models.Controller{}, false, models.NoController(name)
		}
		if stored.RetiredAt != nil {
			return *stored, false, nil
		}
		return stored.Retire(now), true, nil
	})
}

// Get returns the entry of a controller; NOT_FOUND for one that nobody knows.
func (s *Controllers) Get(ctx context.Context, by models.Actor, name string) (v1.Controller, error) {
	if err := by.MayReadControllers(); err != nil {
		return v1.Controller{}, err
	}
	return s.entry(ctx, name)
}

// entryUnless is the answer to a change that may have failed.
func (s *Controllers) entryUnless(ctx context.Context, name string, err error) (v1.Controller, error) {
	if err != nil {
		return v1.Controller{}, err
	}
	return s.entry(ctx, name)
}

func (s *Controllers) entry(ctx context.Context, name string) (v1.Controller, error) {
	name = models.SanitizeText(name) // As its reports were kept.
	list, err := s.db.Controllers(ctx, &name)
	if err != nil {
		return v1.Controller{}, err
	}
	if len(list) == 0 {
		return v1.Controller{}, models.NoController(name)
	}
	return list[0], nil
}

// List returns the registry.
func (s *Controllers) List(ctx context.Context, by models.Actor) (v1.ControllerList, error) {
	if err := by.MayReadControllers(); err != nil {
		return v1.ControllerList{}, err
	}
	list, err := s.db.Controllers(ctx, nil)
	return v1.ControllerList{Controllers: list}, err
}
