package models

import (
	"bytes"
	"encoding/json"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// cutter copies a valid JSON object without the members that paths lead to, in one go
// through its text: decoding and encoding a spec would cost more than the rest of an answer.
type cutter struct {
	text []byte
	at   int
	out  []byte
	// removed says that something was left out.
	removed bool
}

// find returns the value that a path leads to in a JSON object, and nil where there is
// none, or no JSON. Keys are compared exactly, and of two the last counts: so PostgreSQL sees it.
func find(spec v1.Object, path SpecPath) json.RawMessage {
	if !json.Valid(spec) {
		return nil
	}
	value := []byte(spec)
	for _, key := range path {
		c := cutter{text: value}
		c.space()
		if c.text[c.at] != '{' {
			return nil
		}
		if value = c.member(key); value == nil {
			return nil
		}
	}
	return value
}

// member returns the value of a key of the object that begins here.
func (c *cutter) member(name string) (value []byte) {
	c.at++
	for c.space(); c.text[c.at] != '}'; c.space() {
		if c.text[c.at] == ',' {
			c.at++
			c.space()
		}
		key, start := c.key(), c.at
		c.skip()
		if string(key) == name {
			value = c.text[start:c.at]
		}
	}
	return value
}

// object copies the object that begins here; paths are taken from it.
func (c *cutter) object(paths []SpecPath) {
	c.at++
	c.out = append(c.out, '{')
	first := len(c.out)
	for c.space(); c.text[c.at] != '}'; c.space() {
		if c.text[c.at] == ',' {
			c.at++
			c.space()
		}
		start := c.at
		key := c.key()
		inner, cut := below(paths, key)
		if cut {
			c.removed = true
			c.skip()
			continue
		}
		if len(c.out) > first {
			c.out = append(c.out, ", "...)
		}
		c.out = append(c.out, c.text[start:c.at]...)
		if value := c.at; len(inner) > 0 && c.text[value] == '{' {
			c.object(inner)
		} else {
			c.skip()
			c.out = append(c.out, c.text[value:c.at]...)
		}
	}
	c.at++
	c.out = append(c.out, '}')
}

// below returns the paths that lead on from a key, and whether one ends at it.
func below(paths []SpecPath, key []byte) (inner []SpecPath, ends bool) {
	for _, path := range paths {
		if path[0] != string(key) {
			continue
		}
		if len(path) == 1 {
			return nil, true
		}
		inner = append(inner, path[1:])
	}
	return inner, false
}

// key reads a key, its colon and the space up to the value.
func (c *cutter) key() []byte {
	start := c.at
	c.str()
	key := c.text[start+1 : c.at-1]
	if bytes.IndexByte(key, '\\') >= 0 {
		var plain string
		_ = json.Unmarshal(c.text[start:c.at], &plain) // Valid: it is part of a valid text.
		key = []byte(plain)
	}
	c.space()
	c.at++
	c.space()
	return key
}

// skip goes to the end of the value that begins here.
func (c *cutter) skip() {
	for depth := 0; ; {
		switch c.text[c.at] {
		case '"':
			c.str()
		case '{', '[':
			depth++
			c.at++
			continue
		case '}', ']':
			depth--
			c.at++
		case ',', ':', ' ', '\t', '\r', '\n':
			c.at++
			continue
		default:
			for strings.IndexByte("{}[],: \t\r\n", c.text[c.at]) < 0 {
				c.at++
			}
		}
		if depth == 0 {
			return
		}
	}
}

// str goes to the end of the string that begins here.
func (c *cutter) str() {
	for c.at++; c.text[c.at] != '"'; c.at++ {
		if c.text[c.at] == '\\' {
			c.at++
		}
	}
	c.at++
}

func (c *cutter) space() {
	for c.text[c.at] <= ' ' {
		c.at++
	}
}
