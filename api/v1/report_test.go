package v1_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// reportRows are reports as controllers really send them, and what they mean.
var reportRows = []struct {
	why  string
	text string
	want v1.StatusReport
}{
	{"nothing at all", `{}`, v1.StatusReport{}},
	{
		"everything", `{"controller_name":"dns","observed_generation":3,"metadata":{"ip":"10.0.0.1"},
			"conditions":[{"type":"Available","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-03-01T13:00:00+01:00"}],
			"last_error":{"error_type":"Fatal","error_code":"E","message":"m","details":{"n":[1]},"user_actionable":true,"retry_after":"30s","timestamp":"2026-03-01T12:00:00Z"}}`,
		v1.StatusReport{
			ControllerName: "dns", ObservedGeneration: 3, Metadata: v1.Object(`{"ip":"10.0.0.1"}`),
			Conditions: []v1.ReportedCondition{{Type: "Available", Status: v1.ConditionTrue, Reason: "R", Message: "m", LastTransitionTime: &noon}},
			LastError: &v1.ReportError{
				ErrorType: v1.ErrorFatal, ErrorCode: "E", Message: "m", Details: json.RawMessage(`{"n":[1]}`),
				UserActionable: true, RetryAfter: json.RawMessage(`"30s"`), Timestamp: &noon,
			},
		},
	},
	{
		"nulls count as absent",
		`{"controller_name":null,"observed_generation":null,"conditions":null,"metadata":null,"last_error":null}`,
		v1.StatusReport{},
	},
	{
		"nulls further down",
		`{"conditions":[null,{"type":"A","status":null,"lastTransitionTime":null}],"last_error":{"error_type":null,"details":null,"retry_after":null,"timestamp":null,"user_actionable":null}}`,
		v1.StatusReport{Conditions: []v1.ReportedCondition{{Type: "A"}}, LastError: &v1.ReportError{}},
	},
	{"unknown fields pass", `{"controller_name":"dns","mood":"good","conditions":[{"type":"A","status":"True","severity":1}]}`, v1.StatusReport{
		ControllerName: "dns", Conditions: []v1.ReportedCondition{{Type: "A", Status: v1.ConditionTrue}},
	}},
	{"wrong types count as absent", `{"controller_name":["dns"],"observed_generation":{},"conditions":{"type":"A"},"metadata":[1],"last_error":"boom"}`, v1.StatusReport{}},
	{"conditions that are no objects are passed over", `{"conditions":["A",1,[],{"type":"B","status":"True"}]}`, v1.StatusReport{Conditions: []v1.ReportedCondition{{Type: "B", Status: v1.ConditionTrue}}}},
	{"a scalar where text belongs is its spelling", `{"controller_name":7,"conditions":[{"type":1.50,"status":true,"reason":404}],"last_error":{"error_code":500}}`, v1.StatusReport{
		ControllerName: "7", Conditions: []v1.ReportedCondition{{Type: "1.50", Status: "true", Reason: "404"}}, LastError: &v1.ReportError{ErrorCode: "500"},
	}},
	{"numbers in details, and their spelling", `{"last_error":{"details":1.50,"retry_after":2.50}}`, v1.StatusReport{
		LastError: &v1.ReportError{Details: json.RawMessage("1.50"), RetryAfter: json.RawMessage("2.50")},
	}},
	{"a flag as text", `{"last_error":{"error_code":"E","user_actionable":"true"}}`, v1.StatusReport{LastError: &v1.ReportError{ErrorCode: "E", UserActionable: true}}},
	{"an empty error is none", `{"last_error":{}}`, v1.StatusReport{}},
	{"an error of unknown fields only is one", `{"last_error":{"oops":1}}`, v1.StatusReport{LastError: &v1.ReportError{}}},
	{"two conditions of one type are for the rules to judge", `{"conditions":[{"type":"A"},{"type":"A"}]}`, v1.StatusReport{Conditions: []v1.ReportedCondition{{Type: "A"}, {Type: "A"}}}},
	{"of one key twice the last stands", `{"controller_name":"a","controller_name":"b"}`, v1.StatusReport{ControllerName: "b"}},
	{"keys have a case", `{"Controller_Name":"a"}`, v1.StatusReport{}},
	{"what is no time counts as absent", `{"conditions":[{"type":"A","lastTransitionTime":"yesterday"},{"type":"B","lastTransitionTime":1772366400}]}`, v1.StatusReport{Conditions: []v1.ReportedCondition{{Type: "A"}, {Type: "B"}}}},
	{"and a time that cannot be written again in UTC", `{"conditions":[{"type":"A","lastTransitionTime":"0000-01-01T00:00:00+23:59"}],"last_error":{"timestamp":"9999-12-31T23:59:59-23:59"}}`, v1.StatusReport{Conditions: []v1.ReportedCondition{{Type: "A"}}, LastError: &v1.ReportError{}}},
}

