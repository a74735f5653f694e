package models

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func in(key string, values ...string) Requirement { return Requirement{key, OpIn, values} }

func notIn(key string, values ...string) Requirement { return Requirement{key, OpNotIn, values} }

// selectorRows are selectors with their meaning; none where they are refused.
var selectorRows = []struct {
	why  string
	text string
	want []Requirement
}{
	{"equal", "env=prod", []Requirement{in("env", "prod")}},
	{"doubly equal", "env==prod", []Requirement{in("env", "prod")}},
	{"not equal", "env!=prod", []Requirement{notIn("env", "prod")}},
	{"an empty value", "env=", []Requirement{in("env", "")}},
	{"a set", "env in (prod, test)", []Requirement{in("env", "prod", "test")}},
	{"no space before the set", "env in(prod)", []Requirement{in("env", "prod")}},
	{"a set's complement", "env notin (prod,test)", []Requirement{notIn("env", "prod", "test")}},
	{"the empty value in a set, as in Kubernetes", "env in ()", []Requirement{in("env", "")}},
	{"exists", "env", []Requirement{{"env", OpExists, nil}}},
	{"does not exist", "!env", []Requirement{{"env", OpDoesNotExist, nil}}},
	{"a prefix", "example.com/env=prod", []Requirement{in("example.com/env", "prod")}},
	{"white space around everything", " a = b , ! c ,d  in ( e ) ", []Requirement{in("a", "b"), {"c", OpDoesNotExist, nil}, in("d", "e")}},
	{"commas part terms outside of sets only", "a in (b,c),d", []Requirement{in("a", "b", "c"), {"d", OpExists, nil}}},
	{"a key named in", "notin in (in)", []Requirement{in("notin", "in")}},

	{"nothing", "", nil},
	{"an empty term", "a,,b", nil},
	{"a comma at the end", "a,", nil},
	{"three signs", "a===b", nil},
	{"no key", "=b", nil},
	{"not without a key", "!", nil},
	{"not twice", "!!a", nil},
	{"not with a value", "!a=b", nil},
	{"a space in a value", "a=b c", nil},
	{"a set without end", "a in (b", nil},
	{"a set without beginning", "a in b)", nil},
	{"sets in sets", "a in ((b))", nil},
	{"text behind a set", "a in (b) c", nil},
	{"an unknown operator", "a like (b)", nil},
	{"operators have a case", "a IN (b)", nil},
	{"comparison", "a>1", nil},
	{"two prefixes", "a/b/c", nil},
	{"a value too long", "a=" + strings.Repeat("b", 64), nil},
	{"text for a database", "a='; DROP TABLE clusters;--", nil},
}

func TestParseSelector(t *testing.T) {
	t.Parallel()
	for _, row := range selectorRows {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			got, err := ParseSelector(row.text)
			if row.want != nil {
				if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
					t.Errorf("%v, -want +got:\n%s", err, diff)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != v1.CodeInvalidQuery || len(e.Faults) != 1 || e.Faults[0].Field != "label_selector" {
				t.Errorf("%v, %v: want INVALID_QUERY at label_selector", got, err)
			}
		})
	}
}

// write spells a requirement as a selector.
func (r Requirement) write() string {
	switch r.Op {
	case OpExists:
		return r.Key
	case OpDoesNotExist:
		return "!" + r.Key
	default:
		return fmt.Sprintf("%s %s (%s)", r.Key, r.Op, strings.Join(r.Values, ","))
	}
}

// FuzzParseSelector: whatever is understood is safe to look up and keeps its meaning when written again.
func FuzzParseSelector(f *testing.F) {
	for _, row := range selectorRows {
		f.Add(row.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseSelector(text)
		if err != nil {
			if CodeOf(err) != v1.CodeInvalidQuery {
				t.Fatalf("%v: want INVALID_QUERY", err)
			}
			return
		}
		var parts []string
		for _, r := range list {
			if !isLabelKey(r.Key) || slices.ContainsFunc(r.Values, func(v string) bool { return !isLabelValue(v) }) {
				t.Fatalf("%q: accepted %+v", text, r)
			}
			parts = append(parts, r.write())
		}
		again, err := ParseSelector(strings.Join(parts, ","))
		if diff := cmp.Diff(list, again); diff != "" || err != nil {
			t.Fatalf("%q is %q: %v\n%s", text, parts, err, diff)
		}
	})
}

// TestMatches compares with a reading of the Kubernetes documentation, word by word.
func TestMatches(t *testing.T) {
	t.Parallel()
	word := rapid.SampledFrom([]string{"", "a", "b", "c"})
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.MapOfN(rapid.SampledFrom([]string{"x", "y"}), word, 0, 2).Draw(t, "labels")
		key := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "key")
		values := rapid.SliceOfN(word, 1, 3).Draw(t, "values")
		oneOf := false // the label is there with one of the values
		for k, v := range maps.All(labels) {
			for _, wanted := range values {
				oneOf = oneOf || k == key && v == wanted
			}
		}
		there := strings.Contains("\n"+strings.Join(slices.Collect(maps.Keys(labels)), "\n")+"\n", "\n"+key+"\n")
		set := "(" + strings.Join(values, ",") + ")"
		for selector, want := range map[string]bool{
			key + " in " + set: oneOf, key + " notin " + set: !oneOf, key: there, "!" + key: !there,
		} {
			list, err := ParseSelector(selector)
			if err != nil {
				t.Fatal(err)
			}
			if got := list[0].Matches(labels); got != want {
				t.Fatalf("%s on %v: %v, want %v", selector, labels, got, want)
			}
		}
	})
}
