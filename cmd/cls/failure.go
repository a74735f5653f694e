package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// failure is an error as people are to read it: a sentence, and what they can do about it.
type failure struct {
	message string
	hint    string
	// code is what the program ends with; 0 means exitFailed.
	code int
	err  error
}

// Error implements error.
func (f *failure) Error() string { return f.message }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.err }

// about says what a failure is about.
func about(what string, err error) error {
	f := *advise(err)
	f.message, f.err = what+": "+f.message, err
	return &f
}

// forEach does work with each, whatever becomes of the others, and returns what has failed.
func forEach[T any](all []T, work func(T) error) error {
	var failures []error
	for _, one := range all {
		failures = append(failures, work(one))
	}
	return errors.Join(failures...)
}

// complain writes an error for people, each of those that are joined in it, and returns the code to end with: theirs when
// they have the same.
func complain(w io.Writer, err error) int {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		codes := map[int]bool{}
		code := exitFailed
		for _, one := range joined.Unwrap() {
			code = complain(w, one)
			codes[code] = true
		}
		if len(codes) > 1 {
			return exitFailed
		}
		return code
	}
	f := advise(err)
	fmt.Fprintln(w, "error:", clean(f.message))
	if f.hint != "" {
		fmt.Fprintln(w, "hint:", clean(f.hint))
	}
	if f.code != 0 {
		return f.code
	}
	return exitFailed
}

// advise is the one place where errors become sentences. What has its sentence keeps it.
func advise(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return refused(e)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return unreachable(e)
	}
	return &failure{message: err.Error(), err: err}
}

func unreachable(e *url.Error) *failure {
	at := e.URL
	if u, err := url.Parse(e.URL); err == nil {
		at = u.Scheme + "://" + u.Host
	}
	if e.Timeout() && !errors.Is(e, context.Canceled) {
		return &failure{message: "the service at " + at + " has not answered in time", hint: "--request-timeout gives it longer", err: e}
	}
	return &failure{
		message: fmt.Sprintf("the service at %s cannot be reached: %v", at, e.Err),
		hint:    "--url, CLS_URL or a context (cls config set-context) says where it is; make dev runs one on this machine",
		err:     e,
	}
}

// refused is what the service has said, with every field that it names.
func refused(e *client.Error) *failure {
	f := &failure{message: e.Message, hint: hintFor(e), err: e}
	if e.Code == "" {
		f.message = fmt.Sprintf("%s (HTTP %d)", e.Message, e.Status)
	}
	if e.Details != nil && len(e.Details.Errors) > 1 {
		var faults []string
		for _, fault := range e.Details.Errors {
			faults = append(faults, fault.Field+" "+fault.Reason)
		}
		f.message = strings.Join(faults, "; ")
	}
	return f
}

// hintFor says what one can do about a refusal.
func hintFor(e *client.Error) string {
	switch e.Code {
	case v1.CodeAuthRequired, v1.CodeInvalidEmail, v1.CodeUntrustedProxy, v1.CodeAmbiguousIdentity:
		return "--as or CLS_IDENTITY says who you are, CLS_TOKEN or a context (cls config set-context) proves it to a gateway"
	case v1.CodeForbidden:
		return "cls config current-context says whom you call as whom"
	case v1.CodeClusterNameExists, v1.CodeNodePoolNameExists:
		return "cls apply -f FILE changes one that exists"
	case v1.CodeGenerationConflict, v1.CodePreconditionFailed:
		return "cls get -o yaml shows what it is now: read it again, and decide again"
	case v1.CodeClusterDeleting:
		return "cls wait --for=delete waits for its end"
	case v1.CodeDeletionProtected:
		return `cls patch -p '{"deletion_protection":false}' lifts the protection`
	case v1.CodeUnavailable, v1.CodeRequestInFlight:
		return "try again in a moment"
	case v1.CodeInternal:
		return "request " + e.RequestID + " is the one to look for in the service's log"
	case "":
		return "is the address that of the service? cls config current-context shows it"
	default:
	}
	if e.Details != nil && len(e.Details.Allowed) > 0 {
		return e.Details.Field + " may be " + strings.Join(e.Details.Allowed, ", ")
	}
	return ""
}

// usage is the failure of a command that was called in the wrong way.
func usage(hint, format string, args ...any) error {
	return &failure{message: fmt.Sprintf(format, args...), hint: hint}
}
