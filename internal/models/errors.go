package models

import (
	"errors"
	"fmt"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Error is the one vocabulary of failures inside the service: what went wrong, as its
// Code, and a sentence for the person who asked. Adapters translate into it (a SQLSTATE,
// a context that ended) and the HTTP edge out of it; nobody decides on a text.
type Error struct {
	Code    v1.Code
	Message string
	// Faults are the fields at fault, the first one first; may be empty.
	Faults []Fault
	// RetryAfter is how long to wait before the same request may succeed; 0 when unknown.
	RetryAfter time.Duration
	// Err is the cause, for the log only. It is never shown to a caller.
	Err error
}

// Fault is one thing wrong with one field.
type Fault struct {
	// Field is the client's path to it: spec.platform.type, limit, If-Match.
	Field string
	// Reason completes the sentence "<field> ...": "must be a JSON object".
	Reason string
	// Value is what was given; nil to keep it out of the answer, as for a secret.
	Value any
	// Allowed lists the values that would pass, where they can be listed.
	Allowed []string
}

// Error implements [error].
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether the target is an Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf returns an [Error] of a code with its sentence.
func Errorf(code v1.Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// maxFaults bounds an answer: a body of 1 MiB has room for some 100,000 faults.
const maxFaults = 100

// Invalid returns the error for the faults of a request, or nil when there are none. Of
// very many it keeps the first 100.
func Invalid(code v1.Code, faults ...Fault) error {
	if len(faults) == 0 {
		return nil
	}
	faults = faults[:min(len(faults), maxFaults)]
	return &Error{Code: code, Message: faults[0].Field + " " + faults[0].Reason, Faults: faults}
}

// NotFound returns the error for a resource that does not exist for the caller. It says
// the same whether it was never there, is deleted or belongs to somebody else.
func NotFound(kind Kind, id string) *Error {
	return Errorf(v1.CodeNotFound, "%s %s not found", kind.Noun(), id)
}

// NoReport returns the error for a controller that has not reported on a resource.
func NoReport(controller string) error {
	return Invalid(v1.CodeNotFound, Fault{Field: "controller_name", Reason: "has not reported on it", Value: controller})
}

// NoController returns the error for a controller that nobody knows.
func NoController(name string) error {
	return Invalid(v1.CodeNotFound, Fault{Field: "name", Reason: "is not the name of a controller", Value: name})
}

// CodeOf returns the code of an error: INTERNAL for one that is not an [Error].
func CodeOf(err error) v1.Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return v1.CodeInternal
}
