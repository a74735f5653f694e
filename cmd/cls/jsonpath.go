package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/theory/jsonpath"
)

// template is a text with JSONPath (RFC 9535) in braces, as kubectl has it: {.status.phase},
// {range .clusters[*]}{.name}{"\n"}{end}.
type template struct{ parts []part }

// part is a text, a path, or what is repeated for each value of a path.
type part struct {
	text string
	path *jsonpath.Path
	body *template // of a range
}

// parseTemplate reads a template. A path alone needs no braces.
func parseTemplate(text string) (*template, error) {
	if text == "" {
		return nil, errors.New("a path is missing, such as {.status.phase}")
	}
	if !strings.Contains(text, "{") {
		text = "{" + text + "}"
	}
	t, rest, err := parseParts(text, false)
	if err == nil && rest != "" {
		err = errors.New("{end} without {range}")
	}
	return t, err
}

// parseParts reads up to the end of the text, or of a range, and returns what comes after that.
func parseParts(text string, inRange bool) (*template, string, error) {
	t := &template{}
	for text != "" {
		before, after, found := strings.Cut(text, "{")
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !found {
			break
		}
		inner, rest, err := untilBrace(after)
		if err != nil {
			return nil, "", err
		}
		if inner == "end" {
			if !inRange {
				return t, "{end}" + rest, nil
			}
			return t, rest, nil
		}
		p, rest, err := parsePart(inner, rest)
		if err != nil {
			return nil, "", err
		}
		t.parts, text = append(t.parts, p), rest
	}
	if inRange {
		return nil, "", errors.New("{range} without {end}")
	}
	return t, "", nil
}

// parsePart reads what stands in braces, and for a range what follows them.
func parsePart(inner, rest string) (part, string, error) {
	if strings.HasPrefix(inner, `"`) || strings.HasPrefix(inner, `'`) {
		text, err := strconv.Unquote(`"` + inner[1:max(1, len(inner)-1)] + `"`)
		if err != nil || inner[0] != inner[len(inner)-1] {
			return part{}, "", fmt.Errorf("%s is no text", inner)
		}
		return part{text: text}, rest, nil
	}
	path, repeated := strings.CutPrefix(inner, "range ")
	p, err := parsePath(path)
	if err != nil {
		return part{}, "", err
	}
	if !repeated {
		return part{path: p}, rest, nil
	}
	body, rest, err := parseParts(rest, true)
	return part{path: p, body: body}, rest, err
}

// parsePath reads a path, which may leave out the $ at its beginning, or begin with @, as in kubectl.
func parsePath(text string) (*jsonpath.Path, error) {
	text = strings.TrimSpace(text)
	path := strings.TrimPrefix(strings.TrimPrefix(text, "$"), "@")
	if path == "." {
		path = ""
	}
	if path != "" && path[0] != '.' && path[0] != '[' {
		path = "." + path
	}
	p, err := jsonpath.Parse("$" + path)
	if err != nil {
		return nil, fmt.Errorf("{%s} is no JSONPath: %s", text, strings.TrimPrefix(err.Error(), "jsonpath: "))
	}
	return p, nil
}

// untilBrace parts a text at the first closing brace that is not in quotes.
func untilBrace(text string) (inner, rest string, err error) {
	var quote rune
	escaped := false
	for i, r := range text {
		switch {
		case escaped:
			escaped = false
		case quote != 0 && r == '\\':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case r == '}':
			return strings.TrimSpace(text[:i]), text[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("a brace is not closed in {%s", text)
}

// execute fills a template with a JSON value. It ends the line when the template has not.
func (t *template) execute(value []byte) ([]byte, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(value))
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	var out bytes.Buffer
	t.fill(&out, v)
	if text := out.Bytes(); len(text) > 0 && text[len(text)-1] != '\n' {
		out.WriteByte('\n')
	}
	return out.Bytes(), nil
}

func (t *template) fill(out *bytes.Buffer, v any) {
	for _, p := range t.parts {
		if p.path == nil {
			out.WriteString(p.text)
			continue
		}
		for i, found := range p.path.Select(v) {
			switch {
			case p.body != nil:
				p.body.fill(out, found)
				continue
			case i > 0:
				out.WriteByte(' ')
			}
			out.WriteString(plain(found))
		}
	}
}

// plain is a value as a shell wants it: a string bare, anything else as JSON.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil { // It was JSON before.
		return ""
	}
	return string(text)
}
