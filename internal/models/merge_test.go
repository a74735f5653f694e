package models

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// The examples of RFC 7396, appendix A, between objects, and what a well-known library gets
// wrong: a null in a list is a value.
func TestMergePatch(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{}`, `{"a":[{"b":null},null]}`, `{"a":[{"b":null},null]}`},
		{`{"a":1e0,"b":9007199254740993}`, `{"c":0.10}`, `{"a":1e0,"b":9007199254740993,"c":0.10}`},
		{`{"a":1}`, `null`, `{}`},
	} {
		if got := string(MergePatch(v1.Object(row.target), v1.Object(row.patch))); !sameText(row.want, got) {
			t.Errorf("%s patched with %s is %s, want %s", row.target, row.patch, got, row.want)
		}
	}
}

// sameText compares JSON with the spelling of its numbers.
func sameText(a, b string) bool {
	x, errX := decodeTree(v1.Object(a))
	y, errY := decodeTree(v1.Object(b))
	return errX == nil && errY == nil && cmp.Equal(x, y)
}

// A patch says all that it changes: applied again it changes nothing, and what it names is as
// it says, read from the outside in.
func TestMergePatchProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		target, patch := v1.Object(drawObject(t, 3, nil)), v1.Object(drawObject(t, 3, nil))
		merged := MergePatch(target, patch)
		if again := MergePatch(merged, patch); string(again) != string(merged) {
			t.Errorf("%s patched with %s twice: %s, then %s", target, patch, merged, again)
		}
		checkPatched(t, decodedObject(t, target), decodedObject(t, patch), decodedObject(t, merged))
	})
}

func decodedObject(t *rapid.T, text v1.Object) map[string]any {
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func checkPatched(t *rapid.T, target, patch, after map[string]any) {
	for key, value := range target {
		if _, named := patch[key]; !named && !cmp.Equal(after[key], value) {
			t.Errorf("%q, which the patch does not name, was %v and is %v", key, value, after[key])
		}
	}
	for key, value := range patch {
		got, present := after[key]
		object, isObject := value.(map[string]any)
		switch {
		case value == nil && present:
			t.Errorf("%q was removed, and is %v", key, got)
		case isObject:
			before, _ := target[key].(map[string]any)
			within, ok := got.(map[string]any)
			if !ok {
				t.Fatalf("%q is %v, no object", key, got)
			}
			checkPatched(t, before, object, within)
		case value != nil && !cmp.Equal(got, value):
			t.Errorf("%q is %v, not %v", key, got, value)
		}
	}
	for key := range after {
		_, was := target[key]
		if _, named := patch[key]; !was && !named {
			t.Errorf("%q came from nowhere", key)
		}
	}
}

func TestPatch(t *testing.T) {
	t.Parallel()
	const whole = `{"a":1,"release":{"version":"4.17"},"pull":{"secret":"S","url":"u"}}`
	for _, row := range []struct {
		why    string
		patch  Patch
		want   func(*Resource)
		change Change
	}{
		{"nothing", Patch{}, func(*Resource) {}, Change{}},
		{"the same value", Patch{Spec: v1.Object(`{"a":1.0,"pull":{}}`)}, func(*Resource) {}, Change{}},
		{
			"one field of the spec",
			Patch{Spec: v1.Object(`{"pull":{"url":"v"}}`)},
			func(c *Resource) {
				c.Spec = v1.Object(`{"a":1,"pull":{"secret":"S","url":"v"},"release":{"version":"4.17"}}`)
			},
			Change{Spec: true},
		},
		{
			"null removes a secret and a defaulted field",
			Patch{Spec: v1.Object(`{"pull":{"secret":null},"release":null}`)},
			func(c *Resource) { c.Spec = v1.Object(`{"a":1,"pull":{"url":"u"}}`) },
			Change{Spec: true},
		},
		{
			"a label comes and one goes",
			Patch{Labels: v1.Object(`{"env":null,"team":"a"}`)},
			func(c *Resource) { c.Labels = map[string]string{"team": "a"} },
			Change{Metadata: true},
		},
		{
			"no labels",
			Patch{Labels: v1.Object(`null`)},
			func(c *Resource) { c.Labels = map[string]string{} },
			Change{Metadata: true},
		},
		{
			"what describes it",
			Patch{Common: Common{Fixed: Fixed{ID: new("0195"), Name: new("prod")}, Description: new(""), Paused: new(true)}},
			func(c *Resource) { c.Description, c.Paused = "", true },
			Change{Metadata: true},
		},
	} {
		want := stored(whole)
		row.want(want)
		got, change, err := rules.Patch(stored(whole), row.patch)
		if err != nil {
			t.Errorf("%s: %v", row.why, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" || change != row.change {
			t.Errorf("%s: change %+v, want %+v; -want +got:\n%s", row.why, change, row.change, diff)
		}
	}
}

// The result is judged, not the patch.
func TestPatchFaults(t *testing.T) {
	t.Parallel()
	_, _, err := rules.Patch(stored(`{"platform":{"type":"gcp"}}`), Patch{
		Common: Common{Fixed: Fixed{Name: new("other")}},
		Spec:   v1.Object(`{"platform":{"type":"g c p"}}`), Labels: v1.Object(`{"a b":"c"}`),
	})
	want := []string{
		"name cannot be changed",
		"labels.a b is not a label key: [prefix/]name, the name at most 63 of A-Za-z0-9-_.",
		"spec.platform.type must be 1 to 63 letters, digits and '-'",
	}
	if diff := cmp.Diff(want, faultsOf(t, err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	_, _, err = rules.Patch(stored(`{}`), Patch{Spec: v1.Object(`null`)})
	if diff := cmp.Diff([]string{"spec cannot be removed"}, faultsOf(t, err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
