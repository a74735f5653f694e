package models

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	secrets := NewSecrets([]string{"pull.secret", "a.b.c"})
	for _, row := range []struct{ why, spec, want string }{
		{"absent", ``, ``},
		{"every copy of it", `{"serviceAccountSigningKey":"K","pull":{"secret":1},"pull":{"secret":2,"u":"}"}}`, `{"pull":{}, "pull":{"u":"}"}}`},
		{"the signing key", `{"serviceAccountSigningKey":"K","x":1}`, `{"x":1}`},
		{"whatever it holds", `{"serviceAccountSigningKey":[{"K":1}]}`, `{}`},
		{"an escape in the key hides nothing", `{"\u0073erviceAccountSigningKey":"K"}`, `{}`},
		{"only at its own path", `{"deep":{"serviceAccountSigningKey":"k"}}`, `{"deep":{"serviceAccountSigningKey":"k"}}`},
		{"keys have a case", `{"serviceaccountsigningkey":"k"}`, `{"serviceaccountsigningkey":"k"}`},
		{"a nested path", `{"pull":{"secret":"S","url":"u"}}`, `{"pull":{"url":"u"}}`},
		{"a nested path through an escape", `{"pul\u006c":{"secre\u0074":"S"}}`, `{"pul\u006c":{}}`},
		{"three levels", `{"a":{"b":{"c":1,"d":2}}}`, `{"a":{"b":{"d":2}}}`},
		{"a parent that is no object holds no secret", `{"pull":"secret"}`, `{"pull":"secret"}`},
		{"numbers keep their spelling", `{"n":1.50e2,"serviceAccountSigningKey":"K"}`, `{"n":1.50e2}`},
		{"and signs that HTML would escape", `{"serviceAccountSigningKey":"K","x":"<&>"}`, `{"x":"<&>"}`},
		{"what is no JSON object is not shown", `"serviceAccountSigningKey"`, `{}`},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			if got := string(secrets.Redact(v1.Object(row.spec))); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

// hiddenText marks the values that must not come out.
const hiddenText = "TOP-SECRET"

// drawValue draws a JSON value by hand, with keys escaped at random.
func drawValue(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	switch kind {
	case 0:
		return rapid.SampledFrom([]string{"1", "-2.50e1", "0.10"}).Draw(t, "number")
	case 1:
		return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
	case 2, 3:
		return spell(t, rapid.StringN(0, 6, -1).Draw(t, "text"))
	case 4:
		return "[" + strings.Join(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return drawValue(t, depth-1) }), 0, 3).Draw(t, "list"), ",") + "]"
	}
	return drawObject(t, depth-1, nil)
}

// drawObject draws an object with members in any order, the given ones among them.
func drawObject(t *rapid.T, depth int, given map[string]string) string {
	members := maps.Clone(given)
	if members == nil {
		members = map[string]string{}
	}
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		key := rapid.SampledFrom([]string{"x", "list", "secret", "secrets", SigningKeyField + "s"}).Draw(t, "key")
		if _, taken := members[key]; !taken {
			members[key] = drawValue(t, depth)
		}
	}
	var parts []string
	for _, key := range rapid.Permutation(slices.Sorted(maps.Keys(members))).Draw(t, "order") {
		parts = append(parts, spell(t, key)+":"+members[key])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// spell writes a JSON string, some of its characters as \uXXXX.
func spell(t *rapid.T, s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 0xffff || r >= 0x20 && r != '"' && r != '\\' && rapid.IntRange(0, 3).Draw(t, "escape") > 0 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return `"` + b.String() + `"`
}

// drawSecret draws a value that holds the hidden text.
func drawSecret(t *rapid.T) string {
	return rapid.SampledFrom([]string{
		`"` + hiddenText + `"`, `["` + hiddenText + `"]`, `{"k":{"` + hiddenText + `":"` + hiddenText + `"}}`, `[[{"a":"` + hiddenText + `"}]]`,
	}).Draw(t, "secret")
}

func TestRedactProperties(t *testing.T) {
	t.Parallel()
	secrets := NewSecrets([]string{"pull.secret", "a.b.c"})
	rapid.Check(t, func(t *rapid.T) {
		hidden := map[string]string{}
		place := func(path string, in func(string) (string, string)) {
			if rapid.Bool().Draw(t, path) {
				key, value := in(drawSecret(t))
				hidden[key] = value
			}
		}
		place(SigningKeyField, func(s string) (string, string) { return SigningKeyField, s })
		place("pull.secret", func(s string) (string, string) {
			return "pull", drawObject(t, 1, map[string]string{"secret": s})
		})
		place("a.b.c", func(s string) (string, string) {
			return "a", drawObject(t, 0, map[string]string{"b": drawObject(t, 0, map[string]string{"c": s})})
		})
		spec := v1.Object(drawObject(t, 3, hidden))
		out := secrets.Redact(spec)
		if !json.Valid(out) || strings.Contains(string(out), hiddenText) {
			t.Fatalf("%s\nbecame\n%s", spec, out)
		}
		if again := secrets.Redact(out); string(again) != string(out) {
			t.Fatalf("redacted again, %s became %s", out, again)
		}
		if len(hidden) == 0 && string(out) != string(spec) {
			t.Fatalf("a spec without secrets became another text:\n%s\n%s", spec, out)
		}
		// Whoever cannot see the secrets puts back what was read, and changes nothing.
		back := Rules{Secrets: secrets}.keepHidden(spec, out)
		if !sameJSON(spec, back) {
			t.Fatalf("read and put back, %s became %s", spec, back)
		}
	})
}

func TestCovers(t *testing.T) {
	t.Parallel()
	secrets := NewSecrets([]string{"pull.secret"})
	for field, want := range map[string]bool{
		"spec.serviceAccountSigningKey":       true,
		"spec.serviceAccountSigningKey.inner": true,
		"spec.serviceAccountSigningKey[0]":    true,
		"spec.pull.secret":                    true,
		"spec.pull":                           true, // its value would show the secret within
		"spec":                                true,
		"spec.pull.secretive":                 false,
		"spec.pulled":                         false,
		"spec.platform.type":                  false,
		"name":                                false,
	} {
		if got := secrets.Covers(field); got != want {
			t.Errorf("Covers(%s) = %v, want %v", field, got, want)
		}
	}
}
