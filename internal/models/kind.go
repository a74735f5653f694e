package models

import v1 "github.com/cls-backend/cls-backend/api/v1"

// Kind is a kind of resource. What differs between the kinds is here, in the few branches of the
// rules that ask for it, and in the names of their tables; all else is written once.
type Kind string

// The kinds of resources. Each has a topic of its own.
const (
	KindCluster  Kind = "cluster"
	KindNodePool Kind = "nodepool"
)

// Kinds returns all kinds. A node pool lives in a cluster, which comes first.
func Kinds() []Kind { return []Kind{KindCluster, KindNodePool} }

// Noun returns what people call a resource of the kind.
func (k Kind) Noun() string {
	if k == KindNodePool {
		return "node pool"
	}
	return string(k)
}

// Ref names a resource: a node pool together with its cluster.
type Ref struct {
	Kind Kind
	// ClusterID is the cluster that a node pool belongs to; a cluster's own id.
	ClusterID string
	ID        string
}

// NodePoolID is the id of a node pool; "" for a cluster.
func (r Ref) NodePoolID() string {
	if r.Kind == KindNodePool {
		return r.ID
	}
	return ""
}

// Action is what an event tells of a resource.
type Action string

// The actions. All but Reconcile are changes.
const (
	Created   Action = "created"
	Updated   Action = "updated"
	Deleted   Action = "deleted"
	Reconcile Action = "reconcile"
)

// Event returns the type of the kind's events of an action, such as cluster.created.
func (k Kind) Event(a Action) string { return string(k) + "." + string(a) }

// NameExists returns the error for a name that another living resource has.
func (k Kind) NameExists(cause error) error {
	e := &Error{
		Code: v1.CodeClusterNameExists, Message: "you already have a cluster of this name", Err: cause,
		Faults: []Fault{{Field: "name", Reason: "is the name of another of your clusters"}},
	}
	if k == KindNodePool {
		e.Code, e.Message = v1.CodeNodePoolNameExists, "the cluster already has a node pool of this name"
		e.Faults[0].Reason = "is the name of another node pool of the cluster"
	}
	return e
}
