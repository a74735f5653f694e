package schemas

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// clusters is a set with a schema for the clusters of gcp.
func clusters(t testing.TB, schema string) *Set {
	t.Helper()
	return load(t, map[string]string{"cluster.gcp.json": schema})
}

// TestReasons shows each keyword's place and sentence.
func TestReasons(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		schema, spec string
		want         []string
	}{
		{`{"properties":{"a":{"type":"integer"}}}`, `{"a":"x"}`, []string{"spec.a must be an integer"}},
		{`{"properties":{"a":{"type":["string","null","number"]}}}`, `{"a":[]}`, []string{"spec.a must be null, a number or a string"}},
		{`{"properties":{"a":{"enum":["x",1,null,{"b":[]}]}}}`, `{"a":"y"}`, []string{`spec.a must be one of "x", 1, null, {"b":[]}`}},
		{`{"properties":{"a":{"enum":["x"]}}}`, `{"a":"y"}`, []string{`spec.a must be "x"`}},
		{`{"properties":{"a":{"const":true}}}`, `{"a":"y"}`, []string{`spec.a must be true`}},
		{`{"properties":{"a":{"minimum":0.5,"multipleOf":0.1}}}`, `{"a":0.25}`, []string{"spec.a must be a multiple of 0.1", "spec.a must be at least 0.5"}},
		{`{"properties":{"a":{"maximum":1000000}}}`, `{"a":1000001}`, []string{"spec.a must be at most 1000000"}},
		{`{"properties":{"a":{"exclusiveMinimum":1},"b":{"exclusiveMaximum":1e300}}}`, `{"a":1,"b":1e300}`, []string{"spec.a must be more than 1", "spec.b must be less than 1e+300"}},
		{`{"properties":{"a":{"minLength":2},"b":{"maxLength":1},"c":{"pattern":"^x+$"}}}`, `{"a":"ö","b":"öö","c":"xyx"}`, []string{
			"spec.a must be at least 2 characters", "spec.b must be at most 1 character", "spec.c must match the pattern ^x+$",
		}},
		{`{"properties":{"a":{"format":"ipv4"}}}`, `{"a":"1.2.3"}`, []string{"spec.a must have the format ipv4"}},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"format":"ipv4"}}}`, `{"a":"1.2.3"}`, []string{"spec.a must have the format ipv4"}},
		{`{"properties":{"a":{"format":"unheard-of"}}}`, `{"a":"1.2.3"}`, []string{}},
		{`{"properties":{"a":{"minItems":2},"b":{"maxItems":1},"c":{"uniqueItems":true}}}`, `{"a":[1],"b":[1,2],"c":[1,1.0]}`, []string{
			"spec.a must have at least 2 elements", "spec.b must have at most 1 element", "spec.c must not have two equal elements",
		}},
		{`{"properties":{"a":{"items":{"type":"object","required":["n"]}}}}`, `{"a":[{"n":1},{},{"n":1},7]}`, []string{"spec.a[1].n is required", "spec.a[3] must be an object"}},
		{`{"properties":{"a":{"prefixItems":[{"type":"string"}],"items":false}}}`, `{"a":["x",1]}`, []string{"spec.a[1] is not allowed"}},
		{`{"properties":{"a":{"contains":{"type":"string"}}}}`, `{"a":[1,2]}`, []string{"spec.a must have an element that its schema asks for"}},
		{`{"required":["a","b.c"],"additionalProperties":false}`, `{"x":1,"y.z":2}`, []string{
			"spec.a is required", "spec.b.c is required", "spec.x is not allowed", "spec.y.z is not allowed",
		}},
		{`{"minProperties":3}`, `{"x":1}`, []string{"spec must have at least 3 members"}},
		{`{"maxProperties":1}`, `{"x":1,"y":1}`, []string{"spec must have at most 1 member"}},
		{`{"properties":{"no":false}}`, `{"no":1}`, []string{"spec.no is not allowed"}},
		{`{"properties":{"a":{"not":{"type":"string"}}}}`, `{"a":""}`, []string{"spec.a must not match what its schema forbids"}},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, []string{"spec.b is required beside a"}},
		{`{"dependentSchemas":{"a":{"required":["b"]}}}`, `{"a":1}`, []string{"spec.b is required"}},
		{`{"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"]},"else":{"required":["c"]}}`, `{"a":1}`, []string{"spec.b is required"}},
		{`{"allOf":[{"required":["a"]},{"properties":{"b":{"type":"string"}}}]}`, `{"b":1}`, []string{"spec.a is required", "spec.b must be a string"}},
		{`{"allOf":[{"required":["a"]},{"required":["a"]}]}`, `{"b":1}`, []string{"spec.a is required"}},
		{`{"properties":{"a":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"string"}}}`, `{"a":1}`, []string{"spec.a must be a string"}},
		{
			`{"properties":{"a":{"properties":{"c":{"propertyNames":{"pattern":"^[a-z]+$"}}}},"b":{"properties":{"z":{}}}}}`,
			`{"a":{"c":{"Bad":1,"good":1},"d":{"x":1}},"b":{"z":{"y":{}}}}`,
			[]string{"spec.a.c.Bad has a name that is not allowed: it must match the pattern ^[a-z]+$"},
		},
		{`{"allOf":[{"properties":{"a":{"type":"string"},"b":{}}}],"unevaluatedProperties":false}`, `{"a":"","b":1,"c":1}`, []string{"spec.c is not allowed"}},
		{`{"allOf":[{"properties":{"a":{"type":"string"},"b":{}}}],"unevaluatedProperties":false}`, `{"a":1,"b":1}`, []string{"spec.a must be a string"}},
		{`{"properties":{"a":{"$ref":"#/properties/a"}}}`, `{"a":1}`, []string{"spec.a cannot be judged: its schema refers to itself"}},
		{`{"required":[""],"properties":{"a":{"properties":{"":{"type":"string"}}}}}`, `{"a":{"":1}}`, []string{"spec. is required", "spec.a. must be a string"}},
	} {
		if diff := cmp.Diff(row.want, clusters(t, row.schema).said(row.spec, "")); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", row.schema, row.spec, diff)
		}
	}
}

// TestChoices: of oneOf and anyOf the alternative that was meant speaks, if there is one.
func TestChoices(t *testing.T) {
	t.Parallel()
	const disk = `{"oneOf":[
		{"properties":{"kind":{"const":"nfs"},"host":{"type":"string"}},"required":["kind","host"]},
		{"properties":{"kind":{"const":"local"},"size":{"enum":[1,2]}},"required":["kind","size"]}]}`
	const set = `{"properties":{"d":` + disk + `,
		"n":{"anyOf":[{"type":"integer"},{"type":"null"},{"enum":["all"]}]},
		"e":{"oneOf":[{"const":"a"},{"const":"b"}]},
		"x":{"oneOf":[{"required":["p"]},{"required":["q"]}]},
		"o":{"anyOf":[{"type":"string"},{"type":"object","required":["m"]}]}}}`
	for spec, want := range map[string][]string{
		`{"d":{"kind":"nfs"}}`:                  {"spec.d.host is required"},
		`{"d":{"kind":"local","size":3}}`:       {"spec.d.size must be one of 1, 2"},
		`{"d":{"kind":"ftp"}}`:                  {`spec.d.kind must be one of "nfs", "local"`},
		`{"d":{}}`:                              {"spec.d must match exactly one of the alternatives of its schema"},
		`{"d":{"kind":"nfs","host":"h"}}`:       {},
		`{"n":"some"}`:                          {`spec.n must be "all", an integer or null`},
		`{"n":null}`:                            {},
		`{"e":"c"}`:                             {`spec.e must be one of "a", "b"`},
		`{"x":{}}`:                              {"spec.x must match exactly one of the alternatives of its schema"},
		`{"x":{"p":1,"q":1}}`:                   {"spec.x must match only one of the alternatives of its schema, not several"},
		`{"o":{}}`:                              {"spec.o.m is required"},
		`{"o":5,"d":{"kind":"nfs","host":"h"}}`: {"spec.o must be an object or a string"},
	} {
		if diff := cmp.Diff(want, clusters(t, set).said(spec, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spec, diff)
		}
	}
}

// TestForgives: what was wrong before and was left alone is no reason to refuse a change.
func TestForgives(t *testing.T) {
	t.Parallel()
	const members = `{"properties":{"a":{"type":"integer"},"b":{"type":"integer"},"r":true},"required":["r"],"additionalProperties":false}`
	const nested = `{"properties":{"o":` + members + `},"additionalProperties":false}`
	const pools = `{"properties":{"p":{"items":` + members + `,"maxItems":3,"uniqueItems":true}}}`
	const union = `{"properties":{"u":{"oneOf":[
		{"properties":{"kind":{"const":"a"},"x":{"type":"integer"},"y":{"type":"integer"}},"required":["kind","r"]},
		{"properties":{"kind":{"const":"b"},"x":{"type":"string"},"y":{"type":"integer"}},"required":["kind"]}]}}}`
	const neither = `{"properties":{"u":{"anyOf":[{"required":["p"]},{"required":["q"]}]}}}`
	const cond = `{"if":{"properties":{"mode":{"const":"ha"}},"required":["mode"]},"then":{"required":["n"],"properties":{"s":{"minimum":3}}},"else":{"properties":{"s":{"minimum":3}}}}`
	const closed = `{"allOf":[{"properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}],"unevaluatedProperties":false}`
	for _, row := range []struct {
		why, schema, stored, spec string
		want                      string
	}{
		{"another member changes", members, `{"a":"x","b":1,"r":1}`, `{"a":"x","b":2,"r":1}`, ""},
		{"a member becomes bad beside one that was", members, `{"a":"x","b":1,"r":1}`, `{"a":"x","b":"y","r":1}`, "spec.b must be an integer"},
		{"the bad member changes", members, `{"a":"x","r":1}`, `{"a":"y","r":1}`, "spec.a must be an integer"},
		{"the bad member becomes good", members, `{"a":"x","r":1}`, `{"a":1,"r":1}`, ""},
		{"the bad member goes", members, `{"a":"x","r":1}`, `{"r":1}`, ""},
		{"what is missing was missing", members, `{"a":1}`, `{"a":2}`, ""},
		{"what is missing was there", members, `{"a":1,"r":1}`, `{"a":1}`, "spec.r is required"},
		{"what is not allowed was there", members, `{"z":1,"r":1}`, `{"z":1,"r":1,"a":1}`, ""},
		{"what is not allowed is new", members, `{"z":1,"r":1}`, `{"z":1,"y":1,"r":1}`, "spec.y is not allowed"},
		{"another fault of the same value", `{"properties":{"a":{"type":"string","maxLength":1}}}`, `{"a":1}`, `{"a":"xx"}`, "spec.a must be at most 1 character"},
		{"a number is spelt otherwise", `{"properties":{"a":{"minimum":3}}}`, `{"a":1.0,"b":1}`, `{"a":1,"b":2}`, ""},
		{"two numbers that only a double takes for one", `{"properties":{"a":{"maximum":9007199254740992},"b":{}}}`, `{"a":9007199254740993,"b":1}`, `{"a":9007199254740993,"b":2}`, ""},
		{"within an object", nested, `{"o":{"a":"x"},"q":1}`, `{"o":{"a":"x","b":1},"q":1}`, ""},
		{"the object is new", nested, `{"q":1}`, `{"o":{"a":"x"},"q":1}`, "spec.o.a must be an integer; spec.o.r is required"},
		{"an object for a list", nested, `{"o":[]}`, `{"o":{}}`, "spec.o.r is required"},

		{"an element before it goes", pools, `{"p":[{"r":1},{"a":"x"}]}`, `{"p":[{"a":"x"}]}`, ""},
		{"one comes before it", pools, `{"p":[{"a":"x"}]}`, `{"p":[{"r":1},{"a":"x"}]}`, ""},
		{"another element changes", pools, `{"p":[{"a":"x"},{"r":1}]}`, `{"p":[{"a":"x"},{"r":2}]}`, ""},
		{"the element changes elsewhere", pools, `{"p":[{"a":"x","b":1}]}`, `{"p":[{"a":"x","b":2}]}`, ""},
		{"another bad one comes", pools, `{"p":[{"a":"x"}]}`, `{"p":[{"a":"x"},{"a":"y"}]}`, "spec.p[1].a must be an integer; spec.p[1].r is required"},
		{
			"a copy of a bad one comes", pools, `{"p":[{"a":"x"}]}`, `{"p":[{"a":"x"},{"a":"x"}]}`,
			"spec.p must not have two equal elements; spec.p[1].a must be an integer; spec.p[1].r is required",
		},
		{"too long stays too long", pools, `{"p":[{"r":1},{"r":2},{"r":3},{"r":4}]}`, `{"p":[{"r":1},{"r":2},{"r":3},{"r":5}]}`, ""},
		{"too long becomes shorter", pools, `{"p":[{"r":1},{"r":2},{"r":3},{"r":4},{"r":5}]}`, `{"p":[{"r":1},{"r":2},{"r":3},{"r":4}]}`, ""},
		{"too long becomes longer", pools, `{"p":[{"r":1},{"r":2},{"r":3},{"r":4}]}`, `{"p":[{"r":1},{"r":2},{"r":3},{"r":4},{"r":5}]}`, "spec.p must have at most 3 elements"},
		{"the same twice stays", pools, `{"p":[{"r":1},{"r":1}]}`, `{"p":[{"r":1},{"r":1},{"r":2}]}`, ""},
		{"two pairs for one", pools, `{"p":[{"r":1},{"r":1},{"r":2}]}`, `{"p":[{"r":1},{"r":1},{"r":1}]}`, "spec.p must not have two equal elements"},

		{"no alternative before and after", neither, `{"u":{"a":1}}`, `{"u":{"a":2}}`, ""},
		{"no alternative any more", neither, `{"u":{"p":1}}`, `{"u":{}}`, "spec.u must match at least one of the alternatives of its schema"},
		{"another scalar that is none", `{"properties":{"u":{"oneOf":[{"const":"a"},{"const":"b"}]}}}`, `{"u":"c"}`, `{"u":"d"}`, `spec.u must be one of "a", "b"`},
		{"the same scalar that is none", `{"properties":{"u":{"oneOf":[{"const":"a"},{"const":"b"}]}}}`, `{"u":"c"}`, `{"u":"c","v":1}`, ""},
		{"within the alternative", union, `{"u":{"kind":"a","x":"s"}}`, `{"u":{"kind":"a","x":"s","z":1}}`, ""},
		{"a new fault within it", union, `{"u":{"kind":"a","x":"s"}}`, `{"u":{"kind":"a","x":"s","y":"s"}}`, "spec.u.y must be an integer"},
		{"the alternative becomes known", union, `{"u":{"x":"s"}}`, `{"u":{"x":"s","kind":"a"}}`, ""},
		{"the alternative becomes known, with another fault", union, `{"u":{"x":"s"}}`, `{"u":{"x":"s","kind":"a","y":"s"}}`, "spec.u.y must be an integer"},
		{"another alternative for one that was right", union, `{"u":{"kind":"b","x":"s"}}`, `{"u":{"kind":"a","x":"s"}}`, "spec.u.r is required; spec.u.x must be an integer"},
		{"the alternative is not known any more", union, `{"u":{"kind":"a","x":"s"}}`, `{"u":{"x":"s"}}`, ""},
		{"no such alternative, before and after", union, `{"u":{"kind":"c"}}`, `{"u":{"kind":"c","z":1}}`, ""},
		{"no such alternative for another that is none", union, `{"u":{"kind":"c"}}`, `{"u":{"kind":"d"}}`, `spec.u.kind must be one of "a", "b"`},
		{"the choice within an element that moves", `{"properties":{"l":{"items":` + neither + `}}}`, `{"l":[{"u":{}}]}`, `{"l":[{"u":{"p":1}},{"u":{}}]}`, ""},

		{"a condition asks for more", cond, `{"mode":"one"}`, `{"mode":"ha"}`, "spec.n is required"},
		{"a condition asked already", cond, `{"mode":"ha"}`, `{"mode":"ha","x":1}`, ""},
		{"the same fault under another branch", cond, `{"mode":"one","s":1,"n":1}`, `{"mode":"ha","s":1,"n":1}`, ""},
		{"forbidden before and after", `{"properties":{"a":{"not":{"required":["p"]}}}}`, `{"a":{"p":1}}`, `{"a":{"p":2}}`, ""},

		{"a good member beside a bad one, where leftovers are refused", closed, `{"a":"x","b":1}`, `{"a":"x","b":2}`, ""},
		{"a leftover that was hidden comes to light", closed, `{"a":"x","z":1}`, `{"a":1,"z":1}`, ""},
		{"a leftover comes", closed, `{"a":1}`, `{"a":1,"z":1}`, "spec.z is not allowed"},
	} {
		got := strings.Join(clusters(t, row.schema).said(row.spec, row.stored), "; ")
		if got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.why, got, row.want)
		}
		if same := clusters(t, row.schema).said(row.stored, row.stored); len(same) > 0 {
			t.Errorf("%s: no change is refused: %v", row.why, same)
		}
	}
}

