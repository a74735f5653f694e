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
	return c, ofRegistry(named.name, err)
}

// registryHint says who may see and change the registry: cls cannot know whom a service takes for one.
const registryHint = "those are the service's CONTROLLER_IDENTITIES (controller@system.local unless it is set), its ADMIN_IDENTITIES, " +
	"and whom a gateway gives the role; --as, CLS_IDENTITY or a context (cls config set-context) says as whom you call"

// ofRegistry is the failure of a call that is about a controller, or about all of them, who have no name. Whoever may not make it is
// told who may.
func ofRegistry(name string, err error) error {
	e, ok := errors.AsType[*client.Error](err)
	switch {
	case errors.Is(err, client.ErrNotFound):
		return missing("controller", name)
	case ok && e.Code == v1.CodeForbidden && e.Details == nil: // With details it is about one controller alone.
		f := refused(e)
		f.hint = registryHint
		return f
	}
	return err
}
