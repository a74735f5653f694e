package models

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

var (
	labelName   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)
	labelPrefix = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// checkLabels holds labels against the syntax of Kubernetes ("Labels and Selectors").
// Faults come in the order of the keys.
func checkLabels(labels map[string]string) []Fault {
	var faults []Fault
	keys := make([]string, 0, len(labels))
	for key := range labels {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		field := "labels." + key
		if !isLabelKey(key) {
			faults = append(faults, Fault{
				Field: field, Reason: "is not a label key: [prefix/]name, the name at most 63 of A-Za-z0-9-_.",
			})
		}
		if !isLabelValue(labels[key]) {
			faults = append(faults, Fault{
				Field: field, Value: labels[key],
				Reason: "must be empty or at most 63 of A-Za-z0-9-_., beginning and ending with a letter or digit",
			})
		}
	}
	return faults
}

func isLabelKey(key string) bool {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		name = prefix
	} else if len(prefix) > maxPrefix || !labelPrefix.MatchString(prefix) {
		return false
	}
	return len(name) <= maxLabel && labelName.MatchString(name)
}

func isLabelValue(value string) bool {
	return value == "" || len(value) <= maxLabel && labelName.MatchString(value)
}

// Operator is how a requirement of a selector judges a label.
type Operator string

// The operators. NotIn is met by an object without the label, as in Kubernetes.
const (
	OpIn           Operator = "in"
	OpNotIn        Operator = "notin"
	OpExists       Operator = "exists"
	OpDoesNotExist Operator = "!"
)

// Requirement is one term of a label selector; all terms must be met.
type Requirement struct {
	Key    string
	Op     Operator
	Values []string
}

// Matches reports whether labels meet the requirement.
func (r Requirement) Matches(labels map[string]string) bool {
	value, present := labels[r.Key]
	switch r.Op {
	case OpIn:
		return present && slices.Contains(r.Values, value)
	case OpNotIn:
		return !present || !slices.Contains(r.Values, value)
	case OpExists:
		return present
	default:
		return !present
	}
}

// ParseSelector reads a label selector in the syntax of Kubernetes: a comma-separated
// list of key=value, key==value, key!=value, key in (a,b), key notin (a,b), key and !key.
// A selector that is not understood is INVALID_QUERY at label_selector.
func ParseSelector(text string) ([]Requirement, error) {
	var list []Requirement
	for _, term := range splitTerms(text) {
		r, err := parseTerm(strings.TrimSpace(term))
		if err != nil {
			return nil, Invalid(v1.CodeInvalidQuery, Fault{Field: "label_selector", Reason: "is not a label selector: " + err.Error(), Value: text})
		}
		list = append(list, r)
	}
	return list, nil
}

// splitTerms splits at the commas outside of parentheses.
func splitTerms(text string) []string {
	var terms []string
	depth, start := 0, 0
	for i, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			terms = append(terms, text[start:i])
			start = i + 1
		}
	}
	return append(terms, text[start:])
}

var setTerm = regexp.MustCompile(`^(\S+)\s+(in|notin)\s*\(([^()]*)\)$`)

func parseTerm(term string) (Requirement, error) {
	var r Requirement
	if m := setTerm.FindStringSubmatch(term); m != nil {
		r = Requirement{Key: m[1], Op: Operator(m[2]), Values: strings.Split(m[3], ",")}
	} else if key, value, found := strings.Cut(term, "!="); found {
		r = Requirement{Key: key, Op: OpNotIn, Values: []string{value}}
	} else if key, value, found := strings.Cut(term, "="); found {
		r = Requirement{Key: key, Op: OpIn, Values: []string{strings.TrimPrefix(value, "=")}}
	} else if key, found := strings.CutPrefix(term, "!"); found {
		r = Requirement{Key: key, Op: OpDoesNotExist}
	} else {
		r = Requirement{Key: term, Op: OpExists}
	}
	return r.checked()
}

func (r Requirement) checked() (Requirement, error) {
	r.Key = strings.TrimSpace(r.Key)
	if !isLabelKey(r.Key) {
		return r, fmt.Errorf("%q is not a label key", shorten(r.Key, maxLabel))
	}
	for i, value := range r.Values {
		r.Values[i] = strings.TrimSpace(value)
		if !isLabelValue(r.Values[i]) {
			return r, fmt.Errorf("%q is not a label value", shorten(r.Values[i], maxLabel))
		}
	}
	return r, nil
}