// TestNumbersAreExact: beyond 2^53 too, and where a double is not quite the decimal.
func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	set := clusters(t, `{"properties":{"a":{"maximum":9007199254740992},"b":{"multipleOf":0.01},"c":{"type":"integer"}}}`)
	if got := set.said(`{"a":9007199254740992,"b":1.1,"c":1e3}`, ""); len(got) > 0 {
		t.Errorf("refused: %v", got)
	}
	if got := set.said(`{"a":9007199254740993,"b":1.001,"c":1e-3}`, ""); len(got) != 3 {
		t.Errorf("not all is refused: %v", got)
	}
}

// TestValues: what was given comes along if it is a scalar, and so does what may be.
func TestValues(t *testing.T) {
	t.Parallel()
	set := clusters(t, `{"properties":{"a":{"enum":["x","y"]},"b":{"type":"string"},"c":{"type":"string"}},"required":["d"]}`)
	got := set.Check(models.KindCluster, "gcp", v1.Object(`{"a":"z","b":1.50,"c":{"k":"v"}}`), nil)
	want := []models.Fault{
		{Field: "spec.a", Reason: `must be one of "x", "y"`, Value: "z", Allowed: []string{"x", "y"}},
		{Field: "spec.b", Reason: "must be a string", Value: json.Number("1.50")},
		{Field: "spec.c", Reason: "must be a string"},
		{Field: "spec.d", Reason: "is required"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestReasonsCarryNoValue: whatever keyword fails, the sentence does not repeat what was given.
func TestReasonsCarryNoValue(t *testing.T) {
	t.Parallel()
	const secret = "hush73"
	for _, keyword := range []string{
		`"type":"object"`, `"enum":["a"]`, `"const":1`, `"maxLength":1`, `"minLength":100`, `"pattern":"^x"`, `"format":"email"`, `"format":"date-time"`,
		`"format":"ipv6"`, `"format":"uuid"`, `"format":"uri"`, `"format":"regex"`, `"not":{}`, `"oneOf":[{"const":1},{"const":2}]`, `"oneOf":[{},{}]`,
		`"anyOf":[{"pattern":"^x"},{"maxLength":1}]`, `"if":{"type":"string"},"then":false`, `"allOf":[{"const":1}]`, `"$ref":"#/$defs/n"`,
	} {
		set := clusters(t, `{"properties":{"serviceAccountSigningKey":{`+keyword+`}},"$defs":{"n":{"type":"null"}}}`)
		faults := set.Check(models.KindCluster, "gcp", v1.Object(`{"serviceAccountSigningKey":"`+secret+`("}`), nil)
		if len(faults) != 1 {
			t.Errorf("%s: faults %v", keyword, faults)
		}
		for _, f := range faults {
			if f.Field != "spec.serviceAccountSigningKey" || strings.Contains(f.Reason+fmt.Sprint(f.Allowed), secret) {
				t.Errorf("%s: %v", keyword, f)
			}
		}
	}
	lists := clusters(t, `{"properties":{"l":{"uniqueItems":true,"contains":{"const":1}},"n":{"multipleOf":7,"maximum":3}}}`)
	for _, f := range lists.Check(models.KindCluster, "gcp", v1.Object(`{"l":["hush73","hush73"],"n":737373}`), nil) {
		if strings.Contains(f.Reason, "73") {
			t.Errorf("%v", f)
		}
	}
}

// TestVeryManyFaults: an answer has room for a hundred, the first ones; and to forgive, all count.
func TestVeryManyFaults(t *testing.T) {
	t.Parallel()
	set := clusters(t, `{"properties":{"l":{"items":{"type":"integer"}},"z":{"type":"integer"}}}`)
	var list []string
	for i := range 50_000 {
		list = append(list, `"`+strconv.Itoa(i)+`"`)
	}
	spec := func(z string) string { return `{"l":[` + strings.Join(list, ",") + `],"z":` + z + `}` }
	got := set.said(spec("0"), "")
	if len(got) != 100 || got[0] != "spec.l[0] must be an integer" || got[99] != "spec.l[99] must be an integer" {
		t.Errorf("%d faults, from %s to %s", len(got), got[0], got[len(got)-1])
	}
	if got := set.said(spec(`""`), spec("0")); len(got) != 1 || got[0] != "spec.z must be an integer" {
		t.Errorf("got %v", got)
	}
}

// TestTooManyValues: what would take too long to judge is refused, unless it was there before.
func TestTooManyValues(t *testing.T) {
	t.Parallel()
	set := clusters(t, `{"properties":{"z":{"type":"integer"}}}`)
	spec := func(n int) string { return `{"l":[` + strings.Repeat("1,", n) + `1]}` }
	const want = "spec holds more than 100000 values, too many to hold against its schema"
	if got := set.said(spec(99_997), ""); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	for _, stored := range []string{"", `{"l":1}`} {
		if got := set.said(spec(99_998), stored); len(got) != 1 || got[0] != want {
			t.Errorf("got %v", got)
		}
	}
	if got := set.said(spec(99_998), spec(100_000)); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// TestAtOnce: one set serves all requests.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	set := clusters(t, `{"properties":{"a":{"oneOf":[{"type":"string","pattern":"^x"},{"type":"integer"}]}},"propertyNames":{"maxLength":1},"unevaluatedProperties":false}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got := set.said(`{"a":"y","bb":1}`, `{"a":"y"}`); len(got) != 1 {
					t.Errorf("got %v", got)
				}
			}
		})
	}
	wg.Wait()
}
