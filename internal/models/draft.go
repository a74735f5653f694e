package models

import v1 "github.com/cls-backend/cls-backend/api/v1"

// Draft is what a POST says of a new resource.
type Draft struct {
	Name string
	// ClusterID is for node pools only, TargetProjectID for clusters.
	ClusterID          string
	TargetProjectID    string
	Description        string
	Paused             bool
	DeletionProtection bool
	Labels             map[string]string
	Spec               v1.Object
}

// Fixed are the fields that a resource keeps for life. A change may repeat what is stored; any other
// value is refused.
type Fixed struct {
	ID              *string
	Name            *string
	ClusterID       *string
	TargetProjectID *string
}

// Common is what a PUT and a PATCH say of a stored resource alike; nil leaves a field as it is.
type Common struct {
	Fixed

	Description        *string
	Paused             *bool
	DeletionProtection *bool
	// Generation is a precondition: the one that the author of the change has read.
	Generation *int64
}

// Edit is what a PUT says of a stored resource: the whole spec, and all labels unless they are nil.
type Edit struct {
	Common

	Labels map[string]string
	Spec   v1.Object
}

// Anywhere returns the edit without what it says of the resource that it is for.
func (e Edit) Anywhere() Edit {
	e.Fixed = Fixed{}
	return e
}

// Patch is what a PATCH says of a stored resource: an Edit whose labels and spec are merged into
// what is stored (RFC 7396).
type Patch struct {
	Common

	Labels v1.Object
	Spec   v1.Object
}

// Anywhere returns the patch without what it says of the resource that it is for.
func (p Patch) Anywhere() Patch {
	p.Fixed = Fixed{}
	return p
}
