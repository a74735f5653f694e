package models

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// SigningKeyField is the field of a spec that is a secret in every installation.
const SigningKeyField = "serviceAccountSigningKey"

// SpecPath is a path below spec: the keys from the top.
type SpecPath []string

// ParseSpecPath reads a dotted path.
func ParseSpecPath(dotted string) SpecPath { return strings.Split(dotted, ".") }

// String returns the path as an API client knows it, below spec.
func (p SpecPath) String() string { return "spec." + strings.Join(p, ".") }

// Secrets are the paths that come back to controllers only.
type Secrets []SpecPath

// NewSecrets returns the signing key's path and the given dotted ones.
func NewSecrets(dotted []string) Secrets {
	s := Secrets{{SigningKeyField}}
	for _, d := range dotted {
		s = append(s, ParseSpecPath(d))
	}
	return s
}

// Covers reports whether a field, named by the client's path, is or lies within a secret,
// or is an object that a secret lies within.
func (s Secrets) Covers(field string) bool {
	return slices.ContainsFunc(s, func(p SpecPath) bool {
		path := p.String()
		return field == path || strings.HasPrefix(field, path+".") || strings.HasPrefix(field, path+"[") ||
			strings.HasPrefix(path, field+".")
	})
}

// Redact returns the spec without its secrets. A spec without any is returned as it is,
// at the cost of a search for the last key of each path. The spec must be JSON, as all is that
// the database keeps: it is not judged again, which would cost as much as the rest.
func (s Secrets) Redact(spec v1.Object) v1.Object {
	if !s.mayOccurIn(spec) {
		return spec
	}
	c := cutter{text: spec, out: make([]byte, 0, len(spec))}
	c.space()
	if c.text[c.at] != '{' {
		return v1.Object("{}")
	}
	c.object(s)
	if !c.removed {
		return spec
	}
	return c.out
}

// mayOccurIn is a cheap test that errs on the side of yes: an escape can hide a key, so
// any backslash counts.
func (s Secrets) mayOccurIn(spec v1.Object) bool {
	if bytes.IndexByte(spec, '\\') >= 0 {
		return true
	}
	return slices.ContainsFunc(s, func(p SpecPath) bool {
		return bytes.Contains(spec, []byte(`"`+p[len(p)-1]+`"`))
	})
}

// tree is a decoded spec; numbers keep their spelling.
type tree map[string]any

func decodeTree(spec v1.Object) (tree, error) {
	decoder := json.NewDecoder(strings.NewReader(spec.String()))
	decoder.UseNumber()
	var t tree
	err := decoder.Decode(&t)
	return t, err
}

func (t tree) encode() v1.Object {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(t); err != nil { // Only values that were decoded before.
		panic("models: encode a decoded spec: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}

// parent returns the object that the last key of a path lives in. With make it creates
// the objects on the way; a value in the way that is no object ends it.
func (t tree) parent(path SpecPath, create bool) (map[string]any, bool) {
	at := map[string]any(t)
	for _, key := range path[:len(path)-1] {
		child, present := at[key]
		if !present && create {
			child = map[string]any{}
			at[key] = child
		}
		object, ok := child.(map[string]any)
		if !ok {
			return nil, false
		}
		at = object
	}
	return at, true
}

func (t tree) get(path SpecPath) (any, bool) {
	parent, ok := t.parent(path, false)
	if !ok {
		return nil, false
	}
	value, ok := parent[path[len(path)-1]]
	return value, ok
}

// set does nothing where a value that is no object stands in the way.
func (t tree) set(path SpecPath, value any) {
	if parent, ok := t.parent(path, true); ok {
		parent[path[len(path)-1]] = value
	}
}

func (t tree) remove(path SpecPath) bool {
	parent, ok := t.parent(path, false)
	if !ok {
		return false
	}
	key := path[len(path)-1]
	_, present := parent[key]
	delete(parent, key)
	return present
}
