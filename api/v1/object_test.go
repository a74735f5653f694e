package v1_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func TestObject(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why             string
		text            string
		isNull, isEmpty bool
		back            string
	}{
		{"absent", `{}`, false, true, `{}`},
		{"null is kept apart", `{"spec":null}`, true, true, `{}`},
		{"an object without keys was written by somebody", `{"spec":{}}`, false, false, `{}`},
		{"unknown fields and numbers stay as they are", `{"spec":{"b":1.50,"a":[null]}}`, false, false, `{"b":1.50,"a":[null]}`},
		{"of two the last stands", `{"spec":{"a":1},"spec":{"b":2}}`, false, false, `{"b":2}`},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			var body v1.UpdateCluster
			if err := json.Unmarshal([]byte(row.text), &body); err != nil {
				t.Fatal(err)
			}
			o := body.Spec
			if o.IsNull() != row.isNull || o.IsEmpty() != row.isEmpty || o.String() != row.back {
				t.Errorf("null %v, empty %v, %s; want %v, %v, %s", o.IsNull(), o.IsEmpty(), o, row.isNull, row.isEmpty, row.back)
			}
			if out, err := json.Marshal(o); err != nil || string(out) != row.back {
				t.Errorf("written as %s (%v), want %s: never null", out, err, row.back)
			}
		})
	}
	for _, text := range []string{`[]`, `"{}"`, `1`, `true`} {
		var o v1.Object
		if err := json.Unmarshal([]byte(text), &o); !errors.Is(err, v1.ErrNotObject) {
			t.Errorf("%s: %v, want ErrNotObject", text, err)
		}
	}
}

func TestObjectOwnsItsText(t *testing.T) {
	t.Parallel()
	text := []byte(` {"a":1} `)
	var o v1.Object
	if err := o.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	copy(text, " XXXXXXX ")
	if o.String() != `{"a":1}` {
		t.Errorf("%s: changed with the text that it was read from", o)
	}
}

func ExampleObject() {
	var c v1.CreateCluster
	err := json.Unmarshal([]byte(`{"name": "prod", "spec": {"platform": {"type": "gcp"}, "mine": 1.50}}`), &c)
	fmt.Println(err, c.Spec)
	// Output: <nil> {"platform": {"type": "gcp"}, "mine": 1.50}
}

func ExampleStatusReport() {
	report := v1.StatusReport{
		ControllerName:     "dns",
		ObservedGeneration: 3,
		Conditions:         []v1.ReportedCondition{{Type: v1.ConditionAvailable, Status: v1.ConditionTrue, Reason: "ZoneServed"}},
		Metadata:           v1.Object(`{"zone":"prod.example.com"}`),
	}
	text, err := json.MarshalIndent(report, "", "  ")
	fmt.Println(string(text), err)
	// Output:
	// {
	//   "controller_name": "dns",
	//   "observed_generation": 3,
	//   "conditions": [
	//     {
	//       "type": "Available",
	//       "status": "True",
	//       "reason": "ZoneServed"
	//     }
	//   ],
	//   "metadata": {
	//     "zone": "prod.example.com"
	//   }
	// } <nil>
}

func TestPlatformOfASpec(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		`{"platform":{"type":"GCP","zone":1}}`: "GCP", `{"platform":{}}`: "", `{"platform":"gcp"}`: "", `{"platform":{"type":7}}`: "", `null`: "", ``: "",
	} {
		if got := v1.Object(spec).Platform(); got != want {
			t.Errorf("%s: %q", spec, got)
		}
	}
}
