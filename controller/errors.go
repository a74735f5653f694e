package controller

import (
	"cmp"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Error is an error that says what to do about it. An error that holds none counts as one that passes.
type Error struct {
	// Type is that of a [v1.ReportError]: Transient, System, Configuration or Fatal. The last two are terminal: the
	// cluster is Failed, until a new event finds it otherwise.
	Type string
	// Code is one word for programs.
	Code string
	// UserActionable says that the user can mend it.
	UserActionable bool
	// RetryAfter is when to try again, and not before unless the resource changes or a user asks; 0 for the pause that grows
	// with each failure, which a wake-up of the service may cut short.
	RetryAfter time.Duration
	// Err is what went wrong.
	Err error
}

// Error implements error.
func (f *Error) Error() string {
	if f.Err == nil {
		return cmp.Or(f.Code, f.Type, "failed")
	}
	return f.Err.Error()
}

// Unwrap returns what went wrong.
func (f *Error) Unwrap() error { return f.Err }

// Terminal says that only the user can mend what went wrong, by another spec: trying again cannot help. It is reported with
// the type Configuration and user_actionable, and the cluster is Failed until a new event finds it otherwise.
func Terminal(code string, err error) error {
	return &Error{Type: v1.ErrorConfiguration, Code: code, UserActionable: true, Err: err}
}

// RetryAfter says when it is worth trying again. Until then this process leaves the resource alone, whatever wakes it but a
// change or a user.
func RetryAfter(d time.Duration, err error) error {
	return &Error{Type: v1.ErrorTransient, RetryAfter: d, Err: err}
}

// failureOf returns what an error says of itself, in words that need nobody's code any more. One that says nothing passes.
func failureOf(err error) *Error {
	f := Error{}
	if found, ok := errors.AsType[*Error](err); ok {
		f = *found
	}
	f.Err = errors.New(err.Error()) // With what was said around it.
	f.Type = cmp.Or(f.Type, v1.ErrorTransient)
	f.Code = cmp.Or(f.Code, "ReconcileFailed")
	return &f
}

func (f *Error) terminal() bool { return f.Type == v1.ErrorConfiguration || f.Type == v1.ErrorFatal }

func (f *Error) report() *v1.ReportError {
	r := &v1.ReportError{ErrorType: f.Type, ErrorCode: f.Code, Message: f.Err.Error(), UserActionable: f.UserActionable}
	if f.RetryAfter > 0 {
		r.RetryAfter = json.RawMessage(strconv.Quote(f.RetryAfter.String()))
	}
	return r
}
