package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/middleware"
	"github.com/cls-backend/cls-backend/internal/models"
)

// setGlobals sets what huma and gin keep in variables of their packages. They hold no
// state of ours, so two servers in one process do not meet there; setting them once
// keeps the second from racing with the requests of the first.
var setGlobals = sync.OnceFunc(func() { //nolint:gochecknoglobals // see above
	gin.SetMode(gin.ReleaseMode)
	huma.DefaultArrayNullable = false
	huma.NewErrorWithContext = failure
})

// failure makes the answer to whatever huma or a handler found wrong.
func failure(ctx huma.Context, _ int, message string, errs ...error) huma.StatusError {
	f := exchange(ctx.Context()).Fail(cause(message, errs))
	if f.RetryAfter != "" {
		ctx.SetHeader("Retry-After", f.RetryAfter)
	}
	return f
}

// exchange returns that of the request. Only huma's set-up asks outside of one.
func exchange(ctx context.Context) *middleware.Exchange {
	if x := middleware.From(ctx); x != nil {
		return x
	}
	return &middleware.Exchange{}
}

// cause picks the error to answer: the first in the service's vocabulary, else the first.
// huma itself finds nothing wrong, since forms are checked by our own resolvers.
func cause(message string, errs []error) error {
	for _, err := range errs {
		if _, ok := errors.AsType[*models.Error](err); ok {
			return err
		}
	}
	return &models.Error{Code: v1.CodeInternal, Message: message, Err: errors.Join(errs...)}
}

// writeJSON writes a body that is JSON already as it is, and encodes any other.
func writeJSON(w io.Writer, body any) error {
	if ready, ok := body.(interface{ JSON() []byte }); ok {
		send(w, ready.JSON())
		return nil
	}
	text, err := json.Marshal(body)
	if err == nil {
		send(w, text)
	}
	return err
}

// send writes a whole body and says its length before, as net/http does by itself for the shortest only: so HEAD tells it
// too, and nothing is cut into chunks. That the caller has left meanwhile is no failure.
func send(w io.Writer, text []byte) {
	if answer, ok := w.(http.ResponseWriter); ok {
		answer.Header().Set("Content-Length", strconv.Itoa(len(text)))
	}
	_, _ = w.Write(text)
}
