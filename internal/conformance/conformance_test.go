package conformance

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
)

func TestMain(m *testing.M) { clstest.Main(m) }

// optionsOf are those of a run against a backend, events and all.
func optionsOf(b *clstest.Backend) Options {
	return Options{
		URL: b.URL(), User: clstest.User, Controller: clstest.Controller, Admin: clstest.Admin,
		PubSub: PubSub{ProjectID: b.PubSub().ProjectID, EmulatorHost: b.PubSub().EmulatorHost},
	}
}

// TestOurBackendConforms is what holds the service to its contract from outside. The proxy of the mutants is no cause of
// what they show: through one that changes nothing every check passes too. Nothing is left behind.
func TestOurBackendConforms(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	conforms(t, optionsOf(b))
	idle := mutant{on: ".*", asks: func(int, *call) {}, answers: func(int, *answer) {}, tells: each(func(*message) {})}
	through := optionsOf(b)
	through.URL, through.through = idle.start(t, b.URL()), idle.through
	conforms(t, through)
	for c, err := range b.Client(clstest.Admin).Clusters(t.Context(), client.ListOptions{}) {
		t.Errorf("there is still cluster %s (%v)", c.Name, err)
	}
	list, err := b.Client(clstest.Admin).ListControllers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(list.Controllers, func(c v1.Controller) bool { return c.Registered && c.RetiredAt == nil }) {
		t.Errorf("there is still a registration: %+v", list)
	}
}

// conforms runs every check, none of which may fail or be skipped.
func conforms(t *testing.T, o Options) {
	t.Helper()
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if report.Failed() > 0 || report.Skipped() > 0 || report.Took > time.Minute {
		t.Errorf("not every check has passed within a minute:\n%s", table.String())
	}
	for _, r := range report.Results {
		if len(r.Left) > 0 {
			t.Errorf("%s leaves %v behind", r.Check.Name, r.Left)
		}
	}
}

var update = flag.Bool("update", false, "write docs/conformance.md anew")

// TestTheDocumentHasEveryCheck holds the table of docs/conformance.md against the code, and each check's section against
// the headings of the page that it names.
func TestTheDocumentHasEveryCheck(t *testing.T) {
	t.Parallel()
	const file, heading = "../../docs/conformance.md", "## Checks\n\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), heading)
	var b strings.Builder
	b.WriteString(before + heading + "| Check | Promise | Section |\n|---|---|---|\n")
	for _, c := range Checks() {
		fmt.Fprintf(&b, "| `%s` | %s | [%s](%s) |\n", c.Name, c.Promise, headingOf(t, c.Section), c.Section)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(string(text), b.String()); diff != "" {
		t.Errorf("the code makes another table; run make generate (-committed +code):\n%s", diff)
	}
}

// headingOf returns the heading that a link such as api.md#status leads to.
func headingOf(t *testing.T, link string) string {
	t.Helper()
	page, anchor, _ := strings.Cut(link, "#")
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for _, heading := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		slug := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return heading[1]
		}
	}
	t.Errorf("docs/%s has no heading for #%s", page, anchor)
	return ""
}

func TestChecksAreNamedByAreaAndPromise(t *testing.T) {
	t.Parallel()
	checks := Checks()
	names := map[string]bool{}
	for _, c := range checks {
		if names[c.Name] || !regexp.MustCompile(`^(api|errors|status|events|deletion|registry)/[a-z0-9-]+$`).MatchString(c.Name) {
			t.Errorf("%s is no name, or one of two", c.Name)
		}
		if names[c.Name] = true; !strings.HasSuffix(c.Promise, ".") || strings.Contains(c.Promise, "|") {
			t.Errorf("%s: %q is no sentence", c.Name, c.Promise)
		}
	}
	if log, err := os.ReadFile("../../CHANGELOG.md"); err != nil || !strings.Contains(string(log), fmt.Sprint(len(checks), " checks")) {
		t.Errorf("CHANGELOG.md does not say that there are %d checks (%v)", len(checks), err)
	}
}

