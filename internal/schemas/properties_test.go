package schemas

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// object is a JSON object.
type object = map[string]any

// setOf returns a set with one schema, for the clusters of gcp.
func setOf(t *rapid.T, schema any) *Set {
	l := newLoader("")
	// The library asks for the types of its own decoder.
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text(schema)))
	if err == nil {
		err = l.add("cluster.gcp.json", doc)
	}
	compiled := l.compile("cluster.gcp.json")
	if err != nil || compiled == nil {
		t.Fatalf("%s: %v %v", text(schema), err, l.faults)
	}
	return &Set{schemas: map[subject]*jsonschema.Schema{{models.KindCluster, "gcp"}: compiled}}
}

func (s *Set) faults(spec, stored object) []models.Fault {
	var before v1.Object
	if stored != nil {
		before = v1.Object(text(stored))
	}
	return s.Check(models.KindCluster, "gcp", v1.Object(text(spec)), before)
}

var memberKeys = []string{"a", "b", "c", "o", "l"}

// drawSchema returns a schema in which each rule is about a member, or about how many there are.
// With choices there are rules that look at several members at once as well.
func drawSchema(t *rapid.T, depth int, choices bool) any {
	kinds := []string{"type", "enum", "range", "pattern", "not"}
	if depth > 0 {
		kinds = append(kinds, "object", "object", "object", "list", "list")
	}
	if choices {
		kinds = append(kinds, "oneOf", "anyOf", "allOf", "if", "closed")
	}
	again := func() any { return drawSchema(t, depth-1, choices) }
	switch rapid.SampledFrom(kinds).Draw(t, "schema") {
	case "type":
		return object{"type": rapid.SampledFrom([]string{"integer", "string", "boolean", "object", "array"}).Draw(t, "type")}
	case "enum":
		return object{"enum": []any{"x", 1, true}}
	case "range":
		return object{"minimum": 1, "maximum": 2}
	case "pattern":
		return object{"pattern": "^x", "maxLength": 2}
	case "not":
		return object{"not": object{"const": "y"}}
	case "list":
		return object{
			"items": again(), "minItems": rapid.IntRange(0, 2).Draw(t, "min"), "maxItems": rapid.IntRange(1, 3).Draw(t, "max"), "uniqueItems": true,
		}
	case "oneOf", "anyOf", "allOf":
		keyword := rapid.SampledFrom([]string{"oneOf", "anyOf", "allOf"}).Draw(t, "keyword")
		if depth <= 0 {
			return object{keyword: []any{object{"const": "x"}, object{"type": "integer"}}}
		}
		return object{keyword: []any{again(), again()}}
	case "if":
		if depth <= 0 {
			return true
		}
		return object{"if": again(), "then": again(), "else": again()}
	case "closed":
		if depth <= 0 {
			return true
		}
		return object{"allOf": []any{again()}, "unevaluatedProperties": false}
	}
	properties := object{"id": true}
	for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom(memberKeys), rapid.ID[string]).Draw(t, "properties") {
		properties[key] = again()
	}
	s := object{
		"properties": properties, "additionalProperties": rapid.Bool().Draw(t, "additional"),
		"required":      rapid.SliceOfNDistinct(rapid.SampledFrom(memberKeys), 0, 2, rapid.ID[string]).Draw(t, "required"),
		"maxProperties": rapid.IntRange(1, 6).Draw(t, "most"), "minProperties": rapid.IntRange(0, 2).Draw(t, "least"),
	}
	if rapid.Bool().Draw(t, "names") {
		s["propertyNames"] = object{"pattern": "^[abl]|id"}
	}
	return s
}

// fresh numbers the objects, so that no two are equal.
type fresh struct{ n int }

func (f *fresh) value(t *rapid.T, depth int) any {
	switch kind := rapid.IntRange(0, 6).Draw(t, "value"); {
	case kind == 0 && depth > 0:
		list := []any{}
		for range rapid.IntRange(0, 4).Draw(t, "length") {
			list = append(list, f.object(t, depth-1))
		}
		return list
	case kind <= 2 && depth > 0:
		return f.object(t, depth-1)
	}
	return rapid.SampledFrom([]any{1.0, 2.0, 3.0, 1.5, "x", "xy", "y", "xyz", true, nil}).Draw(t, "scalar")
}

func (f *fresh) object(t *rapid.T, depth int) object {
	f.n++
	o := object{"id": float64(f.n)}
	for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom(memberKeys), rapid.ID[string]).Draw(t, "keys") {
		o[key] = f.value(t, depth)
	}
	return o
}

func clone(o object) (c object) {
	if err := json.Unmarshal([]byte(text(o)), &c); err != nil {
		panic(err)
	}
	return c
}

