package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Reconciler brings one resource to what its spec says. It is called by several goroutines, for different resources.
//
// A nil error and a zero Result mean that the resource is as its spec says. Any error is reported and tried again;
// [Terminal] and [RetryAfter] say more about it. The context ends when the process must stop.
type Reconciler interface {
	Reconcile(ctx context.Context, req Request) (Result, error)
}

// Func is a Reconciler made of a function.
type Func func(ctx context.Context, req Request) (Result, error)

// Reconcile implements [Reconciler].
func (f Func) Reconcile(ctx context.Context, req Request) (Result, error) { return f(ctx, req) }

// Finalizer takes down what its Reconciler has built, when a resource is deleted. The deletion waits until it has
// returned no error and a Result that is not Waiting; after that it may be called again, for nothing.
type Finalizer interface {
	Finalize(ctx context.Context, req Request) (Result, error)
}

// Kind is a kind of resource.
type Kind string

// The kinds of resources.
const (
	KindCluster  Kind = "cluster"
	KindNodePool Kind = "nodepool"
)

// Request is one resource to look after, as it is now.
type Request struct {
	Kind Kind
	// Cluster is the cluster, or that of the node pool.
	Cluster v1.Cluster
	// NodePool is nil for a cluster.
	NodePool *v1.NodePool
	// Reports are what all controllers have reported on the resource, the own one included.
	Reports []v1.ControllerStatus
	// Event is the latest that led here; zero when it was a pause that had run out.
	Event v1.Event
}

// ID is that of the resource.
func (r Request) ID() string {
	if r.NodePool != nil {
		return r.NodePool.ID
	}
	return r.Cluster.ID
}

// Name is that of the resource.
func (r Request) Name() string {
	if r.NodePool != nil {
		return r.NodePool.Name
	}
	return r.Cluster.Name
}

// Generation is that of the resource's spec, and of what will be reported.
func (r Request) Generation() int64 {
	if r.NodePool != nil {
		return r.NodePool.Generation
	}
	return r.Cluster.Generation
}

// Deleting reports whether the resource is being deleted.
func (r Request) Deleting() bool {
	if r.NodePool != nil {
		return r.NodePool.DeletionTimestamp != nil
	}
	return r.Cluster.DeletionTimestamp != nil
}

// Spec decodes the resource's spec into a value of the author's. An error is terminal: only another spec can help.
func (r Request) Spec(into any) error {
	spec := r.Cluster.Spec
	if r.NodePool != nil {
		spec = r.NodePool.Spec
	}
	if err := json.Unmarshal([]byte(spec), into); err != nil {
		return Terminal("InvalidSpec", fmt.Errorf("read the spec: %w", err))
	}
	return nil
}

// Report is what a controller has reported last on the resource; false when it has reported nothing.
func (r Request) Report(controller string) (v1.ControllerStatus, bool) {
	for _, s := range r.Reports {
		if s.ControllerName == controller {
			return s, true
		}
	}
	return v1.ControllerStatus{}, false
}

// Metadata decodes what a controller has left in its report, for others to read. It returns false when it has left
// nothing, and an error when that is of another shape.
func (r Request) Metadata(controller string, into any) (found bool, err error) {
	s, _ := r.Report(controller)
	if s.Metadata.IsEmpty() {
		return false, nil
	}
	if err := json.Unmarshal([]byte(s.Metadata), into); err != nil {
		return true, fmt.Errorf("read the metadata of %s: %w", controller, err)
	}
	return true, nil
}

// platform is where the resource is, in the spelling of its spec; "" when nobody says. A node pool that
// names none is where its cluster is.
func (r Request) platform() string {
	if r.NodePool != nil {
		if p := r.NodePool.Spec.Platform(); p != "" {
			return p
		}
	}
	return r.Cluster.Spec.Platform()
}

// Result is what a reconcile has come to. The zero value says that all is done.
type Result struct {
	// Waiting says that the work is under way and not done. What is reported is not Available, unless an older spec was: that
	// stays reported, as Progressing. Say when to look again in RequeueAfter; otherwise the next event does.
	Waiting bool
	// Reason and Message explain the state; default Reconciled or InProgress. A Reason is one word in CamelCase.
	Reason  string
	Message string
	// Metadata is for other controllers to read, any value that is an object in JSON. Nil leaves what is stored.
	Metadata any
	// Conditions are further ones, of types of the author's own.
	Conditions []v1.ReportedCondition
	// RequeueAfter is when to reconcile again, if no event comes before; 0 for no such time.
	RequeueAfter time.Duration
}
