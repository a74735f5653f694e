package database

import (
	"encoding/json"
	"strings"
)

// labels scans the labels of a resource. By their syntax they hold nothing that JSON escapes, so that a page need not pay
// for a decoder of all JSON; what is otherwise gets that one.
type labels map[string]string

// ScanBytes implements pgtype.BytesScanner.
func (l *labels) ScanBytes(src []byte) error {
	if *l = plainLabels(string(src)); *l != nil {
		return nil
	}
	return json.Unmarshal(src, (*map[string]string)(l))
}

// plainLabels reads an object of texts without escapes, as PostgreSQL writes a jsonb; nil for anything else.
func plainLabels(text string) labels {
	rest, isObject := strings.CutPrefix(text, "{")
	if !isObject || strings.Contains(text, `\`) {
		return nil
	}
	list := make(labels, strings.Count(text, `": "`))
	for rest != "}" {
		key, after, paired := strings.Cut(rest, `": "`)
		value, after, closed := strings.Cut(after, `"`)
		key, quoted := strings.CutPrefix(key, `"`)
		if !paired || !closed || !quoted || strings.Contains(key, `"`) {
			return nil
		}
		list[key] = value
		rest = strings.TrimPrefix(after, ", ")
	}
	return list
}
