package schemas

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const notAllowed = "is not allowed"

// reason completes "<field> ..." for a fault. It says what the schema asks for and never what was
// given: that may be a secret. ok is false for what is not said of the value itself.
func reason(k jsonschema.ErrorKind) (text string, ok bool) {
	switch k := k.(type) {
	case *kind.Type:
		return "must be " + either(types(k.Want)), true
	case *kind.Enum:
		return "must be " + oneOf(k.Want), true
	case *kind.Const:
		return "must be " + oneOf([]any{k.Want}), true
	case *kind.Format:
		return "must have the format " + k.Want, true
	case *kind.FalseSchema:
		return notAllowed, true
	case *kind.Not:
		return "must not match what its schema forbids", true
	case *kind.AnyOf:
		return "must match at least one of the alternatives of its schema", true
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			return "must match only one of the alternatives of its schema, not several", true
		}
		return "must match exactly one of the alternatives of its schema", true
	case *kind.RefCycle:
		return "cannot be judged: its schema refers to itself", true
	}
	if text, ok := ofNumber(k); ok {
		return text, true
	}
	return ofSize(k)
}

func ofNumber(k jsonschema.ErrorKind) (text string, ok bool) {
	switch k := k.(type) {
	case *kind.Minimum:
		return "must be at least " + number(k.Want), true
	case *kind.Maximum:
		return "must be at most " + number(k.Want), true
	case *kind.ExclusiveMinimum:
		return "must be more than " + number(k.Want), true
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want), true
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want), true
	}
	return "", false
}

func ofSize(k jsonschema.ErrorKind) (text string, ok bool) {
	switch k := k.(type) {
	case *kind.MinLength:
		return "must be at least " + count(k.Want, "character"), true
	case *kind.MaxLength:
		return "must be at most " + count(k.Want, "character"), true
	case *kind.Pattern:
		return "must match the pattern " + k.Want, true
	case *kind.MinItems:
		return "must have at least " + count(k.Want, "element"), true
	case *kind.MaxItems:
		return "must have at most " + count(k.Want, "element"), true
	case *kind.AdditionalItems:
		return "must have no more elements than its schema lists", true
	case *kind.UniqueItems:
		return "must not have two equal elements", true
	case *kind.Contains:
		return "must have an element that its schema asks for", true
	case *kind.MinContains:
		return "must have at least " + strconv.Itoa(k.Want) + " of the elements that its schema asks for", true
	case *kind.MaxContains:
		return "must have at most " + strconv.Itoa(k.Want) + " of the elements that its schema limits", true
	case *kind.MinProperties:
		return "must have at least " + count(k.Want, "member"), true
	case *kind.MaxProperties:
		return "must have at most " + count(k.Want, "member"), true
	}
	return "", false
}

// excess returns by how much a value misses a limit on what it holds, 0 for other faults. The
// same limit missed by more is not the same fault.
func excess(k jsonschema.ErrorKind, value any) int {
	switch k := k.(type) {
	case *kind.MinItems:
		return k.Want - k.Got
	case *kind.MaxItems:
		return k.Got - k.Want
	case *kind.AdditionalItems:
		return k.Count
	case *kind.MinContains:
		return k.Want - len(k.Got)
	case *kind.MaxContains:
		return len(k.Got) - k.Want
	case *kind.MinProperties:
		return k.Want - k.Got
	case *kind.MaxProperties:
		return k.Got - k.Want
	case *kind.UniqueItems:
		list, _ := value.([]any)
		return surplus(list)
	}
	return 0
}

var nouns = map[string]string{ //nolint:gochecknoglobals // a constant table
	"string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false",
	"array": "an array", "object": "an object", "null": "null",
}

func types(names []string) []string {
	list := make([]string, 0, len(names))
	for _, name := range names {
		if name == "integer" && slices.Contains(names, "number") {
			continue
		}
		list = append(list, nouns[name])
	}
	return list
}

// either joins alternatives: a, b or c.
func either(list []string) string {
	last := len(list) - 1
	if last < 1 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

// maxListed and maxShown bound what is said of the values that a schema lists.
const (
	maxListed = 20
	maxShown  = 60
)

func oneOf(values []any) string {
	list := make([]string, 0, len(values))
	for _, value := range values {
		list = append(list, shown(value))
	}
	if len(list) == 1 {
		return list[0]
	}
	if len(list) > maxListed {
		list = append(list[:maxListed], "...")
	}
	return "one of " + strings.Join(list, ", ")
}

func shown(value any) string {
	text, err := json.Marshal(value)
	if err != nil || len(text) > maxShown {
		return "a value that its schema gives"
	}
	return string(text)
}

// texts returns values if all of them are texts and few.
func texts(values []any) []string {
	list := make([]string, 0, len(values))
	for _, value := range values {
		text, isText := value.(string)
		if !isText || len(values) > maxListed {
			return nil
		}
		list = append(list, text)
	}
	return list
}

func number(r *big.Rat) string {
	const plain = 20
	if text := r.Num().String(); r.IsInt() && len(text) <= plain {
		return text
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
