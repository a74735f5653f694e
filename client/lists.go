package client

import (
	"iter"
	"net/url"
	"strconv"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// ListOptions are the filters, the order and the page of a list. Zero values are absent.
type ListOptions struct {
	// Status, Platform (whatever the case), Name and CreatedBy are equal to those of what is listed.
	Status    v1.Phase
	Platform  string
	Name      string
	CreatedBy string
	// LabelSelector is a Kubernetes label selector, such as env=prod,tier!=test.
	LabelSelector string
	// OrderBy is created_at, updated_at or name, from the least; with a '-' before it from the greatest. Default
	// is the newest first.
	OrderBy string
	// Limit is how many a page has at most, up to 100; the service's default is 50.
	Limit int
	// Offset is how many matches to skip; not together with PageToken.
	Offset int
	// PageToken is the NextPageToken of the page before, of a list with the same filters and order.
	PageToken string
	// ExactTotal counts matches beyond 1,000.
	ExactTotal bool
}

func (o ListOptions) query() url.Values {
	q := PageOptions{o.Limit, o.PageToken}.query()
	for name, value := range map[string]string{
		"status": string(o.Status), "platform": o.Platform, "name": o.Name, "created_by": o.CreatedBy,
		"label_selector": o.LabelSelector, "order_by": o.OrderBy,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if o.Offset != 0 {
		q.Set("offset", strconv.Itoa(o.Offset))
	}
	if o.ExactTotal {
		q.Set("total", "exact")
	}
	return q
}

// PageOptions are the page of a history. Zero values are absent.
type PageOptions struct {
	// Limit and PageToken are those of [ListOptions].
	Limit     int
	PageToken string
}

func (o PageOptions) query() url.Values {
	q := url.Values{}
	if o.Limit != 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.PageToken != "" {
		q.Set("page_token", o.PageToken)
	}
	return q
}

// biggestPage is how many a page has at most. A walk takes as few as it can.
const biggestPage = 100

// walk goes through pages from the one of a token on. An error ends it, and is yielded with a zero value.
func walk[P, T any](token string, page func(token string) (P, error), open func(P) (entries []T, next string)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := token; ; {
			p, err := page(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			entries, next := open(p)
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}
