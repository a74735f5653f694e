package schemas

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// place tells a fault from all others of a spec.
type place struct {
	// path are the keys and indexes from the top, joined.
	path string
	// key is the reason; for a choice, since those all read alike, the keyword's address.
	key string
}

// fault is one thing wrong with a spec.
type fault struct {
	path    []string
	key     string
	reason  string
	allowed []string
	// excess is by how much a limit on what an object or a list holds is missed.
	excess int
	// choices are the oneOf and anyOf that it was found within, the outermost first.
	choices []choice
	// leftover says that it is about what no other keyword has looked at.
	leftover bool
}

// choice is a oneOf or anyOf that failed.
type choice struct {
	path []string
	key  string
}

func joined(path []string) string { return strings.Join(path, "\x00") }

func (f fault) place() place { return place{joined(f.path), f.key} }

// walk turns what the library says into faults.
type walk struct {
	// value is the spec.
	value any
	// all says to walk through every alternative of a choice, not only the one that was meant.
	all    bool
	faults []fault
}

// judge returns the faults of a value.
func judge(schema *jsonschema.Schema, value any, all bool) []fault {
	err, isFault := errors.AsType[*jsonschema.ValidationError](schema.Validate(value))
	if !isFault {
		return nil
	}
	w := walk{value: value, all: all}
	w.visit(err, nil)
	return w.faults
}

func (w *walk) visit(e *jsonschema.ValidationError, choices []choice) {
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range e.Causes {
			w.visit(cause, choices)
		}
	case *kind.AnyOf, *kind.OneOf:
		w.choose(e, choices)
	case *kind.PropertyNames: // A badName says it.
	case *badName:
		w.member(e, choices, k.name, "has a name that is not allowed: it "+k.reason)
	case *kind.Required:
		w.members(e, choices, k.Missing, "is required")
	case *kind.AdditionalProperties:
		w.members(e, choices, k.Properties, notAllowed)
	case *kind.Dependency:
		w.members(e, choices, k.Missing, "is required beside "+k.Prop)
	case *kind.DependentRequired:
		w.members(e, choices, k.Missing, "is required beside "+k.Prop)
	default:
		f := leaf(e, choices)
		f.excess = excess(k, w.at(f.path))
		w.add(f)
	}
}

// at returns the value at a path of the spec.
func (w *walk) at(path []string) any {
	value := present{w.value, true}
	for _, segment := range path {
		value = value.child(segment)
	}
	return value.value
}

func (w *walk) add(f fault) { w.faults = append(w.faults, f) }

func (w *walk) members(e *jsonschema.ValidationError, choices []choice, names []string, reason string) {
	for _, name := range names {
		w.member(e, choices, name, reason)
	}
}

// member adds a fault of a member of the object at hand, which need not be there.
func (w *walk) member(e *jsonschema.ValidationError, choices []choice, name, reason string) {
	w.add(fault{path: append(slices.Clip(e.InstanceLocation), name), key: reason, reason: reason, choices: choices})
}

// leaf returns the fault of a value itself.
func leaf(e *jsonschema.ValidationError, choices []choice) fault {
	text, known := reason(e.ErrorKind)
	if !known {
		text = "does not match its schema"
	}
	f := fault{path: e.InstanceLocation, key: text, reason: text, choices: choices}
	switch k := e.ErrorKind.(type) {
	case *kind.Enum:
		f.allowed = texts(k.Want)
	case *kind.Not:
		f.key = "not " + e.SchemaURL
	}
	f.leftover = len(f.path) > 0 &&
		(strings.HasSuffix(e.SchemaURL, "/unevaluatedProperties") || strings.HasSuffix(e.SchemaURL, "/unevaluatedItems"))
	return f
}

// choose adds the fault of a choice. With one alternative that was meant, its faults say most;
// else the choice itself is the fault.
func (w *walk) choose(e *jsonschema.ValidationError, choices []choice) {
	keyword := "anyOf "
	if _, isOneOf := e.ErrorKind.(*kind.OneOf); isOneOf {
		keyword = "oneOf "
	}
	here := choice{e.InstanceLocation, keyword + e.SchemaURL}
	within := append(slices.Clip(choices), here)
	whole := leaf(e, choices)
	whole.key = here.key
	if w.all {
		w.add(whole)
		for _, cause := range e.Causes {
			w.visit(cause, within)
		}
		return
	}
	if one := meant(e); one != nil {
		w.visit(one, within)
		return
	}
	if f, ok := union(e); ok {
		f.key, f.choices = here.key, within
		w.add(f)
		return
	}
	w.add(whole)
}

