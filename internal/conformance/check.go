package conformance

import (
	"context"
	"slices"

	"github.com/cls-backend/cls-backend/internal/models"
)

// Check is one promise of the contract, and the way to see whether it is kept.
type Check struct {
	// Name is an area and the promise in a few words: status/stale-report-is-not-applied.
	Name string
	// Promise is a sentence.
	Promise string
	// Section is where the documentation makes it, a heading of a page in docs: api.md#status.
	Section string

	// kind is what the check declares, reports on and deletes.
	kind models.Kind
	run  func(ctx context.Context, p *probe)
}

// promise is one that is made of clusters alone, of both kinds of resources, or of neither.
type promise struct {
	name, sentence, section string
	run                     func(ctx context.Context, p *probe)
}

// ofOne returns a check for each promise, on clusters.
func ofOne(promises []promise) (checks []Check) {
	for _, p := range promises {
		checks = append(checks, Check{p.name, p.sentence, p.section, models.KindCluster, p.run})
	}
	return checks
}

// ofBoth returns two checks for each promise: on clusters, and the same on node pools.
func ofBoth(promises []promise) (checks []Check) {
	for _, p := range promises {
		checks = append(checks,
			Check{p.name, p.sentence, p.section, models.KindCluster, p.run},
			Check{ofNodePool(p.name), "Node pools too: " + p.sentence, p.section, models.KindNodePool, p.run})
	}
	return checks
}

// The sections.
const (
	ofProbes      = "operations.md#probes"
	ofIdentity    = "api.md#who-you-are"
	ofClusters    = "api.md#clusters"
	ofNodePools   = "api.md#node-pools"
	ofDeletion    = "api.md#deletion"
	ofPast        = "api.md#the-past"
	ofTrying      = "api.md#trying-and-trying-again"
	ofStatus      = "api.md#status"
	ofErrors      = "api.md#errors"
	ofControllers = "api.md#for-authors-of-controllers"
)

// Checks returns all checks, in the order of a report.
func Checks() []Check {
	return slices.Concat(answerChecks(), changeChecks(), tryingChecks(), listChecks(), pastChecks(), identityChecks(), nodePoolChecks(),
		errorChecks(), statusChecks(), reportChecks(), deletionChecks(), registryChecks(), eventChecks())
}
