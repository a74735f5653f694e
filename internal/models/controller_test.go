package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// decoded returns a report as a controller sends it.
func decoded(t testing.TB, text string) v1.StatusReport {
	t.Helper()
	var r v1.StatusReport
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func TestCheckReport(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why  string
		text string
		want []string
	}{
		{"the least", `{"controller_name":"dns"}`, nil},
		{"null for everything else", `{"controller_name":"dns","observed_generation":null,"conditions":null,"metadata":null,"last_error":null}`, nil},
		{"an unknown error type, and fields nobody listed", `{"controller_name":"dns","last_error":{"error_type":"Gremlins"},"mood":"good"}`, nil},
		{"the three states", `{"controller_name":"dns","conditions":[{"type":"A","status":"True"},{"type":"B","status":"False"},{"type":"C","status":"Unknown"}]}`, nil},
		{"255 characters", `{"controller_name":"` + strings.Repeat("é", 255) + `"}`, nil},
		{"no name", `{}`, []string{"controller_name is required"}},
		{"null for a name", `{"controller_name":null}`, []string{"controller_name is required"}},
		{"256 characters", `{"controller_name":"` + strings.Repeat("é", 256) + `"}`, []string{"controller_name must be at most 255 characters"}},
		{"states have a case", `{"controller_name":"dns","conditions":[{"type":"A","status":"true"}]}`, []string{"conditions[0].status must be True, False or Unknown"}},
		{"a generation below zero", `{"controller_name":"dns","observed_generation":-1}`, []string{"observed_generation is not a generation that exists"}},
		{"no whole number", `{"controller_name":"dns","observed_generation":"abc"}`, []string{"observed_generation is not a generation that exists"}},
		{"all at once", `{"conditions":[{"type":"A","status":"True"},{"type":"B"}],"observed_generation":1e99}`, []string{
			"controller_name is required", "conditions[1].status must be True, False or Unknown", "observed_generation is not a generation that exists",
		}},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(row.want, faultsOf(t, CheckReport(decoded(t, row.text)))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestNoSuchGeneration: the number that stands for "no number" is not shown.
func TestNoSuchGeneration(t *testing.T) {
	t.Parallel()
	if f := NoSuchGeneration(9); f.Value != int64(9) {
		t.Errorf("value %v, want what was given", f.Value)
	}
	if f := NoSuchGeneration(v1.InvalidGeneration); f.Value != nil {
		t.Errorf("value %v, want none", f.Value)
	}
}

func TestNormalizeReport(t *testing.T) {
	t.Parallel()
	given := decoded(t, `{"controller_name":"d\u0000ns","metadata":{"a\u0000":["\ud800",1e400]},
		"conditions":[{"type":"A","status":"True","reason":"first"},{"type":"B\u0000","status":"False","message":"m\u0000"},
			{"type":"A","status":"False","reason":"last\u0000"},{"type":"B\uFFFD","status":"True"}],
		"last_error":{"error_type":"T\u0000","error_code":"c\u0000","message":"m\u0000","details":"\u0000","retry_after":"5\u0000s"}}`)
	before, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	want := v1.StatusReport{
		ControllerName: "d\uFFFDns",
		Metadata:       v1.Object(`{"a` + "\uFFFD" + `":["` + "\uFFFD" + `","1e400"]}`),
		Conditions: []v1.ReportedCondition{
			{Type: "A", Status: v1.ConditionFalse, Reason: "last\uFFFD"},
			{Type: "B\uFFFD", Status: v1.ConditionTrue}, // one type once it can be stored, so the last stands
		},
		LastError: &v1.ReportError{
			ErrorType: "T\uFFFD", ErrorCode: "c\uFFFD", Message: "m\uFFFD",
			Details: json.RawMessage(`"` + "\uFFFD" + `"`), RetryAfter: json.RawMessage(`"5` + "\uFFFD" + `s"`),
		},
	}
	got := NormalizeReport(given)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(got, NormalizeReport(got)); diff != "" {
		t.Errorf("normalized again, -before +after:\n%s", diff)
	}
	if after, err := json.Marshal(given); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the argument was changed: %s, %v", after, err)
	}
	if got := NormalizeReport(decoded(t, `{"controller_name":"dns"}`)); got.LastError != nil || len(got.Conditions) != 0 || !got.Metadata.IsEmpty() {
		t.Errorf("an empty report became %+v", got)
	}
}

// TestManyConditions fails by its time when a report of 1 MiB costs the square of its conditions.
func TestManyConditions(t *testing.T) {
	t.Parallel()
	var r v1.StatusReport
	for i := range 60_000 {
		r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: strings.Repeat("T", 40) + time.Duration(i).String(), Status: v1.ConditionTrue})
	}
	began := time.Now()
	if got := len(NormalizeReport(r).Conditions); got != 60_000 {
		t.Errorf("%d conditions, want all", got)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("60,000 conditions took %v", took)
	}
}

func TestAvailableStatus(t *testing.T) {
	t.Parallel()
	if got := AvailableStatus(decoded(t, `{"conditions":[{"type":"Ready","status":"True"}]}`)); got != "" {
		t.Errorf("%q, want none", got)
	}
	if got := AvailableStatus(decoded(t, `{"conditions":[{"type":"Available","status":"Unknown"}]}`)); got != v1.ConditionUnknown {
		t.Errorf("%q, want Unknown", got)
	}
}

