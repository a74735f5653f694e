package middleware

import (
	"context"

	"github.com/cls-backend/cls-backend/internal/models"
)

// Exchange is one request and its answer, as far as the layers around a handler know
// them. It belongs to the goroutine of the request.
type Exchange struct {
	// Actor is the caller. On routes that need no identity it has neither address nor roles.
	Actor models.Actor

	accept  string
	secrets models.Secrets
	failure error

	turnedAway bool // since there was no room for it
}

type exchangeKey struct{}

// From returns the exchange that a request's context belongs to, or nil when the context
// is no request's.
func From(ctx context.Context) *Exchange {
	x, _ := ctx.Value(exchangeKey{}).(*Exchange)
	return x
}

// ActorOf returns the caller of the request that ctx belongs to.
func ActorOf(ctx context.Context) models.Actor {
	if x := From(ctx); x != nil {
		return x.Actor
	}
	return models.Actor{}
}
