package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// jsonValues draws JSON values whose strings are those that YAML could take for something else.
func jsonValues() *rapid.Generator[any] {
	text := rapid.OneOf(
		rapid.SampledFrom([]string{
			"", " ", "yes", "no", "on", "off", "y", "n", "true", "null", "~", "0", "007", "0x1f", "0o17", "1e3", "1_000", "1:30", ".5", "+1", "-", "---", "...", "- a",
			"a: b", "a:", "#", "a #b", "&a", "*a", "!t", "!!str", "|", ">", "%", "@", "`", "{", "}", "[", "]", ",", "?", "? a", "'", `"`, `\`, "a\nb", "a\n", "\na", "\n", " a", "a ",
			"\t", "a\tb", "\x1b[31m", "\x7f", "\u0085", "\u2028", "\ufeff", "é", "🙂", "2026-01-02", "2026-01-02T03:04:05Z", ".inf", "-.inf", ".nan", "<<", "=", "a\r\nb", "\r",
			"line one\n  line two\n\nline three\n", "  indented\nless\n",
		}),
		rapid.String(),
	)
	scalar := rapid.OneOf(
		rapid.Map(text, func(s string) any { return s }),
		rapid.Map(rapid.Int64(), func(n int64) any { return json.Number(mustJSON(n)) }),
		rapid.Map(rapid.Float64(), func(n float64) any { return n }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Just[any](nil),
	)
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return scalar
		}
		return rapid.OneOf(
			scalar,
			rapid.Map(rapid.SliceOfN(value(depth-1), 0, 4), func(l []any) any { return l }),
			rapid.Map(rapid.MapOfN(text, value(depth-1), 0, 4), func(m map[string]any) any { return m }),
		)
	}
	return rapid.Map(rapid.MapOfN(text, value(3), 0, 4), func(m map[string]any) any { return m })
}

func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// TestYAMLIsTheSameValue: what cls get -o yaml writes, apply and edit read as it was.
func TestYAMLIsTheSameValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before := mustJSON(jsonValues().Draw(t, "value"))
		text, err := toYAML([]byte(before))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range string(text) {
			if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
				t.Fatalf("a terminal would obey %q in %q", r, text)
			}
		}
		after, err := parseYAML(text)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if len(after) != 1 {
			t.Fatalf("%d documents of\n%s", len(after), text)
		}
		if diff := cmp.Diff(decoded(before), decoded(string(after[0]))); diff != "" {
			t.Fatalf("%s\nwritten as\n%s", diff, text)
		}
	})
}

func decoded(text string) (v any) {
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&v); err != nil {
		panic(err)
	}
	return v
}