func TestWhatCannotBeRun(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	for _, row := range []struct {
		why     string
		options Options
		want    string
	}{
		{"an address that is none", Options{URL: "localhost:8080"}, "must begin with http"},
		{"nobody at the address", Options{URL: "http://127.0.0.1:1"}, "cannot be reached"},
		{"a name of no check", Options{URL: b.URL(), Only: []string{"status/*", "state/*"}}, `no check is called "state/*"`},
		{"a pattern that is none", Options{URL: b.URL(), Only: []string{"["}}, "syntax error"},
		{
			"a topic that is missing", Options{
				URL: b.URL(), Only: []string{"events/created"},
				PubSub: PubSub{ProjectID: b.PubSub().ProjectID, EmulatorHost: b.PubSub().EmulatorHost, ClusterTopic: "no-such-topic"},
			}, "receive events",
		},
	} {
		if _, err := Run(t.Context(), row.options); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %s", row.why, err, row.want)
		}
	}
	if _, err := b.Client(clstest.Controller).RegisterController(t.Context(), "everywhere", v1.RegisterController{Required: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), Options{URL: b.URL()}); err == nil || !strings.Contains(err.Error(), "controller everywhere is waited for") {
		t.Errorf("a controller that is waited for everywhere: got %v", err)
	}
}

// TestWithoutPubSubAndAdmin skips what cannot be asked, and runs the rest of what was chosen.
func TestWithoutPubSubAndAdmin(t *testing.T) {
	t.Parallel()
	report, err := Run(t.Context(), Options{URL: clstest.NewBackend(t).URL(), Only: []string{"events/*", "api/admin*", "api/info*"}})
	if err != nil {
		t.Fatal(err)
	}
	if report.Failed() != 0 || report.Skipped() != len(report.Results)-1 || len(report.Results) < 3 {
		t.Errorf("%d failed and %d skipped of %+v", report.Failed(), report.Skipped(), report.Results)
	}
}

// aReport has one result of each sort.
func aReport() Report {
	of := func(name string) Check { return Check{Name: name, Promise: "It is so.", Section: "api.md#status"} }
	return Report{URL: "http://x", Took: 1500 * time.Millisecond, Results: []Result{
		{Check: of("status/kept"), Took: 5 * time.Millisecond},
		{Check: of("status/broken"), Took: time.Second, Failure: &Failure{"GET / as a", "1 < 2", "2 & 3"}, Left: []string{"/api/v1/clusters/1"}},
		{Check: of("events/unasked"), Skipped: "no Pub/Sub is named"},
	}}
}

func TestTable(t *testing.T) {
	t.Parallel()
	const want = `
ok    status/kept                                               5 ms
FAIL  status/broken                                          1000 ms
      promise   It is so. (docs/api.md#status)
      request   GET / as a
      expected  1 < 2
      seen      2 & 3
      left behind: /api/v1/clusters/1
skip  events/unasked                                            0 ms  no Pub/Sub is named

http://x: 1 passed, 1 failed, 1 skipped in 1.5 s
`
	var b strings.Builder
	err := aReport().WriteTable(&b)
	if diff := cmp.Diff(want, "\n"+b.String()); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="conformance" tests="3" failures="1" skipped="1" time="1.500">
  <testcase classname="status" name="kept" time="0.005"></testcase>
  <testcase classname="status" name="broken" time="1.000">
    <failure message="It is so.">request: GET / as a&#xA;expected: 1 &lt; 2&#xA;seen: 2 &amp; 3&#xA;docs/api.md#status</failure>
  </testcase>
  <testcase classname="events" name="unasked" time="0.000">
    <skipped message="no Pub/Sub is named"></skipped>
  </testcase>
</testsuite>
`
	var b strings.Builder
	err := aReport().WriteJUnit(&b)
	if diff := cmp.Diff(want, b.String()); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
