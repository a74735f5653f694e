package models

import (
	"encoding/json"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// SpecCheck returns what is wrong with a spec, by what an installation asks of specs of the kind
// and the platform, in lower case and not empty. stored is the spec that it changes, absent for a
// new one: a change is not refused for faults that were there before and that it leaves alone. A
// SpecCheck looks at nothing but its arguments and is safe for concurrent use. Reasons carry no values.
type SpecCheck func(kind Kind, platform string, spec, stored v1.Object) []Fault

// checkSchema returns the faults that the installation's own check finds. A change of the
// platform is a new beginning: nothing is forgiven.
func (r Rules) checkSchema(spec, stored v1.Object) []Fault {
	if r.Schema == nil {
		return nil
	}
	platform := platformOf(spec)
	if platform == "" {
		return nil
	}
	if platformOf(stored) != platform {
		stored = nil
	}
	return r.Secrets.veil(r.Schema(r.Kind, platform, spec, stored))
}

// platformOf returns spec.platform.type in lower case, "" if there is none that may be.
func platformOf(spec v1.Object) string {
	var name string
	if json.Unmarshal(find(spec, SpecPath{"platform", "type"}), &name) != nil || !platformType.MatchString(name) {
		return ""
	}
	return strings.ToLower(name)
}

// veil lays faults within a secret at the door of the secret itself: what it holds, and of what
// shape, is part of it.
func (s Secrets) veil(faults []Fault) []Fault {
	for i, f := range faults {
		for _, p := range s {
			path := p.String()
			if strings.HasPrefix(f.Field, path+".") || strings.HasPrefix(f.Field, path+"[") {
				faults[i] = Fault{Field: path, Reason: "is not what the schema of its platform allows"}
				break
			}
		}
	}
	return slices.CompactFunc(faults, func(a, b Fault) bool { return a.Field == b.Field && a.Reason == b.Reason })
}

// FieldPath writes the path of a field as clients do: spec.pools[0].size. Segments are keys, and
// indexes in brackets. A very long path is cut.
func FieldPath(segments []string) string { return joinPath(segments) }