// TestDigests is section "equal, silent, moves": what one report says after another.
func TestDigests(t *testing.T) {
	t.Parallel()
	const base = `{"controller_name":"dns","conditions":[
		{"type":"Available","status":"False","reason":"Waiting","message":"for A","lastTransitionTime":"2026-03-01T12:00:00Z"},
		{"type":"Custom","status":"True","reason":"R"}],
		"last_error":{"error_type":"Transient","error_code":"E1","message":"m","details":{"a":1,"b":[1,2]},"retry_after":5,"timestamp":"2026-03-01T12:00:00Z"}}`
	const equal, silent, moves = "equal", "silent", "moves"
	for _, row := range []struct{ why, old, with, want string }{
		{"the same", "", "", equal},
		{"a transition time", "2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z", equal},
		{"a transition time that is gone", `,"lastTransitionTime":"2026-03-01T12:00:00Z"`, ``, equal},
		{"the error's time", `,"timestamp":"2026-03-01T12:00:00Z"`, ``, equal},
		{"the order of keys in details", `{"a":1,"b":[1,2]}`, `{ "b":[1, 2], "a":1 }`, equal},
		{"a field nobody listed", `"controller_name"`, `"mood":"good","controller_name"`, equal},
		{"a condition's message", `for A`, `for B`, silent},
		{"the error's message", `"message":"m"`, `"message":"n"`, silent},
		{"details", `"a":1`, `"a":2`, silent},
		{"the order of a list in details", `[1,2]`, `[2,1]`, silent},
		{"retry_after", `"retry_after":5`, `"retry_after":6`, silent},
		{"whom the error concerns", `"retry_after":5`, `"retry_after":5,"user_actionable":true`, silent},
		{"a status", `"False"`, `"Unknown"`, moves},
		{"a reason", `"Waiting"`, `"Working"`, moves},
		{"a type", `"Custom"`, `"Other"`, moves},
		{"a condition less", `,
		{"type":"Custom","status":"True","reason":"R"}`, ``, moves},
		{"the error's type", `"Transient"`, `"Fatal"`, moves},
		{"the error's code", `"E1"`, `"E2"`, moves},
		{"no error any more", `"last_error"`, `"last_error":null,"was"`, moves},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(base, row.old) {
				t.Fatalf("the report has no %s", row.old)
			}
			a, b := decoded(t, base), decoded(t, strings.ReplaceAll(base, row.old, row.with))
			got := moves
			switch {
			case Content(a) == Content(b):
				got = equal
			case Signal(a) == Signal(b):
				got = silent
			}
			if got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
			if got == equal && Signal(a) != Signal(b) {
				t.Error("equal, and moves")
			}
		})
	}
}

func TestDigestsIgnoreOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		types := rapid.SliceOfNDistinct(rapid.StringN(1, 4, -1), 0, 5, rapid.ID[string]).Draw(t, "types")
		var r v1.StatusReport
		for _, kind := range types {
			r.Conditions = append(r.Conditions, v1.ReportedCondition{Type: kind, Status: rapid.SampledFrom(statuses).Draw(t, "status"), Message: "m"})
		}
		other := r
		other.Conditions = rapid.Permutation(r.Conditions).Draw(t, "order")
		before := strings.Join(types, ",")
		if Content(r) != Content(other) || Signal(r) != Signal(other) {
			t.Fatalf("the order of %s counts", before)
		}
		for i, c := range r.Conditions {
			if c.Type != types[i] {
				t.Fatal("the argument was sorted")
			}
		}
	})
}

func TestDigestsLeaveTheReportAlone(t *testing.T) {
	t.Parallel()
	const text = `{"conditions":[{"type":"A","status":"True","lastTransitionTime":"2026-03-01T12:00:00Z"}],"last_error":{"error_code":"E","details":{"b":1,"a":2},"timestamp":"2026-03-01T12:00:00Z"}}`
	r := decoded(t, text)
	Content(r)
	Signal(r)
	if diff := cmp.Diff(decoded(t, text), r); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("SQLSTATE 23505")
	err := error(&Error{Code: v1.CodeClusterNameExists, Message: "cluster prod exists", Err: cause})
	if !errors.Is(err, cause) || !errors.Is(err, &Error{Code: v1.CodeClusterNameExists}) || errors.Is(err, &Error{Code: v1.CodeNotFound}) {
		t.Error("an Error is its cause, and Errors of its code only")
	}
	if got := err.Error(); got != "cluster prod exists: SQLSTATE 23505" {
		t.Errorf("for the log: %q", got)
	}
	for code, err := range map[v1.Code]error{
		v1.CodeClusterNameExists: errors.Join(errors.New("first"), err),
		v1.CodeNotFound:          NotFound(KindCluster, "0195"),
		v1.CodeInternal:          cause,
	} {
		if got := CodeOf(err); got != code {
			t.Errorf("CodeOf(%v) = %s, want %s", err, got, code)
		}
	}
}
