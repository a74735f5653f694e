package schemas

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// maxFaults is how many faults Check returns at most: what an answer has room for. maxValues is how
// many values a spec may hold to be judged. The library keeps every fault it finds: a body of 1 MiB
// has room for 500,000 values, and a choice that fails for each takes half a minute.
const (
	maxFaults = 100
	maxValues = 100_000
)

// Check holds a spec against the schema for its kind and platform, in lower case; without one
// nothing is wrong. Faults come in the order of their places, the first 100 of them, and no reason
// carries a value of the spec. It is a [models.SpecCheck].
//
// stored is the spec that this one changes, absent for a new one. A change is not refused for
// what was wrong before it. A fault is forgiven if the stored spec has it too, at the same place
// and for the same reason, and
//
//   - the value there is the same, or absent in both;
//   - or it is an object or a list in both, whose members have faults of their own. A limit on
//     their number must not be missed by more than it was.
//
// A fault within a oneOf or anyOf that the same object or value missed before is forgiven too if
// the value at fault is the same: which of the alternatives is meant may have changed. An element
// of a list is the same one where an equal one was in the list, or where it has only changed.
func (s *Set) Check(kind models.Kind, platform string, spec, stored v1.Object) []models.Fault {
	schema := s.schemas[subject{kind, platform}]
	if schema == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(spec.String()))
	if err != nil { // It was decoded before.
		return []models.Fault{{Field: "spec", Reason: "must be a JSON object"}}
	}
	if size(value) > maxValues {
		return tooMany(stored)
	}
	w := walk{faults: withoutLeftovers(judge(schema, value, false))}
	if len(w.faults) > 0 && !stored.IsEmpty() {
		w.faults = unforgiven(schema, w.faults, spec, stored)
	}
	faults := w.sorted()
	list := make([]models.Fault, 0, min(len(faults), maxFaults))
	for _, f := range faults[:cap(list)] {
		list = append(list, f.shown(value))
	}
	return list
}

// size returns how many values a value consists of.
func size(value any) int {
	n := 1
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			n += size(member)
		}
	case []any:
		for _, element := range value {
			n += size(element)
		}
	}
	return n
}

// tooMany returns the fault of a spec of too many values, which is forgiven like any other.
func tooMany(stored v1.Object) []models.Fault {
	if old, err := jsonschema.UnmarshalJSON(strings.NewReader(stored.String())); err == nil && size(old) > maxValues {
		return nil
	}
	return []models.Fault{{
		Field: "spec", Reason: "holds more than " + strconv.Itoa(maxValues) + " values, too many to hold against its schema",
	}}
}

// unforgiven returns the faults that a change of the stored spec is refused for.
func unforgiven(schema *jsonschema.Schema, faults []fault, spec, stored v1.Object) []fault {
	old, err := jsonschema.UnmarshalJSON(strings.NewReader(stored.String()))
	b := before{lists: map[string][]int{}}
	if err != nil || json.Unmarshal(stored, &b.old) != nil || json.Unmarshal(spec, &b.new) != nil {
		return faults
	}
	known := map[place]int{}
	for _, f := range judge(schema, old, true) {
		known[f.place()] = max(f.excess, known[f.place()])
	}
	if len(known) == 0 {
		return faults
	}
	var left []fault
	for _, f := range faults {
		if !b.forgives(f, known) {
			left = append(left, f)
		}
	}
	return left
}

// forgives reports whether a fault is one that the change is not to blame for.
func (b *before) forgives(f fault, known map[place]int) bool {
	origin, pair, ok := b.trace(f.path)
	if !ok {
		return false
	}
	excess, had := known[place{joined(origin), f.key}]
	if had && (pair.unchanged() || pair.container() && f.excess <= excess) {
		return true
	}
	if !pair.unchanged() {
		return false
	}
	for _, c := range f.choices {
		at, _, ok := b.trace(c.path)
		if _, had := known[place{joined(at), c.key}]; ok && had {
			return true
		}
	}
	return false
}

// shown returns the fault as a client knows it.
func (f fault) shown(spec any) models.Fault {
	segments, at := []string{"spec"}, spec
	for _, segment := range f.path {
		switch parent := at.(type) {
		case []any:
			segments = append(segments, "["+segment+"]")
			i, _ := strconv.Atoi(segment)
			at = parent[i]
		case map[string]any:
			segments = append(segments, segment)
			at = parent[segment]
		}
	}
	out := models.Fault{Field: models.FieldPath(segments), Reason: f.reason, Allowed: f.allowed}
	switch at.(type) {
	case string, json.Number, bool:
		out.Value = at
	}
	return out
}
