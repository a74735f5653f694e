package models

import (
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// The bounds of a page, and how far matches are counted without being asked to.
const (
	DefaultLimit = 50
	MaxLimit     = 100
	CountedUpTo  = 1000
)

// ListQuery asks for a page of resources, newest first. Empty filters match everything.
type ListQuery struct {
	Limit    int
	Offset   int
	Phase    v1.Phase
	Platform string
	Name     string
	// ClusterID is whose node pools are asked for; no filter of clusters.
	ClusterID string
	CreatedBy string
	Labels    []Requirement
	// ExactTotal counts all matches, at a cost that grows with them.
	ExactTotal bool
}

// Page is a page of resources.
type Page struct {
	Resources []*Resource
	// Total is the number of matches of the query, or a lower bound of it.
	Total             int64
	TotalIsLowerBound bool
}

// Scoped returns the query as the actor may ask it: a user's covers the own ones
// only. Platforms and addresses are compared without regard to case.
func (q ListQuery) Scoped(by Actor) (ListQuery, error) {
	if q.CreatedBy != "" {
		if err := by.MayFilterByCreator(q.CreatedBy); err != nil {
			return q, err
		}
	}
	q.CreatedBy = strings.ToLower(q.CreatedBy)
	q.Platform = strings.ToLower(q.Platform)
	q.ClusterID = strings.ToLower(q.ClusterID)
	if owner := by.Owner(); owner != "" {
		q.CreatedBy = owner
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	return q, q.check()
}

func (q ListQuery) check() error {
	var faults []Fault
	if q.Limit < 1 || q.Limit > MaxLimit {
		faults = append(faults, Fault{Field: "limit", Reason: "must be between 1 and 100", Value: q.Limit})
	}
	if q.Offset < 0 {
		faults = append(faults, Fault{Field: "offset", Reason: "must not be negative", Value: q.Offset})
	}
	if q.Phase != "" && !slices.Contains(v1.Phases(), q.Phase) {
		faults = append(faults, Fault{Field: "status", Reason: "is not a phase", Value: string(q.Phase), Allowed: phaseNames()})
	}
	if q.Platform != "" && !platformType.MatchString(q.Platform) {
		faults = append(faults, Fault{Field: "platform", Reason: "must be 1 to 63 letters, digits and '-'", Value: q.Platform})
	}
	if q.ClusterID != "" && !IsID(q.ClusterID) {
		faults = append(faults, clusterIDFault(q.ClusterID))
	}
	if q.Name != "" && !IsName(q.Name) {
		faults = append(faults, Fault{Field: "name", Reason: "is not a name", Value: q.Name})
	}
	return Invalid(v1.CodeInvalidQuery, faults...)
}

func phaseNames() []string {
	var names []string
	for _, p := range v1.Phases() {
		names = append(names, string(p))
	}
	return names
}
