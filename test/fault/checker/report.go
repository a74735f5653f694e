package checker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// shown is how many violations of an invariant are told.
const shown = 10

// String returns the number, such as I1.
func (i Invariant) String() string { return fmt.Sprintf("I%d", int(i)) }

// Report is what was found, by invariant.
type Report struct {
	Results []Result `json:"results"`
}

// Result is what was found of one invariant.
type Result struct {
	Invariant Invariant `json:"invariant"`
	Promise   string    `json:"promise"`
	// Runs are those in which it applied; Idle are those of them that had nothing to examine, and so have shown nothing.
	Runs int `json:"runs"`
	Idle int `json:"idle"`
	// Examined is how many facts could have broken it.
	Examined int `json:"examined"`
	// Broken is how often it was; Violations are the first of these.
	Broken     int      `json:"broken"`
	Violations []string `json:"violations,omitempty"`
}

// violatef adds a violation.
func (r *Result) violatef(format string, args ...any) {
	r.Broken++
	if len(r.Violations) < shown {
		r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
	}
}

// Err says what is wrong: each violation that is told, and each invariant that applied in a run and had nothing to
// examine there.
func (r Report) Err() error {
	var faults []error
	for _, result := range r.Results {
		if result.Idle > 0 {
			faults = append(faults, fmt.Errorf("%v: %d of %d runs had nothing to examine", result.Invariant, result.Idle, result.Runs))
		}
		for _, violation := range result.Violations {
			faults = append(faults, fmt.Errorf("%v: %s", result.Invariant, violation))
		}
		if more := result.Broken - len(result.Violations); more > 0 {
			faults = append(faults, fmt.Errorf("%v: and %d more", result.Invariant, more))
		}
	}
	return errors.Join(faults...)
}

// Merge returns the two reports as one of all their runs. A zero Report adds nothing.
func (r Report) Merge(other Report) Report {
	if len(r.Results) == 0 {
		return other
	}
	merged := Report{Results: make([]Result, len(r.Results))}
	for i, a := range r.Results {
		if i < len(other.Results) {
			b := other.Results[i]
			a.Runs += b.Runs
			a.Idle += b.Idle
			a.Examined += b.Examined
			a.Broken += b.Broken
			all := slices.Concat(a.Violations, b.Violations)
			a.Violations = all[:min(len(all), shown)]
		}
		merged.Results[i] = a
	}
	return merged
}

// String returns a line for each invariant.
func (r Report) String() string {
	var b strings.Builder
	for _, result := range r.Results {
		found := fmt.Sprintf("%d examined, %d violations, %d runs", result.Examined, result.Broken, result.Runs)
		if result.Runs == 0 {
			found = "does not apply"
		}
		fmt.Fprintf(&b, "%-3v  %-84s %s\n", result.Invariant, result.Promise, found)
	}
	return b.String()
}
