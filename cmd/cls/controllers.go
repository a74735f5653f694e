package main

import (
	"context"
	"errors"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// controller returns the entry of the registry that an argument names.
func (s *session) controller(ctx context.Context, named ref) (v1.Controller, error) {
	if named.kind != "controllers" {
		return v1.Controller{}, usage("get each kind for itself", "%s are no controllers", named.kind)
	}
	c, err := s.api.GetController(ctx, named.name)
	if errors.Is(err, client.ErrNotFound) {
		err = missing("controller", named.name)
	}
	return c, err
}
