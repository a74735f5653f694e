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

// DeletionAnswer returns the answer to a DELETE: what the deletion waits for, node pools of its own and
// controllers, unless the resource is gone.
func DeletionAnswer(r *Resource, pools, gone bool) v1.Deletion {
	d := v1.Deletion{
		ClusterID: r.Ref().ClusterID, NodePoolID: r.Ref().NodePoolID(), Message: "the " + r.Kind.Noun() + " is deleted",
		Generation: r.Generation, DeletionTimestamp: *r.DeletionTimestamp,
	}
	if gone {
		return d
	}
	d.WaitingFor = r.Holders
	d.Message = "the " + r.Kind.Noun() + " is being deleted"
	if waited := waitedFor(pools, strings.Join(r.Holders, ", ")); waited != "" {
		d.Message += "; waiting for " + waited
	}
	return d
}

// waitedFor says what a deletion waits for; "" for nothing.
func waitedFor(pools bool, holders string) string {
	if pools {
		return strings.TrimSuffix("its node pools, "+holders, ", ")
	}
	return holders
}
