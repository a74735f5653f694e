package v1

import (
	"bytes"
	"encoding/json"
	"errors"
)

// Object is a free JSON object that is carried as text: the service keeps every field
// in it, known or not. The zero value is an absent object and encodes as {}.
//
// An Object does not own a copy of what it is decoded from beyond the call; it copies.
type Object json.RawMessage

// ErrNotObject says that a JSON value other than an object or null stood where an
// object belongs.
var ErrNotObject = errors.New("must be a JSON object")

// MarshalJSON implements [json.Marshaler].
func (o Object) MarshalJSON() ([]byte, error) {
	if o.IsEmpty() {
		return []byte("{}"), nil
	}
	return o, nil
}

// UnmarshalJSON implements [json.Unmarshaler]. A null is kept apart from an absent
// value, see [Object.IsNull]; anything else that is not an object is [ErrNotObject].
func (o *Object) UnmarshalJSON(text []byte) error {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' && string(text) != "null" {
		return ErrNotObject
	}
	*o = bytes.Clone(text)
	return nil
}

// IsNull reports whether the object was given as null.
func (o Object) IsNull() bool { return string(o) == "null" }

// IsEmpty reports whether the object is absent or null. An object without keys, {},
// is not empty in this sense: somebody wrote it.
func (o Object) IsEmpty() bool { return len(o) == 0 || o.IsNull() }

// String returns the JSON text, {} for an absent object.
func (o Object) String() string {
	if o.IsEmpty() {
		return "{}"
	}
	return string(o)
}

// Platform is platform.type of a spec, as it is spelled there; "" when it names none, or is of another shape.
// Platforms are equal whatever their case.
func (o Object) Platform() string {
	var spec struct {
		Platform struct {
			Type string `json:"type"`
		} `json:"platform"`
	}
	_ = json.Unmarshal([]byte(o), &spec) // What is of another shape names none.
	return spec.Platform.Type
}
