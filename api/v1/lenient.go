package v1

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// InvalidGeneration is what an observed_generation that is not a whole number decodes
// to: a generation that can never exist, so that the report is refused by name rather
// than taken for another generation's.
const InvalidGeneration int64 = math.MinInt64

// fields is a JSON object taken apart; a value that is no object has none.
type fields map[string]json.RawMessage

func fieldsOf(text []byte) fields {
	var f fields
	if json.Unmarshal(text, &f) != nil {
		return nil
	}
	return f
}

// text returns a string as it is, another scalar as it is spelled, and "" for the rest.
func (f fields) text(name string) string {
	raw := bytes.TrimSpace(f[name])
	if len(raw) == 0 || string(raw) == "null" || raw[0] == '{' || raw[0] == '[' {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func (f fields) flag(name string) bool {
	on, _ := strconv.ParseBool(f.text(name))
	return on
}

// time returns nil for what is not a time by RFC 3339. An offset can push the first and
// the last year out of what can be written again, so the year is judged in UTC.
func (f fields) time(name string) *time.Time {
	t, err := time.Parse(time.RFC3339, f.text(name))
	t = t.UTC()
	if err != nil || t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	return &t
}

// any returns nil for an absent value and for null.
func (f fields) any(name string) json.RawMessage {
	if raw := bytes.TrimSpace(f[name]); len(raw) > 0 && string(raw) != "null" {
		return bytes.Clone(raw)
	}
	return nil
}

func (f fields) object(name string) Object {
	var o Object
	if o.UnmarshalJSON(f[name]) != nil || o.IsNull() {
		return nil
	}
	return o
}

func (f fields) list(name string) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(f[name], &list) != nil {
		return nil
	}
	return list
}

// generation takes 3, 3.0 and "3" for 3, and an absent one for 0.
func (f fields) generation(name string) int64 {
	text := strings.TrimSpace(f.text(name))
	if text == "" {
		return 0
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
		return InvalidGeneration
	}
	return int64(x)
}

// UnmarshalJSON implements [json.Unmarshaler] leniently: a value that is no JSON object
// is [ErrNotObject], and nothing else is an error. Judging what must be refused is left
// to the rules of the service.
func (r *StatusReport) UnmarshalJSON(text []byte) error {
	f := fieldsOf(text)
	if f == nil {
		return ErrNotObject
	}
	*r = StatusReport{
		ControllerName:     f.text("controller_name"),
		ObservedGeneration: f.generation("observed_generation"),
		Metadata:           f.object("metadata"),
		LastError:          reportError(f["last_error"]),
	}
	for _, raw := range f.list("conditions") {
		if c := fieldsOf(raw); c != nil {
			r.Conditions = append(r.Conditions, reportedCondition(c))
		}
	}
	return nil
}

func reportedCondition(f fields) ReportedCondition {
	return ReportedCondition{
		Type:               f.text("type"),
		Status:             ConditionStatus(f.text("status")),
		Reason:             f.text("reason"),
		Message:            f.text("message"),
		LastTransitionTime: f.time("lastTransitionTime"),
	}
}

// reportError returns nil for an absent error, for null and for {}.
func reportError(text []byte) *ReportError {
	f := fieldsOf(text)
	if len(f) == 0 {
		return nil
	}
	return &ReportError{
		ErrorType:      f.text("error_type"),
		ErrorCode:      f.text("error_code"),
		Message:        f.text("message"),
		Details:        f.any("details"),
		UserActionable: f.flag("user_actionable"),
		RetryAfter:     f.any("retry_after"),
		Timestamp:      f.time("timestamp"),
	}
}
