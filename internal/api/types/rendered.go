package types

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Rendered is the JSON text of a T that was put together from the texts that the
// database keeps. It is written as it is and documented as a T.
type Rendered[T any] []byte

// JSON returns the text.
func (r Rendered[T]) JSON() []byte { return r }

// Schema implements huma's SchemaProvider.
func (Rendered[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}
