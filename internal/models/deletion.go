package models

import (
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// DeleteRequest is what a DELETE says.
type DeleteRequest struct {
	// IfMatch is the header of that name; "" for none.
	IfMatch string
	// Force ends the waiting of a deletion that has begun; Reason says why.
	Force  bool
	Reason string
}

// DeletionAnswer returns the answer to a DELETE: whom the deletion waits for, unless the resource is gone.
func DeletionAnswer(r *Resource, gone bool) v1.Deletion {
	d := v1.Deletion{
		ClusterID: r.Ref().ClusterID, NodePoolID: r.Ref().NodePoolID(), Message: "the " + r.Kind.Noun() + " is deleted",
		Generation: r.Generation, DeletionTimestamp: *r.DeletionTimestamp,
	}
	if gone {
		return d
	}
	d.WaitingFor = r.Holders
	waited := strings.Join(r.Holders, ", ")
	if waited == "" {
		waited = "its node pools"
	}
	d.Message = "the " + r.Kind.Noun() + " is being deleted; waiting for " + waited
	return d
}
