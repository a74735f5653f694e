package types

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// List is the query of a list; zero values are absent ones.
type List struct {
	Limit         int
	Offset        int
	OrderBy       string
	PageToken     string
	Status        string
	Platform      string
	Name          string
	ClusterID     string
	CreatedBy     string
	LabelSelector string
	ExactTotal    bool
}

// Delete is the query of a DELETE.
type Delete struct {
	Force  bool
	Reason string
	DryRun bool
}

// ParseList reads a raw query. A parameter that is unknown, empty, given twice or not of its form
// is a fault; the others are returned.
func ParseList(kind models.Kind, raw string) (List, []v1.FieldError) {
	var q List
	known := q.setters()
	if kind == models.KindNodePool {
		known["cluster_id"] = cluster(&q.ClusterID)
		known["clusterId"] = cluster(&q.ClusterID)
	}
	faults := parseQuery(raw, known)
	return q, faults
}

// ParseListWithin reads the raw query of a list that is of one cluster by its path, as ParseList does.
func ParseListWithin(raw string) (List, []v1.FieldError) {
	var q List
	faults := parseQuery(raw, q.setters())
	return q, faults
}

func (q *List) setters() setters {
	var skips bool
	return setters{
		"limit":          number(&q.Limit, 1, 100, "must be a whole number between 1 and 100"),
		"offset":         noting(&skips, number(&q.Offset, 0, 1<<31-1, "must be a whole number and not negative")),
		"order_by":       text(&q.OrderBy),
		"page_token":     unless(&skips, "cannot be given with offset: it says where the page begins", text(&q.PageToken)),
		"status":         text(&q.Status),
		"platform":       text(&q.Platform),
		"name":           text(&q.Name),
		"created_by":     text(&q.CreatedBy),
		"label_selector": text(&q.LabelSelector),
		"total":          exact(&q.ExactTotal),
	}
}

// ParseDelete reads a raw query, as ParseList does.
func ParseDelete(raw string) (Delete, []v1.FieldError) {
	var q Delete
	return q, parseQuery(raw, setters{"force": flag(&q.Force), "reason": reason(&q.Reason), "dry_run": flag(&q.DryRun)})
}

// History is the query of a page of the past; zero values are absent ones.
type History struct {
	Limit     int
	PageToken string
}

// ParseHistory reads a raw query, as ParseList does.
func ParseHistory(raw string) (History, []v1.FieldError) {
	var q History
	faults := parseQuery(raw, setters{
		"limit": number(&q.Limit, 1, 100, "must be a whole number between 1 and 100"), "page_token": text(&q.PageToken),
	})
	return q, faults
}

// Rollback is the query of a rollback.
type Rollback struct {
	To     int
	DryRun bool
}

// ParseRollback reads a raw query, as ParseList does.
func ParseRollback(raw string) (Rollback, []v1.FieldError) {
	var q Rollback
	const reason = "must be the number of a generation"
	faults := parseQuery(raw, setters{"to": number(&q.To, 1, math.MaxInt, reason), "dry_run": flag(&q.DryRun)})
	if q.To == 0 && len(faults) == 0 {
		faults = []v1.FieldError{{Field: "to", Reason: "is required"}}
	}
	return q, faults
}

// ParseMutation reads the raw query of a call that changes something, as ParseList does.
func ParseMutation(raw string) (dryRun bool, faults []v1.FieldError) {
	if raw == "" {
		return false, nil
	}
	faults = parseQuery(raw, setters{"dry_run": flag(&dryRun)})
	return dryRun, faults
}

// ParseNoQuery reads the query of a call that has no parameters.
func ParseNoQuery(raw string) []v1.FieldError {
	if raw == "" {
		return nil
	}
	return parseQuery(raw, nil)
}

// setters take the value of a parameter, and return what is wrong with it or "".
type setters map[string]func(value string) string

func parseQuery(raw string, known setters) []v1.FieldError {
	given, err := url.ParseQuery(raw)
	if err != nil {
		return []v1.FieldError{{Field: "query", Reason: "holds an escape or a separator that is not allowed"}}
	}
	var faults []v1.FieldError
	for _, name := range sortedNames(given) {
		values := given[name]
		fault := v1.FieldError{Field: name, Reason: judge(known[name], values)}
		if fault.Reason == "" {
			continue
		}
		if len(values) == 1 && values[0] != "" {
			fault.Value = values[0]
		}
		faults = append(faults, fault)
	}
	return faults
}

func judge(set func(string) string, values []string) string {
	switch {
	case set == nil:
		return "is not a parameter of this call"
	case len(values) > 1:
		return "is given more than once"
	case values[0] == "":
		return "must not be empty"
	}
	return set(values[0])
}

func sortedNames(given url.Values) []string {
	names := make([]string, 0, len(given))
	for name := range given {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func text(to *string) func(string) string {
	return func(value string) string {
		*to = value
		return ""
	}
}

// cluster is an id in its canonical form. The parameter has two names, and may be given under
// one of them; a fault names the one that was used.
func cluster(to *string) func(string) string {
	return func(value string) string {
		id := strings.ToLower(value)
		switch {
		case *to != "":
			return "is given under its other name too"
		case !models.IsID(id):
			return "must be a UUID"
		}
		*to = id
		return ""
	}
}

// noting has a parameter leave word that it was given.
func noting(given *bool, set func(string) string) func(string) string {
	return func(value string) string {
		*given = true
		return set(value)
	}
}

// unless is a parameter that one before it in the alphabet excludes.
func unless(given *bool, otherwise string, set func(string) string) func(string) string {
	return func(value string) string {
		if *given {
			return otherwise
		}
		return set(value)
	}
}

func number(to *int, least, most int, otherwise string) func(string) string {
	return func(value string) string {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return otherwise
		}
		*to = n
		return ""
	}
}

func flag(to *bool) func(string) string {
	return func(value string) string {
		*to = value == "true"
		if value != "true" && value != "false" {
			return "must be true or false"
		}
		return ""
	}
}

func exact(to *bool) func(string) string {
	return func(value string) string {
		*to = value == "exact"
		if !*to {
			return `must be "exact"`
		}
		return ""
	}
}

// maxReason is the longest reason for a deletion, in bytes.
const maxReason = 1024

func reason(to *string) func(string) string {
	return func(value string) string {
		*to = value
		if len(value) > maxReason {
			return "must be at most 1024 bytes"
		}
		return ""
	}
}
