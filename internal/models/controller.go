package models

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"unicode/utf8"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// maxControllerName is the width of the column that keeps the name, in characters.
const maxControllerName = 255

// CheckReport refuses the only things a report is refused for: no controller name, and
// a condition status that is none of the three. Whether the generation exists is for
// the database to say, in the same statement that stores the report.
func CheckReport(r v1.StatusReport) error {
	faults := controllerNameFaults("controller_name", r.ControllerName)
	for i, c := range r.Conditions {
		if !slices.Contains(conditionStatuses, string(c.Status)) {
			faults = append(faults, Fault{
				Field: indexed("conditions", i, "status"), Reason: "must be True, False or Unknown",
				Value: string(c.Status), Allowed: conditionStatuses,
			})
		}
	}
	if r.ObservedGeneration < 0 {
		faults = append(faults, NoSuchGeneration(r.ObservedGeneration))
	}
	return Invalid(v1.CodeInvalidField, faults...)
}

func controllerNameFaults(field, name string) []Fault {
	switch {
	case name == "":
		return []Fault{{Field: field, Reason: "is required"}}
	case utf8.RuneCountInString(name) > maxControllerName:
		return []Fault{{Field: field, Reason: "must be at most 255 characters"}}
	}
	return nil
}

// CheckControllerName refuses a name under which no report could be sent: INVALID_FIELD.
func CheckControllerName(name string) error {
	faults := controllerNameFaults("name", name)
	if SanitizeText(name) != name {
		faults = append(faults, Fault{Field: "name", Reason: "holds a character that cannot be kept"})
	}
	return Invalid(v1.CodeInvalidField, faults...)
}

//nolint:gochecknoglobals // a constant list
var conditionStatuses = []string{string(v1.ConditionTrue), string(v1.ConditionFalse), string(v1.ConditionUnknown)}

// NoSuchGeneration is the fault of a report on a generation that does not exist yet.
func NoSuchGeneration(generation int64) Fault {
	f := Fault{Field: "observed_generation", Reason: "is not a generation that exists"}
	if generation != v1.InvalidGeneration {
		f.Value = generation
	}
	return f
}

// NormalizeReport returns the report as it is stored: characters that PostgreSQL cannot
// hold become U+FFFD, and of two conditions of one type the last stands.
func NormalizeReport(r v1.StatusReport) v1.StatusReport {
	r.ControllerName = SanitizeText(r.ControllerName)
	r.Metadata = v1.Object(SanitizeJSON(r.Metadata))
	r.Conditions = slices.Clone(r.Conditions)
	for i := range r.Conditions {
		c := &r.Conditions[i]
		c.Type, c.Reason, c.Message = SanitizeText(c.Type), SanitizeText(c.Reason), SanitizeText(c.Message)
	}
	r.Conditions = lastOfEachType(r.Conditions)
	if r.LastError != nil {
		e := *r.LastError
		e.ErrorType, e.ErrorCode, e.Message = SanitizeText(e.ErrorType), SanitizeText(e.ErrorCode), SanitizeText(e.Message)
		e.Details, e.RetryAfter = SanitizeJSON(e.Details), SanitizeJSON(e.RetryAfter)
		r.LastError = &e
	}
	return r
}

// lastOfEachType returns a new slice.
func lastOfEachType(conditions []v1.ReportedCondition) []v1.ReportedCondition {
	kept := make([]v1.ReportedCondition, 0, len(conditions))
	place := make(map[string]int, len(conditions))
	for _, c := range conditions {
		at, seen := place[c.Type]
		if seen {
			kept[at] = c
			continue
		}
		place[c.Type] = len(kept)
		kept = append(kept, c)
	}
	return kept
}

// AvailableStatus returns the status of the report's Available condition, "" when it has none.
func AvailableStatus(r v1.StatusReport) v1.ConditionStatus {
	return conditionStatus(r.Conditions, v1.ConditionAvailable)
}

// SaysFailed reports whether the report's Failed condition is True.
func SaysFailed(r v1.StatusReport) bool {
	return conditionStatus(r.Conditions, v1.ConditionFailed) == v1.ConditionTrue
}

// SaysFinalized reports whether the report's Finalized condition is True.
func SaysFinalized(r v1.StatusReport) bool {
	return conditionStatus(r.Conditions, v1.ConditionFinalized) == v1.ConditionTrue
}

// Digest is a fingerprint of a report by which two reports are compared.
type Digest [sha256.Size]byte

// Content is the digest of all that a report says but for the controller's times, the
// generation and the metadata, which the database compares as they are. Reports that agree in all
// three are equal: nothing needs storing.
func Content(r v1.StatusReport) Digest {
	conditions := slices.Clone(r.Conditions)
	for i := range conditions {
		conditions[i].LastTransitionTime = nil
	}
	byType(conditions)
	var lastError *v1.ReportError
	if r.LastError != nil {
		e := *r.LastError
		e.Timestamp = nil
		e.Details, e.RetryAfter = canonical(e.Details), canonical(e.RetryAfter)
		lastError = &e
	}
	return digest(conditions, lastError)
}

// Signal is the digest of what wakes other controllers, the gist of a report. The metadata and the
// observed generation, which count too, are compared by the database.
func Signal(r v1.StatusReport) Digest {
	conditions, lastError := Gist(r)
	byType(conditions)
	return digest(conditions, lastError)
}

// Gist returns what a report says without its messages and times: each condition's status and
// reason, the error's type and code.
func Gist(r v1.StatusReport) ([]v1.ReportedCondition, *v1.ReportError) {
	conditions := make([]v1.ReportedCondition, len(r.Conditions))
	for i, c := range r.Conditions {
		conditions[i] = v1.ReportedCondition{Type: c.Type, Status: c.Status, Reason: c.Reason}
	}
	if r.LastError == nil {
		return conditions, nil
	}
	return conditions, &v1.ReportError{ErrorType: r.LastError.ErrorType, ErrorCode: r.LastError.ErrorCode}
}

func byType(conditions []v1.ReportedCondition) {
	slices.SortFunc(conditions, func(a, b v1.ReportedCondition) int { return cmp.Compare(a.Type, b.Type) })
}

func digest(conditions []v1.ReportedCondition, lastError *v1.ReportError) Digest {
	text, err := json.Marshal([]any{conditions, lastError})
	if err != nil { // Only strings, times and JSON texts that were decoded before.
		panic("models: digest of a decoded report: " + err.Error())
	}
	return sha256.Sum256(text)
}

// canonical spells a JSON value in one way: keys in order, no white space, numbers as given.
func canonical(text json.RawMessage) json.RawMessage {
	if len(text) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return text
	}
	out, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return out
}
