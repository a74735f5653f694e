package schemas

import (
	"errors"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/message"
)

// memberNames is propertyNames once more. The library's own faults of that keyword name another
// place than the one at fault (v6.0.3: they keep a slice that is written to afterwards), and
// nothing of the name within; they are passed over in favour of these.
func memberNames() *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{
		URL: "urn:cls-backend:member-names",
		Compile: func(ctx *jsonschema.CompilerContext, schema map[string]any) (jsonschema.SchemaExt, error) {
			if _, given := schema["propertyNames"]; !given {
				return nil, nil
			}
			return names{ctx.Enqueue([]string{"propertyNames"})}, nil
		},
	}
}

// names is the schema for the names of an object's members.
type names struct{ schema *jsonschema.Schema }

// Validate implements [jsonschema.SchemaExt].
func (n names) Validate(ctx *jsonschema.ValidatorContext, value any) {
	object, _ := value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		err, isFault := errors.AsType[*jsonschema.ValidationError](n.schema.Validate(name))
		if !isFault {
			continue
		}
		w := walk{}
		w.visit(err, nil)
		ctx.AddError(&badName{name, w.sorted()[0].reason})
	}
}

// badName is a member whose name is at fault.
type badName struct{ name, reason string }

// KeywordPath implements [jsonschema.ErrorKind].
func (*badName) KeywordPath() []string { return []string{"propertyNames"} }

// LocalizedString implements [jsonschema.ErrorKind].
func (n *badName) LocalizedString(*message.Printer) string { return n.reason }
