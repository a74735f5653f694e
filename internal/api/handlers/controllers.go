package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/types"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

const (
	controllersPath = "/api/v1/controllers"
	controllerPath  = controllersPath + "/{name}"
)

func (h *Handlers) registerControllers(api huma.API) {
	readers := h.only(api, models.Actor.MayReadControllers)
	huma.Register(api, spec{
		id: "listControllers", method: http.MethodGet, path: controllersPath, tag: tagControllers,
		summary:     "List the controllers",
		description: "Every controller that has registered or reported, in the order of the names. For controllers and administrators.",
		success:     success{http.StatusOK, "The registry", exampleControllers()},
		errors:      []v1.Code{v1.CodeInvalidQuery, v1.CodeForbidden}, only: readers,
	}.operation(), h.ListControllers)
	huma.Register(api, spec{
		id: "getController", method: http.MethodGet, path: controllerPath, tag: tagControllers,
		summary: "Get a controller", description: "What is known of a controller. For controllers and administrators.",
		success: success{http.StatusOK, "The controller", exampleController()},
		errors:  []v1.Code{v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound}, only: readers,
	}.operation(), h.GetController)
	huma.Register(api, spec{
		id: "registerController", method: http.MethodPut, path: controllerPath, tag: tagControllers,
		summary: "Register a controller",
		description: "For controllers: what a controller says of itself. It counts on a resource from that one's next generation on, " +
			"or from the controller's first report there, and holds a deletion that begins afterwards. An entry as it was read is a body; what is " +
			"absent is false or all. Nobody must register; whoever has reported on a resource is waited for there.",
		success: success{http.StatusOK, "The controller", exampleController()},
		errors: []v1.Code{
			v1.CodeInvalidJSON, v1.CodeInvalidField, v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeBodyTooLarge, v1.CodeUnsupportedMediaType,
		},
		only: h.only(api, reporters),
	}.operation(), h.RegisterController)
	huma.Register(api, spec{
		id: "retireController", method: http.MethodDelete, path: controllerPath, tag: tagControllers,
		summary: "Retire a controller",
		description: "For controllers and administrators: nothing waits for the controller any more, no deletion either, " +
			"and its reports count nowhere until it registers again.",
		success: success{http.StatusNoContent, "The controller is retired", nil},
		errors:  []v1.Code{v1.CodeInvalidQuery, v1.CodeForbidden, v1.CodeNotFound},
		only:    h.only(api, retirers),
	}.operation(), h.RetireController)
}

// retirers are those who may retire a controller, which one being known later.
func retirers(by models.Actor) error { return by.MayRetire(by.ControllerName) }

// Named is the part of a request that names a controller.
type Named struct {
	Name string `path:"name"`
}

// ControllerInput is GET /controllers/{name}.
type ControllerInput struct {
	Named
	Plain
}

// RetireInput is DELETE /controllers/{name}.
type RetireInput struct {
	Named
	Mutation
}

// ControllersOutput is the registry.
type ControllersOutput struct{ Body v1.ControllerList }

// ControllerOutput is an entry of it.
type ControllerOutput struct{ Body v1.Controller }

// ListControllers returns the registry of controllers.
func (h *Handlers) ListControllers(ctx context.Context, _ *Plain) (*ControllersOutput, error) {
	list, err := h.Controllers.List(ctx, h.ActorOf(ctx))
	if err != nil {
		return nil, err
	}
	return &ControllersOutput{Body: list}, nil
}

// GetController returns what is known of a controller.
func (h *Handlers) GetController(ctx context.Context, in *ControllerInput) (*ControllerOutput, error) {
	return entry(h.Controllers.Get(ctx, h.ActorOf(ctx), in.Name))
}

func entry(c v1.Controller, err error) (*ControllerOutput, error) {
	if err != nil {
		return nil, err
	}
	return &ControllerOutput{Body: c}, nil
}

// RegisterInput is PUT /controllers/{name}.
type RegisterInput struct {
	Named
	Mutation
	Payload
}

// RegisterController makes a controller known with what it says of itself.
func (h *Handlers) RegisterController(ctx context.Context, in *RegisterInput) (*ControllerOutput, error) {
	body, faults, err := types.DecodeRegistration(in.text)
	if err != nil {
		return nil, notJSON(err)
	}
	all := append(models.ScanJSON(in.text), asFaults(faults)...)
	if len(all) > 0 {
		_, err = models.NewRegistration(body)
		return nil, models.Invalid(v1.CodeInvalidField, withFaultsOf(all, err)...)
	}
	return entry(perform(ctx, h.Controllers, in.dryRun, func(ctx context.Context, use *service.Controllers) (v1.Controller, error) {
		return use.Register(ctx, h.ActorOf(ctx), in.Name, body)
	}))
}

// RetireController ends a controller.
func (h *Handlers) RetireController(ctx context.Context, in *RetireInput) (*struct{}, error) {
	return perform(ctx, h.Controllers, in.dryRun, func(ctx context.Context, use *service.Controllers) (*struct{}, error) {
		return nil, use.Retire(ctx, h.ActorOf(ctx), in.Name)
	})
}
