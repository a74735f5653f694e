package conformance

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is what a run has found.
type Report struct {
	// URL is the backend.
	URL     string
	Results []Result
	Took    time.Duration
}

// Result is what a check has found.
type Result struct {
	Check Check
	Took  time.Duration
	// Skipped says why the check was not run; "" when it was.
	Skipped string
	// Failure is nil when the promise is kept.
	Failure *Failure
	// Left names what could not be removed.
	Left []string
}

// Failure is a promise that is not kept.
type Failure struct {
	// Request is the last one before it was found.
	Request string
	// Expected and Seen are for people.
	Expected, Seen string
}

// Failed counts the checks that failed.
func (r Report) Failed() int {
	return r.count(func(r Result) bool { return r.Failure != nil })
}

// Skipped counts those that were not run.
func (r Report) Skipped() int {
	return r.count(func(r Result) bool { return r.Skipped != "" })
}

func (r Report) count(which func(Result) bool) (n int) {
	for _, result := range r.Results {
		if which(result) {
			n++
		}
	}
	return n
}

// WriteTable writes the report for people, a line for each check, and more where one failed.
func (r Report) WriteTable(to io.Writer) error {
	var b strings.Builder
	for _, result := range r.Results {
		fmt.Fprintf(&b, "%-4s  %-60s %6d ms", result.word(), result.Check.Name, result.Took.Milliseconds())
		if result.Skipped != "" {
			b.WriteString("  " + result.Skipped)
		}
		b.WriteString("\n")
		if result.Failure != nil {
			fmt.Fprintf(&b, "      promise   %s (docs/%s)\n", result.Check.Promise, result.Check.Section)
			fmt.Fprintf(&b, "      request   %s\n      expected  %s\n      seen      %s\n",
				result.Failure.Request, result.Failure.Expected, result.Failure.Seen)
		}
		for _, left := range result.Left {
			fmt.Fprintf(&b, "      left behind: %s\n", left)
		}
	}
	failed, skipped := r.Failed(), r.Skipped()
	fmt.Fprintf(&b, "\n%s: %d passed, %d failed, %d skipped in %.1f s\n",
		r.URL, len(r.Results)-failed-skipped, failed, skipped, r.Took.Seconds())
	_, err := io.WriteString(to, b.String())
	return err
}

func (r Result) word() string {
	switch {
	case r.Failure != nil:
		return "FAIL"
	case r.Skipped != "":
		return "skip"
	default:
		return "ok"
	}
}

// suite and what it is made of are JUnit's XML, as Jenkins and GitLab read it.
type suite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Time     string     `xml:"time,attr"`
	Cases    []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string  `xml:"classname,attr"`
	Name    string  `xml:"name,attr"`
	Time    string  `xml:"time,attr"`
	Failure *remark `xml:"failure"`
	Skipped *remark `xml:"skipped"`
}

type remark struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as JUnit's XML. A name's area is its class.
func (r Report) WriteJUnit(to io.Writer) error {
	s := suite{
		Name: "conformance", Tests: len(r.Results), Failures: r.Failed(), Skipped: r.Skipped(), Time: seconds(r.Took),
	}
	for _, result := range r.Results {
		area, name, _ := strings.Cut(result.Check.Name, "/")
		c := testCase{Class: area, Name: name, Time: seconds(result.Took)}
		if result.Skipped != "" {
			c.Skipped = &remark{Message: result.Skipped}
		}
		if f := result.Failure; f != nil {
			c.Failure = &remark{
				Message: result.Check.Promise,
				Text:    fmt.Sprintf("request: %s\nexpected: %s\nseen: %s\ndocs/%s", f.Request, f.Expected, f.Seen, result.Check.Section),
			}
		}
		s.Cases = append(s.Cases, c)
	}
	text, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	_, err = io.WriteString(to, xml.Header+string(text)+"\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
