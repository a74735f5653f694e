package models

import (
	"net/mail"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Actor is who makes a call, as the edge has established it, and what travels with the
// call to the events it causes. The zero Actor may do nothing.
type Actor struct {
	// Email is the identity, in lower case.
	Email string
	// Controller and Admin are the roles; an actor may hold both, or neither (a user).
	Controller bool
	Admin      bool
	// ControllerName, when not "", is the only slot that this controller may write.
	ControllerName string

	// RequestID and Traceparent (W3C Trace Context) go into the events of the call.
	RequestID   string
	Traceparent string
}

// maxEmail is the longest address that can be delivered to (RFC 5321, section 4.5.3.1.3).
const maxEmail = 254

// ParseEmail returns an e-mail address in its canonical form, lower case. An address
// with a display name, comments or white space is refused with INVALID_EMAIL.
func ParseEmail(text string) (string, error) {
	addr, err := mail.ParseAddress(text)
	if err != nil || addr.Address != text || len(text) > maxEmail || strings.ContainsAny(text, " \"\x00") {
		return "", Errorf(v1.CodeInvalidEmail, "X-User-Email is not an e-mail address")
	}
	return strings.ToLower(text), nil
}

// SeesAll reports whether the actor reads every resource and not just its own.
func (a Actor) SeesAll() bool { return a.Controller || a.Admin }

// SeesSecrets reports whether redacted fields are shown to the actor.
func (a Actor) SeesSecrets() bool { return a.Controller }

// Owner returns whose resources the actor is limited to; "" for everybody's.
func (a Actor) Owner() string {
	if a.SeesAll() {
		return ""
	}
	return a.Email
}

// MayWrite checks that the actor may create, change and delete resources: FORBIDDEN for
// a controller that is no admin.
func (a Actor) MayWrite() error {
	if a.Controller && !a.Admin {
		return Errorf(v1.CodeForbidden, "a controller may not create, change or delete what users declare")
	}
	return nil
}

// MayReport checks that the actor may register as the named controller, and write its slot.
func (a Actor) MayReport(controller string) error {
	if !a.Controller {
		return Errorf(v1.CodeForbidden, "only controllers may register and report")
	}
	if a.ControllerName != "" && a.ControllerName != controller {
		return &Error{
			Code:    v1.CodeForbidden,
			Message: "this identity may report as " + a.ControllerName + " only",
			Faults: []Fault{{
				Field: "controller_name", Reason: "belongs to another identity", Value: controller, Allowed: []string{a.ControllerName},
			}},
		}
	}
	return nil
}

// MayDropReport checks that the actor may drop the named controller's report.
func (a Actor) MayDropReport(controller string) error {
	switch {
	case a.Admin:
		return nil
	case !a.Controller:
		return Errorf(v1.CodeForbidden, "only controllers and administrators may drop a report")
	}
	return a.MayReport(controller)
}

// MayRetire checks that the actor may retire the named controller.
func (a Actor) MayRetire(controller string) error {
	switch {
	case a.Admin:
		return nil
	case !a.Controller:
		return Errorf(v1.CodeForbidden, "only controllers and administrators may retire a controller")
	}
	return a.MayReport(controller)
}

// MayReadControllers checks that the actor may read the registry of controllers, which counts
// everybody's resources.
func (a Actor) MayReadControllers() error {
	if a.SeesAll() {
		return nil
	}
	return Errorf(v1.CodeForbidden, "only controllers and administrators may read the registry of controllers")
}

// MayFilterByCreator checks that the actor may ask for somebody's resources by name.
func (a Actor) MayFilterByCreator(email string) error {
	if a.SeesAll() || strings.EqualFold(email, a.Email) {
		return nil
	}
	return &Error{
		Code:    v1.CodeForbidden,
		Message: "created_by may name only your own address",
		Faults:  []Fault{{Field: "created_by", Reason: "must be your own address", Allowed: []string{a.Email}}},
	}
}
