package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// parseValues reads the JSON values of a text of JSON or YAML. A document of nothing is none.
func parseValues(text []byte) ([]json.RawMessage, error) {
	var values []json.RawMessage
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var v json.RawMessage
		switch err := dec.Decode(&v); {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return parseYAML(text)
		}
		values = append(values, v)
	}
}

func parseYAML(text []byte) ([]json.RawMessage, error) {
	var values []json.RawMessage
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var n yaml.Node
		switch err := dec.Decode(&n); {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, usage("", "neither YAML nor JSON: %s", fault(err))
		}
		asJSON(&n)
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, usage("", "YAML that is no JSON: %s", fault(err))
		}
		if v == nil {
			continue
		}
		value, err := json.Marshal(v)
		if err != nil {
			return nil, usage("", "YAML that is no JSON: it has a name or a number that JSON does not have")
		}
		values = append(values, value)
	}
}

// asJSON makes of dates, and of names such as 80, the strings that they are in JSON.
func asJSON(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!timestamp" {
		n.Tag = "!!str"
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Kind == yaml.ScalarNode && c.ShortTag() != "!!merge" {
			c.Tag = "!!str"
		}
		asJSON(c)
	}
}

// toYAML writes a JSON value as YAML, its fields in the same order.
func toYAML(value []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	n, err := nodeOf(dec)
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return encodeYAML(n)
}

// encodeYAML writes YAML as kubectl does, two spaces a level.
func encodeYAML(v any) ([]byte, error) {
	var text bytes.Buffer
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return text.Bytes(), nil
}

// paragraph reports whether a text of several lines is best read as such.
func paragraph(text string) bool {
	return text[0] > ' ' && !strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') })
}

// nodeOf reads the next JSON value.
func nodeOf(dec *json.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		return collectionOf(dec, t)
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t}
		if t == "<<" || strings.ContainsFunc(t, unicode.IsControl) && !paragraph(t) {
			n.Style = yaml.DoubleQuotedStyle // So that what a terminal would obey is escaped, and << is no merge.
		}
		return n, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(t)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

// collectionOf reads the rest of an object or an array, names and values alike.
func collectionOf(dec *json.Decoder, begin json.Delim) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if begin == '[' {
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	}
	for dec.More() {
		c, err := nodeOf(dec)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, c)
	}
	_, err := dec.Token()
	return n, err
}

// fault is what is wrong with a YAML text, and where, without any of the text itself: there may be secrets in it.
func fault(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	return regexp.MustCompile("`[^`]*`").ReplaceAllString(text, "a value")
}
