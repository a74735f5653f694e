package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Condition is what to wait for: a condition of the status, for the generation that the resource has by then.
type Condition struct {
	// Type is Ready, Available, Progressing, Degraded or Deleting.
	Type string
	// Status is True unless another is given.
	Status v1.ConditionStatus
	// Watch is called with the status each time it has changed; may be nil.
	Watch func(v1.Status)
	// Hopeless is called with each status that does not meet the condition, before Watch. Its error ends the wait, which
	// returns it, unless it is a failure that may pass. May be nil: a wait hopes for as long as its context lasts.
	Hopeless func(v1.Status) error
}

// met reports whether a status of a resource at a generation meets the condition.
func (want Condition) met(generation int64, s v1.Status) bool {
	for _, c := range s.Conditions {
		if c.Type == want.Type {
			return c.Status == cmp.Or(want.Status, v1.ConditionTrue) && c.ObservedGeneration == generation
		}
	}
	return false
}

// WaitError says how far a wait has come when its context ended, which it wraps.
type WaitError struct {
	// Want is what was waited for: a condition, or the deletion.
	Want string
	// Last is the status as it was last seen; zero when there was none.
	Last v1.Status
	err  error
}

// Error implements error.
func (e *WaitError) Error() string {
	if e.Last.Phase == "" {
		return fmt.Sprintf("wait for %s: %v", e.Want, e.err)
	}
	return fmt.Sprintf("wait for %s: %v; it is %s: %s", e.Want, e.err, e.Last.Phase, e.Last.Message)
}

// Unwrap returns the error of the context.
func (e *WaitError) Unwrap() error { return e.err }

// WaitFor waits until a cluster meets a condition, and returns it then. It looks again after a fraction of a second, and
// more seldom while nothing happens, until ctx ends: then the error is a [*WaitError]. A failure that may pass is looked
// past; a cluster that is gone is [ErrNotFound]. An error of Hopeless ends it too.
func (c *Client) WaitFor(ctx context.Context, id string, want Condition) (v1.Cluster, error) {
	return waitFor(ctx, want, func() (v1.Cluster, int64, v1.Status, error) {
		r, err := c.GetCluster(ctx, id)
		return r, r.Generation, r.Status, err
	})
}

// WaitForNodePool is WaitFor for a node pool.
func (c *Client) WaitForNodePool(ctx context.Context, id string, want Condition) (v1.NodePool, error) {
	return waitFor(ctx, want, func() (v1.NodePool, int64, v1.Status, error) {
		r, err := c.GetNodePool(ctx, id)
		return r, r.Generation, r.Status, err
	})
}

// WaitForDeletion waits until a cluster is gone, as WaitFor waits. Watch may be nil.
func (c *Client) WaitForDeletion(ctx context.Context, id string, watch func(v1.Status)) error {
	return waitForDeletion(ctx, watch, func() (v1.Status, error) {
		r, err := c.GetCluster(ctx, id)
		return r.Status, err
	})
}

// WaitForNodePoolDeletion waits until a node pool is gone, as WaitFor waits. Watch may be nil.
func (c *Client) WaitForNodePoolDeletion(ctx context.Context, id string, watch func(v1.Status)) error {
	return waitForDeletion(ctx, watch, func() (v1.Status, error) {
		r, err := c.GetNodePool(ctx, id)
		return r.Status, err
	})
}

func waitFor[R any](ctx context.Context, want Condition, look func() (R, int64, v1.Status, error)) (found R, err error) {
	what := want.Type + "=" + string(cmp.Or(want.Status, v1.ConditionTrue))
	err = wait(ctx, what, want.Watch, func() (v1.Status, bool, error) {
		r, generation, status, err := look()
		found = r
		met := want.met(generation, status)
		if err == nil && !met && want.Hopeless != nil {
			err = want.Hopeless(status)
		}
		return status, met, err
	})
	return found, err
}

func waitForDeletion(ctx context.Context, watch func(v1.Status), look func() (v1.Status, error)) error {
	return wait(ctx, "the deletion", watch, func() (v1.Status, bool, error) {
		status, err := look()
		if errors.Is(err, ErrNotFound) {
			return status, true, nil
		}
		return status, false, err
	})
}

// The pauses of a wait grow from first to longest, and begin anew with each change that is seen.
const (
	firstLook   = 100 * time.Millisecond
	longestLook = 2 * time.Second
)

// wait looks until it is done.
func wait(ctx context.Context, want string, watch func(v1.Status), look func() (v1.Status, bool, error)) error {
	var last v1.Status
	for pause := firstLook; ; pause = min(pause*3/2, longestLook) {
		status, done, err := look()
		if err == nil && !done && (status.Phase != last.Phase || status.Message != last.Message) {
			if last, pause = status, firstLook; watch != nil {
				watch(status)
			}
		}
		switch {
		case ctx.Err() != nil && (err != nil || !done):
			return &WaitError{Want: want, Last: last, err: context.Cause(ctx)}
		case err != nil && !mayPass(err):
			return err
		case err == nil && done:
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return &WaitError{Want: want, Last: last, err: context.Cause(ctx)}
		}
	}
}
