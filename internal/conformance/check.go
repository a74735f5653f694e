package conformance

import (
	"context"
	"slices"
)

// Check is one promise of the contract, and the way to see whether it is kept.
type Check struct {
	// Name is an area and the promise in a few words: status/stale-report-is-not-applied.
	Name string
	// Promise is a sentence.
	Promise string
	// Section is where the documentation makes it, a heading of a page in docs: api.md#status.
	Section string

	run func(ctx context.Context, p *probe)
}

// The sections.
const (
	ofProbes      = "operations.md#probes"
	ofIdentity    = "api.md#who-you-are"
	ofClusters    = "api.md#clusters"
	ofNodePools   = "api.md#node-pools"
	ofDeletion    = "api.md#deletion"
	ofTrying      = "api.md#trying-and-trying-again"
	ofStatus      = "api.md#status"
	ofErrors      = "api.md#errors"
	ofControllers = "api.md#for-authors-of-controllers"
)

// Checks returns all checks, in the order of a report.
func Checks() []Check {
	return slices.Concat(answerChecks(), changeChecks(), listChecks(), identityChecks(), nodePoolChecks(), errorChecks(),
		statusChecks(), reportChecks(), deletionChecks(), registryChecks(), eventChecks())
}
