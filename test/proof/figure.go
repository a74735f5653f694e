// Package proof holds what the programs that prove something about the service share: figures with their bars, the
// machine that they were taken on, plots, and how results are kept until a document is made of them.
package proof

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Figure is something that was measured.
type Figure struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	// Bar is what it must not exceed, or with Least what it must reach; nil for none.
	Bar   *float64 `json:"bar,omitempty"`
	Least bool     `json:"least,omitempty"`
}

// Measured is a figure without a bar.
func Measured(what string, value float64, unit string) Figure {
	return Figure{What: what, Value: value, Unit: unit}
}

// AtMost is a figure that must not exceed its bar.
func AtMost(what string, value float64, unit string, bar float64) Figure {
	return Figure{What: what, Value: value, Unit: unit, Bar: &bar}
}

// AtLeast is a figure that must reach its bar.
func AtLeast(what string, value float64, unit string, bar float64) Figure {
	return Figure{What: what, Value: value, Unit: unit, Bar: &bar, Least: true}
}

// Missed reports whether a figure is beyond its bar. One that is no number misses any.
func (f Figure) Missed() bool {
	if f.Bar == nil {
		return false
	}
	if f.Least {
		return !(f.Value >= *f.Bar)
	}
	return !(f.Value <= *f.Bar)
}

// Amount is the value in words.
func (f Figure) Amount() string { return withUnit(f.Value, f.Unit) }

// Promise is the bar in words; "" for none.
func (f Figure) Promise() string {
	switch {
	case f.Bar == nil:
		return ""
	case f.Least:
		return "at least " + Number(*f.Bar)
	default:
		return "at most " + Number(*f.Bar)
	}
}

// Text is the figure in words.
func (f Figure) Text() string {
	text := f.What + ": " + f.Amount()
	if f.Bar != nil {
		text += fmt.Sprintf(" (%s)", f.Promise())
	}
	return text
}

func withUnit(v float64, unit string) string {
	return strings.TrimSuffix(Number(v)+" "+unit, " ")
}

// Number writes a value as people do.
func Number(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 100 {
		return Thousands(int(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Thousands writes 1000 as 1,000.
func Thousands(n int) string {
	digits := strconv.Itoa(n)
	sign, digits := digits[:len(digits)-len(strings.TrimPrefix(digits, "-"))], strings.TrimPrefix(digits, "-")
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}
