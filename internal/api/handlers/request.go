package handlers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/types"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The media types of requests: of all of them, and also of a PATCH (RFC 7396, section 4).
const (
	mediaJSON       = "application/json"
	mediaMergePatch = "application/merge-patch+json"
)

// Resource is the part of a request that names a cluster or a node pool.
type Resource struct {
	ID string `path:"id"`
}

// resourceID returns the id in its canonical form: lower case, with dashes. All else is INVALID_ID.
func (r Resource) resourceID() (string, error) {
	id := strings.ToLower(r.ID)
	if !models.IsID(id) {
		return "", models.Invalid(v1.CodeInvalidID, models.Fault{Field: "id", Reason: "must be a UUID", Value: r.ID})
	}
	return id, nil
}

// Plain is the part of a request without parameters: any is a fault.
type Plain struct{}

// Resolve implements huma's Resolver.
func (*Plain) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	return invalidQuery(types.ParseNoQuery(u.RawQuery))
}

// Mutation is the query of a call that changes something.
type Mutation struct{ dryRun bool }

// Resolve implements huma's Resolver.
func (m *Mutation) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	var faults []v1.FieldError
	m.dryRun, faults = types.ParseMutation(u.RawQuery)
	return invalidQuery(faults)
}

// Idempotency is the Idempotency-Key header, after the draft of the IETF's HTTPAPI working group.
type Idempotency struct{ keys []string }

// Resolve implements huma's Resolver.
func (i *Idempotency) Resolve(ctx huma.Context) []error {
	ctx.EachHeader(func(name, value string) {
		if name == "Idempotency-Key" {
			i.keys = append(i.keys, value)
		}
	})
	if len(i.keys) > 1 {
		return []error{models.Invalid(v1.CodeInvalidField, models.Fault{Field: "Idempotency-Key", Reason: "is given more than once"})}
	}
	return nil
}

// once returns the key, and whether there is one.
func (i *Idempotency) once() (string, bool) {
	if len(i.keys) == 0 {
		return "", false
	}
	return i.keys[0], true
}

// rehearser are use cases that can be tried without effect.
type rehearser[U any] interface {
	Rehearse(ctx context.Context, call func(ctx context.Context, rehearsed U) error) error
}

// perform makes a call, or in a dry run rehearses it: the way is the same.
func perform[U rehearser[U], T any](
	ctx context.Context, use U, dryRun bool, call func(ctx context.Context, use U) (T, error),
) (answer T, err error) {
	if !dryRun {
		return call(ctx, use)
	}
	err = use.Rehearse(ctx, func(ctx context.Context, rehearsed U) error {
		answer, err = call(ctx, rehearsed)
		return err
	})
	return answer, err
}

// Payload is the body of a request, read whole and not yet decoded.
type Payload struct{ text []byte }

// Resolve implements huma's Resolver.
func (b *Payload) Resolve(ctx huma.Context) (errs []error) {
	b.text, errs = readBody(ctx, mediaJSON)
	return errs
}

// MergePatch is the body of a PATCH, as a Payload is that of the others.
type MergePatch struct{ text []byte }

// Resolve implements huma's Resolver.
func (b *MergePatch) Resolve(ctx huma.Context) (errs []error) {
	b.text, errs = readBody(ctx, mediaMergePatch, mediaJSON)
	return errs
}

// readBody reads a body itself rather than have huma do it, which would replace the server's
// read timeout by one of its own.
func readBody(ctx huma.Context, media ...string) ([]byte, []error) {
	if err := checkMedia(ctx, media...); err != nil {
		return nil, []error{err}
	}
	var buffer bytes.Buffer
	_, err := buffer.ReadFrom(ctx.BodyReader())
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, []error{models.Errorf(v1.CodeBodyTooLarge, "the body is larger than %d bytes", tooLarge.Limit)}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, []error{models.Errorf(v1.CodeInvalidJSON, "the body did not arrive whole")}
	}
	return buffer.Bytes(), nil
}

// checkMedia takes a body that names no media type for JSON (RFC 9110, section 8.3).
func checkMedia(ctx huma.Context, wanted ...string) error {
	given := ctx.Header("Content-Type")
	media := given
	if given != mediaJSON && given != "" {
		media, _, _ = mime.ParseMediaType(given)
	}
	if given != "" && !slices.Contains(wanted, media) {
		return unsupported("Content-Type", given, wanted...)
	}
	if coding := ctx.Header("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return unsupported("Content-Encoding", coding, "identity")
	}
	return nil
}

func unsupported(header, given string, wanted ...string) error {
	return models.Invalid(v1.CodeUnsupportedMediaType, models.Fault{
		Field: header, Reason: "must be " + strings.Join(wanted, " or "), Value: given, Allowed: wanted,
	})
}

// ifMatch returns the If-Match header, all its lines as one list; "" when it is absent.
func ifMatch(ctx huma.Context) (string, error) {
	var lines []string
	ctx.EachHeader(func(name, value string) {
		if name == "If-Match" {
			lines = append(lines, value)
		}
	})
	joined := strings.Join(lines, ", ")
	if len(lines) > 0 && strings.TrimSpace(joined) == "" {
		return "", models.Invalid(v1.CodeInvalidField, models.Fault{Field: "If-Match", Reason: "must not be empty"})
	}
	return joined, nil
}

// invalidQuery returns the faults of a query as an error, in the list that huma's resolvers
// return; nil when there are none.
func invalidQuery(faults []v1.FieldError) []error {
	if err := models.Invalid(v1.CodeInvalidQuery, asFaults(faults)...); err != nil {
		return []error{err}
	}
	return nil
}

func asFaults(errs []v1.FieldError) []models.Fault {
	faults := make([]models.Fault, len(errs))
	for i, e := range errs {
		faults[i] = models.Fault{Field: e.Field, Reason: e.Reason, Value: e.Value}
	}
	return faults
}
