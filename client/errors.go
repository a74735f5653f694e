package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Error is a refusal, or a failure that the service speaks of. It matches the Err values of this package by its
// code; two of the same code are equal for no other purpose.
type Error struct {
	// Code is the service's; "" for an answer that is not of its making and not known to mean that it is away.
	Code v1.Code
	// Status is the HTTP status.
	Status int
	// Message is a sentence for people.
	Message string
	// Details names the fields that are wrong; nil when none is.
	Details *v1.ErrorDetails
	// RequestID finds the request in the service's logs.
	RequestID string
	// RetryAfter is how long the service asks to wait; 0 when it says nothing.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	code := string(e.Code)
	if code == "" {
		code = "HTTP " + strconv.Itoa(e.Status)
	}
	if e.RequestID == "" {
		return fmt.Sprintf("%s (%s)", e.Message, code)
	}
	return fmt.Sprintf("%s (%s, request %s)", e.Message, code, e.RequestID)
}

// Is reports whether target is the Err value of the same code.
func (e *Error) Is(target error) bool {
	code, ok := target.(codeError)
	return ok && (v1.Code(code) == e.Code || code == ErrRateLimited && e.Status == http.StatusTooManyRequests)
}

// codeError is what an Error of a code is equal to.
type codeError v1.Code

func (c codeError) Error() string { return string(c) }

// What [errors.Is] tells apart: one value for each code of the service. Codes that a newer service may add have
// none; [Error].Code has them.
const (
	ErrInvalidJSON          = codeError(v1.CodeInvalidJSON)
	ErrInvalidField         = codeError(v1.CodeInvalidField)
	ErrInvalidID            = codeError(v1.CodeInvalidID)
	ErrInvalidQuery         = codeError(v1.CodeInvalidQuery)
	ErrInvalidPageToken     = codeError(v1.CodeInvalidPageToken)
	ErrAmbiguousIdentity    = codeError(v1.CodeAmbiguousIdentity)
	ErrAuthRequired         = codeError(v1.CodeAuthRequired)
	ErrInvalidEmail         = codeError(v1.CodeInvalidEmail)
	ErrUntrustedProxy       = codeError(v1.CodeUntrustedProxy)
	ErrForbidden            = codeError(v1.CodeForbidden)
	ErrNotFound             = codeError(v1.CodeNotFound)
	ErrMethodNotAllowed     = codeError(v1.CodeMethodNotAllowed)
	ErrBodyTooLarge         = codeError(v1.CodeBodyTooLarge)
	ErrUnsupportedMediaType = codeError(v1.CodeUnsupportedMediaType)
	ErrClusterNameExists    = codeError(v1.CodeClusterNameExists)
	ErrNodePoolNameExists   = codeError(v1.CodeNodePoolNameExists)
	ErrGenerationConflict   = codeError(v1.CodeGenerationConflict)
	ErrClusterDeleting      = codeError(v1.CodeClusterDeleting)
	ErrDeletionProtected    = codeError(v1.CodeDeletionProtected)
	ErrRequestInFlight      = codeError(v1.CodeRequestInFlight)
	ErrPreconditionFailed   = codeError(v1.CodePreconditionFailed)
	ErrIdempotencyKeyReused = codeError(v1.CodeIdempotencyKeyReused)
	ErrInternal             = codeError(v1.CodeInternal)
	ErrUnavailable          = codeError(v1.CodeUnavailable)
	// ErrRateLimited is any answer of status 429. The service sends none; a gateway before it may.
	ErrRateLimited = codeError("RATE_LIMITED")
)

// refusal reads an answer that is no success. One that is not the service's, of a proxy before it, counts as
// UNAVAILABLE or RATE_LIMITED when its status says so.
func refusal(status int, header http.Header, text []byte) *Error {
	e := &Error{Status: status, RequestID: header.Get("X-Request-ID"), RetryAfter: retryAfter(header.Get("Retry-After"), time.Now())}
	var body v1.ErrorBody
	if json.Unmarshal(text, &body) == nil && body.Code != "" {
		e.Code, e.Message, e.Details = body.Code, body.Message, body.Details
		return e
	}
	e.Message = "the answer is not the service's"
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.Code, e.Message = v1.CodeUnavailable, "the service cannot be reached: "+http.StatusText(status)
	case http.StatusTooManyRequests:
		e.Code, e.Message = v1.Code(ErrRateLimited), "a gateway asks for fewer calls"
	}
	return e
}

// retryAfter reads the two forms of Retry-After (RFC 9110, section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
