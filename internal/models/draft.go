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

// Edit is what a PUT says of a stored resource; nil leaves a field as it is.
type Edit struct {
	// These may repeat what is stored; any other value is refused.
	ID              *string
	Name            *string
	ClusterID       *string
	TargetProjectID *string

	Description        *string
	Paused             *bool
	DeletionProtection *bool
	Labels             map[string]string
	Spec               v1.Object
	// Generation is a precondition: the one that the author of the change has read.
	Generation *int64
}

// Anywhere returns the edit without what it says of the resource that it is for.
func (e Edit) Anywhere() Edit {
	e.ID, e.Name, e.ClusterID, e.TargetProjectID = nil, nil, nil, nil
	return e
}

// Patch is what a PATCH says of a stored resource: an Edit whose labels and spec are merged into
// what is stored (RFC 7396).
type Patch struct {
	ID              *string
	Name            *string
	ClusterID       *string
	TargetProjectID *string

	Description        *string
	Paused             *bool
	DeletionProtection *bool
	Labels             v1.Object
	Spec               v1.Object
	Generation         *int64
}

// Anywhere returns the patch without what it says of the resource that it is for.
func (p Patch) Anywhere() Patch {
	p.ID, p.Name, p.ClusterID, p.TargetProjectID = nil, nil, nil, nil
	return p
}
