package v1

import (
	"maps"
	"net/http"
)

// Code names a kind of failure. Codes are stable; sentences are not.
type Code string

// Every code that the API answers.
const (
	CodeInvalidJSON          Code = "INVALID_JSON"
	CodeInvalidField         Code = "INVALID_FIELD"
	CodeInvalidID            Code = "INVALID_ID"
	CodeInvalidQuery         Code = "INVALID_QUERY"
	CodeInvalidPageToken     Code = "INVALID_PAGE_TOKEN"
	CodeAmbiguousIdentity    Code = "AMBIGUOUS_IDENTITY"
	CodeAuthRequired         Code = "AUTH_REQUIRED"
	CodeInvalidEmail         Code = "INVALID_EMAIL"
	CodeUntrustedProxy       Code = "UNTRUSTED_PROXY"
	CodeForbidden            Code = "FORBIDDEN"
	CodeNotFound             Code = "NOT_FOUND"
	CodeMethodNotAllowed     Code = "METHOD_NOT_ALLOWED"
	CodeBodyTooLarge         Code = "BODY_TOO_LARGE"
	CodeUnsupportedMediaType Code = "UNSUPPORTED_MEDIA_TYPE"
	CodeClusterNameExists    Code = "CLUSTER_NAME_EXISTS"
	CodeNodePoolNameExists   Code = "NODEPOOL_NAME_EXISTS"
	CodeGenerationConflict   Code = "GENERATION_CONFLICT"
	CodeClusterDeleting      Code = "CLUSTER_DELETING"
	CodeDeletionProtected    Code = "DELETION_PROTECTED"
	CodeRequestInFlight      Code = "REQUEST_IN_FLIGHT"
	CodePreconditionFailed   Code = "PRECONDITION_FAILED"
	CodeIdempotencyKeyReused Code = "IDEMPOTENCY_KEY_REUSED"
	CodeInternal             Code = "INTERNAL"
	CodeUnavailable          Code = "UNAVAILABLE"
)

// statuses is the one table between codes and HTTP (RFC 9110 status codes).
var statuses = map[Code]int{ //nolint:gochecknoglobals // a constant table
	CodeInvalidJSON:          http.StatusBadRequest,
	CodeInvalidField:         http.StatusBadRequest,
	CodeInvalidID:            http.StatusBadRequest,
	CodeInvalidQuery:         http.StatusBadRequest,
	CodeInvalidPageToken:     http.StatusBadRequest,
	CodeAmbiguousIdentity:    http.StatusBadRequest,
	CodeAuthRequired:         http.StatusUnauthorized,
	CodeInvalidEmail:         http.StatusUnauthorized,
	CodeUntrustedProxy:       http.StatusUnauthorized,
	CodeForbidden:            http.StatusForbidden,
	CodeNotFound:             http.StatusNotFound,
	CodeMethodNotAllowed:     http.StatusMethodNotAllowed,
	CodeBodyTooLarge:         http.StatusRequestEntityTooLarge,
	CodeUnsupportedMediaType: http.StatusUnsupportedMediaType,
	CodeClusterNameExists:    http.StatusConflict,
	CodeNodePoolNameExists:   http.StatusConflict,
	CodeGenerationConflict:   http.StatusConflict,
	CodeClusterDeleting:      http.StatusConflict,
	CodeDeletionProtected:    http.StatusConflict,
	CodeRequestInFlight:      http.StatusConflict,
	CodePreconditionFailed:   http.StatusPreconditionFailed,
	CodeIdempotencyKeyReused: http.StatusUnprocessableEntity,
	CodeInternal:             http.StatusInternalServerError,
	CodeUnavailable:          http.StatusServiceUnavailable,
}

// HTTPStatus returns the status that carries the code; 500 for a code that is unknown.
func (c Code) HTTPStatus() int {
	if status, ok := statuses[c]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// Codes returns every code with its HTTP status. The map is the caller's own.
func Codes() map[Code]int {
	return maps.Clone(statuses)
}

// ErrorBody is the body of every failure.
type ErrorBody struct {
	// Error and Message are the same sentence: clients exist that read either.
	Error     string        `json:"error"`
	Message   string        `json:"message"`
	Code      Code          `json:"code"`
	Details   *ErrorDetails `json:"details,omitempty"`
	RequestID string        `json:"request_id"`
}

// ErrorDetails names what is wrong with a request: the first fault on top, and all of them in Errors.
type ErrorDetails struct {
	// Field is the client's path: spec.platform.type, limit, If-Match.
	Field string `json:"field"`
	// Value is the refused value, where it is a scalar of at most 100 bytes and no secret.
	Value any `json:"value,omitempty"`
	// Allowed lists the values that would pass, where they can be listed.
	Allowed []string     `json:"allowed,omitempty"`
	Errors  []FieldError `json:"errors"`
}

// FieldError is one fault of one field.
type FieldError struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
	Value  any    `json:"value,omitempty"`
}

// Problem is the body of a failure for a client that accepts application/problem+json (RFC 9457).
type Problem struct {
	// Type is about:blank: Title is then the phrase of the HTTP status.
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail"`
	Instance  string       `json:"instance,omitempty"`
	Code      Code         `json:"code"`
	Errors    []FieldError `json:"errors,omitempty"`
	RequestID string       `json:"request_id"`
}
