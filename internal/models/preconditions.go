package models

import (
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// CheckPreconditions holds the two preconditions of a change against the resource as it
// is stored: If-Match (RFC 9110, section 13.1.1; "" for none), which any change since
// breaks, and the generation that the author has read, which only a change of the spec
// does. PRECONDITION_FAILED or GENERATION_CONFLICT.
func CheckPreconditions(stored *Resource, ifMatch string, generation *int64) error {
	if err := checkIfMatch(stored, ifMatch); err != nil {
		return err
	}
	if generation != nil && *generation != stored.Generation {
		return &Error{
			Code:    v1.CodeGenerationConflict,
			Message: "the spec has changed since the generation that this change was made for; read it again",
			Faults:  []Fault{{Field: "generation", Reason: "is not the current one", Value: *generation}},
		}
	}
	return nil
}

// Deleting returns the error for a change of a resource that is being deleted, or within it.
func Deleting(kind Kind) error {
	return Errorf(v1.CodeClusterDeleting, "the %s is being deleted", kind.Noun())
}

// CheckDeletion holds a deletion against the resource: PRECONDITION_FAILED, or
// DELETION_PROTECTED, which names the call that lifts the protection.
func CheckDeletion(stored *Resource, ifMatch string) error {
	if err := checkIfMatch(stored, ifMatch); err != nil {
		return err
	}
	if stored.DeletionProtection {
		return &Error{
			Code:    v1.CodeDeletionProtected,
			Message: "the " + stored.Kind.Noun() + " is protected from deletion; PATCH it with {\"deletion_protection\": false} first",
			Faults:  []Fault{{Field: "deletion_protection", Reason: "is true"}},
		}
	}
	return nil
}

// checkIfMatch compares strongly: a weak tag never matches.
func checkIfMatch(stored *Resource, ifMatch string) error {
	if ifMatch == "" || strings.TrimSpace(ifMatch) == "*" {
		return nil
	}
	tags := strings.Split(ifMatch, ",")
	if slices.ContainsFunc(tags, func(tag string) bool { return strings.TrimSpace(tag) == stored.ETag() }) {
		return nil
	}
	return &Error{
		Code:    v1.CodePreconditionFailed,
		Message: "the " + stored.Kind.Noun() + " has changed since it was read; read it again",
		Faults:  []Fault{{Field: "If-Match", Reason: "does not name the current version"}},
	}
}