func TestReportsAreDecodedLeniently(t *testing.T) {
	t.Parallel()
	for _, row := range reportRows {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			var got v1.StatusReport
			if err := json.Unmarshal([]byte(row.text), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestObservedGenerations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		`3`: 3, `0`: 0, `-1`: -1, `3.0`: 3, `3e0`: 3, `30e-1`: 3, `"3"`: 3, `" 3 "`: 3, `"3.0"`: 3, `""`: 0, `null`: 0, `{}`: 0, `[]`: 0,
		`9223372036854775807`: 9223372036854775807, `"9007199254740993"`: 9007199254740993,
		`3.5`: v1.InvalidGeneration, `"abc"`: v1.InvalidGeneration, `true`: v1.InvalidGeneration, `1e99`: v1.InvalidGeneration, `1e999`: v1.InvalidGeneration,
		`-1e99`: v1.InvalidGeneration, `9223372036854775808`: v1.InvalidGeneration, `"NaN"`: v1.InvalidGeneration, `"Inf"`: v1.InvalidGeneration,
	} {
		var got v1.StatusReport
		if err := json.Unmarshal([]byte(`{"observed_generation":`+text+`}`), &got); err != nil || got.ObservedGeneration != want {
			t.Errorf("%s is %d (%v), want %d", text, got.ObservedGeneration, err, want)
		}
	}
}

func TestWhatIsNoObjectIsNoReport(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`null`, `[]`, `"dns"`, `3`, `true`} {
		var got v1.StatusReport
		if err := json.Unmarshal([]byte(text), &got); !errors.Is(err, v1.ErrNotObject) {
			t.Errorf("%s: %v, want ErrNotObject", text, err)
		}
	}
}

// FuzzDecodeStatusReport: every JSON object is a report, and what is written again means the same.
func FuzzDecodeStatusReport(f *testing.F) {
	for _, row := range reportRows {
		f.Add([]byte(row.text))
	}
	f.Add([]byte(`{"observed_generation":1e99,"metadata":{"<":"\u2028\ud800"},"last_error":{"details":"<&>\u0000"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var first, second v1.StatusReport
		if err := json.Unmarshal(text, &first); err != nil {
			var object map[string]json.RawMessage
			if json.Unmarshal(text, &object) == nil && object != nil {
				t.Fatalf("%q is a JSON object and was refused: %v", text, err)
			}
			return
		}
		once, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", text, err)
		}
		if err := json.Unmarshal(once, &second); err != nil {
			t.Fatalf("%q was written as %q: %v", text, once, err)
		}
		twice, err := json.Marshal(second)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q\nwas written as\n%s\nand then as\n%s (%v)", text, once, twice, err)
		}
		if first.ObservedGeneration != second.ObservedGeneration || len(first.Conditions) != len(second.Conditions) || (first.LastError == nil) != (second.LastError == nil) {
			t.Fatalf("%+v became %+v", first, second)
		}
	})
}
