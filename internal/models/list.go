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

// Order is what a list is ordered by, a field of a resource, with a '-' before it from the greatest
// to the least. Ties are broken by id in the same direction.
type Order string

// NewestFirst is the order of a list that is asked for in none.
const NewestFirst Order = "-created_at"

// Orders returns all orders that a list can have.
func Orders() []Order {
	return []Order{"created_at", NewestFirst, "name", "-name", "updated_at", "-updated_at"}
}

// Field returns the field that the order is by: created_at, name or updated_at.
func (o Order) Field() string { return strings.TrimPrefix(string(o), "-") }

// Descending reports whether the greatest comes first.
func (o Order) Descending() bool { return strings.HasPrefix(string(o), "-") }

// ListQuery asks for a page of resources. Empty filters match everything.
type ListQuery struct {
	Limit  int
	Offset int
	// OrderBy is NewestFirst when it is "".
	OrderBy Order
	// PageToken is where the page begins, as the page before it said; After is what it stands for.
	PageToken string
	After     *Position

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
	// NextPageToken asks for the next page; "" when this is the last one.
	NextPageToken string
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
	if q.OrderBy == "" {
		q.OrderBy = NewestFirst
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
	if !slices.Contains(Orders(), q.OrderBy) {
		faults = append(faults, Fault{Field: "order_by", Reason: "is not an order of lists", Value: string(q.OrderBy), Allowed: texts(Orders())})
	}
	if q.Phase != "" && !slices.Contains(v1.Phases(), q.Phase) {
		faults = append(faults, Fault{Field: "status", Reason: "is not a phase", Value: string(q.Phase), Allowed: texts(v1.Phases())})
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

func texts[T ~string](values []T) []string {
	var list []string
	for _, v := range values {
		list = append(list, string(v))
	}
	return list
}