// change is one change of a spec.
type change struct {
	field string // what is set or removed, or the list that an element is put into or taken from
	// element is the new element of a list; "" for none.
	element string
	isList  bool
	// plain says that the field has become absent or a scalar.
	plain bool
}

// touches reports whether a fault is at, within or around what has changed. A list that gets or
// loses an element touches no other of its elements.
func (c change) touches(field string) bool {
	if !c.isList {
		return within(field, c.field) || within(c.field, field)
	}
	return within(c.field, field) || c.element != "" && within(field, c.element)
}

func within(field, around string) bool {
	return field == around || strings.HasPrefix(field, around+".") || strings.HasPrefix(field, around+"[")
}

// apply makes one change somewhere in an object at a path, and says which.
func (f *fresh) apply(t *rapid.T, o object, path string) change {
	key := rapid.SampledFrom(memberKeys).Draw(t, "key")
	at := path + "." + key
	down := rapid.IntRange(0, 3).Draw(t, "down") > 0
	switch old := o[key].(type) {
	case object:
		if down {
			return f.apply(t, old, at)
		}
	case []any:
		if down {
			return f.edit(t, o, key, at)
		}
	}
	value, present := o[key]
	if present && rapid.Bool().Draw(t, "remove") {
		delete(o, key)
		return change{field: at, plain: true}
	}
	next := rapid.Custom(func(t *rapid.T) any { return f.value(t, 1) }).Filter(func(v any) bool {
		return !present || !reflect.DeepEqual(v, value)
	}).Draw(t, "next")
	o[key] = next
	return change{field: at, plain: !isContainer(next)}
}

func isContainer(v any) bool { return strings.ContainsAny(text(v)[:1], "{[") }

// edit changes a list of objects.
func (f *fresh) edit(t *rapid.T, o object, key, at string) change {
	list := o[key].([]any)
	i := rapid.IntRange(0, len(list)).Draw(t, "index")
	element := fmt.Sprintf("%s[%d]", at, i)
	if i < len(list) {
		switch rapid.SampledFrom([]string{"change", "remove", "insert"}).Draw(t, "edit") {
		case "change":
			return f.apply(t, list[i].(object), element)
		case "remove":
			o[key] = slices.Delete(list, i, i+1)
			return change{field: at, isList: true}
		}
	}
	o[key] = slices.Insert(list, i, any(f.object(t, 0)))
	return change{field: at, isList: true, element: element}
}

// TestChangeIsRefusedForItselfOnly: where each rule is about a member, a change is refused if it
// touches a member that is at fault afterwards, and for no other. It is refused if it has put a
// value at fault in place.
func TestChangeIsRefusedForItselfOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := setOf(t, drawSchema(t, 3, false))
		f := &fresh{}
		stored := f.object(t, 2)
		spec := clone(stored)
		c := f.apply(t, spec, "spec")
		faults := set.faults(spec, stored)
		for _, fault := range faults {
			if !c.touches(fault.Field) {
				t.Fatalf("%+v is refused, since %s %s\nbefore %s\nafter  %s", c, fault.Field, fault.Reason, text(stored), text(spec))
			}
		}
		for _, fault := range set.faults(spec, nil) {
			if c.plain && fault.Field == c.field && !slices.ContainsFunc(faults, func(f models.Fault) bool { return f.Field == c.field }) {
				t.Fatalf("%+v is accepted, though %s %s\nbefore %s\nafter  %s", c, fault.Field, fault.Reason, text(stored), text(spec))
			}
		}
	})
}

// TestOldFaultsAreForgiven: whatever the rules, no fault that a spec had is one of a change that
// does not touch it, and no fault is made up.
func TestOldFaultsAreForgiven(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := setOf(t, drawSchema(t, 3, true))
		f := &fresh{}
		stored := f.object(t, 2)
		spec := clone(stored)
		c := f.apply(t, spec, "spec")
		old, all := sentences(set.faults(stored, nil)), sentences(set.faults(spec, nil))
		for sentence, field := range sentences(set.faults(spec, stored)) {
			if _, had := old[sentence]; had && !c.touches(field) && !c.isList {
				t.Fatalf("%+v is refused, since %s\nbefore %s\nafter  %s", c, sentence, text(stored), text(spec))
			}
			if _, has := all[sentence]; !has {
				t.Fatalf("%s is made up\nbefore %s\nafter  %s", sentence, text(stored), text(spec))
			}
		}
		if again := set.faults(spec, spec); len(again) > 0 {
			t.Fatalf("no change is refused: %v", again)
		}
		if !maps.Equal(all, sentences(set.faults(spec, nil))) {
			t.Fatal("twice the same gave two answers")
		}
	})
}

// sentences returns the fields of faults by what is said of them.
func sentences(faults []models.Fault) map[string]string {
	all := map[string]string{}
	for _, f := range faults {
		all[f.Field+" "+f.Reason] = f.Field
	}
	return all
}