// leaves returns the faults of an alternative, those of choices within it as one each.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch e.ErrorKind.(type) {
	case *kind.Group, *kind.Reference, *kind.AllOf:
		var list []*jsonschema.ValidationError
		for _, cause := range e.Causes {
			list = append(list, leaves(cause)...)
		}
		return list
	}
	return []*jsonschema.ValidationError{e}
}

// meant returns the one alternative that a value was meant for: all others want another type, or
// another constant in it or directly below, as {"kind": {"const": "nfs"}}; or another of an enum,
// where constants do not tell. It is nil when not exactly one is left.
func meant(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for _, enums := range []bool{false, true} {
		var left []*jsonschema.ValidationError
		for _, alternative := range e.Causes {
			if !slices.ContainsFunc(leaves(alternative), func(l *jsonschema.ValidationError) bool { return rulesOut(l, e, enums) }) {
				left = append(left, alternative)
			}
		}
		if len(left) == 1 {
			return left[0]
		}
	}
	return nil
}

// rulesOut reports whether a fault says that a value was not meant for an alternative of a choice.
func rulesOut(l, choice *jsonschema.ValidationError, enums bool) bool {
	below := len(l.InstanceLocation) - len(choice.InstanceLocation)
	switch l.ErrorKind.(type) {
	case *kind.Type, *kind.FalseSchema:
		return below == 0
	case *kind.Const:
		return below <= 1
	case *kind.Enum:
		return below == 0 || enums && below == 1
	}
	return false
}

// union returns the fault of a choice whose alternatives all want something else at one place:
// what any of them wants there would do.
func union(e *jsonschema.ValidationError) (f fault, ok bool) {
	var values []any
	var names []string
	var path []string
	for _, alternative := range e.Causes {
		i := slices.IndexFunc(leaves(alternative), func(l *jsonschema.ValidationError) bool {
			return rulesOut(l, e, true) && (path == nil || joined(path) == joined(l.InstanceLocation))
		})
		if i < 0 {
			return fault{}, false
		}
		l := leaves(alternative)[i]
		path = l.InstanceLocation
		switch k := l.ErrorKind.(type) {
		case *kind.Type:
			names = append(names, k.Want...)
		case *kind.Const:
			values = append(values, k.Want)
		case *kind.Enum:
			values = append(values, k.Want...)
		}
	}
	var wanted []string
	if len(values) > 0 {
		wanted = append(wanted, oneOf(values))
	}
	wanted = append(wanted, types(distinct(names))...)
	if len(wanted) == 0 {
		return fault{}, false
	}
	f = fault{path: path, reason: "must be " + either(wanted)}
	if len(names) == 0 {
		f.allowed = texts(values)
	}
	return f, true
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// sorted returns the faults in the order of their places, each once.
func (w *walk) sorted() []fault {
	slices.SortStableFunc(w.faults, func(a, b fault) int {
		return cmp.Or(slices.CompareFunc(a.path, b.path, bySegment), cmp.Compare(a.reason, b.reason))
	})
	return slices.CompactFunc(w.faults, func(a, b fault) bool { return a.reason == b.reason && slices.Equal(a.path, b.path) })
}

// bySegment orders indexes by number and all else as text.
func bySegment(a, b string) int {
	i, errI := strconv.Atoi(a)
	j, errJ := strconv.Atoi(b)
	if errI == nil && errJ == nil {
		return cmp.Compare(i, j)
	}
	return cmp.Compare(a, b)
}

// withoutLeftovers leaves out what is said of members that no other keyword has looked at, where
// the object or list has another fault. By the standard a schema that fails has looked at
// nothing: one bad member makes those beside it leftovers, which they are not to its author.
func withoutLeftovers(faults []fault) []fault {
	if !slices.ContainsFunc(faults, func(f fault) bool { return f.leftover }) {
		return faults
	}
	faulty := map[string]bool{}
	for _, f := range faults {
		for n := range len(f.path) + 1 {
			if !f.leftover {
				faulty[joined(f.path[:n])] = true
			}
		}
	}
	return slices.DeleteFunc(faults, func(f fault) bool {
		return f.leftover && faulty[joined(f.path[:len(f.path)-1])]
	})
}
