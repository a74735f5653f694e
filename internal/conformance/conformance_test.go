package conformance

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/internal/models"
)

func TestMain(m *testing.M) { clstest.Main(m) }

// optionsOf are those of a run against a backend, events and all. The project of an emulator need not be named.
func optionsOf(b *clstest.Backend) Options {
	return Options{
		URL: b.URL(), User: clstest.User, Controller: clstest.Controller, Admin: clstest.Admin,
		PubSub: PubSub{EmulatorHost: b.PubSub().EmulatorHost}, lane: "1s",
	}
}

// newBackend starts one that wakes what is young once a second, and not every half a minute.
func newBackend(t *testing.T) *clstest.Backend {
	t.Helper()
	return clstest.NewBackend(t, "RECONCILIATION_ATTENTION_INTERVAL=1s")
}

// TestOurBackendConforms is what holds the service to its contract from outside. Neither the proxy of the mutants nor the
// spelling of an answer is a cause of what they show: through one that spells all of it otherwise, and changes nothing, they
// pass too. Nothing is left behind.
func TestOurBackendConforms(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	conforms(t, optionsOf(b))
	idle := mutant{on: ".*", asks: func(int, *call) {}, answers: respelled, tells: each(func(*message) {})}
	through := optionsOf(b)
	through.URL, through.through = idle.start(t, b.URL()), idle.through
	for _, c := range Checks() {
		if c.kind == models.KindCluster { // Those of node pools are the same ones.
			through.Only = append(through.Only, c.Name)
		}
	}
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

// respelled says the same in other words: with its keys in another order, broken into lines, each dash of a text escaped, and the
// document as JSON, which is YAML too.
func respelled(_ int, a *answer) {
	var value any
	read := json.Unmarshal
	if a.Request.URL.Path == "/openapi.yaml" {
		read = yaml.Unmarshal
	}
	if len(a.text) == 0 || read(a.text, &value) != nil {
		return
	}
	text, err := json.MarshalIndent(value, "", "\t")
	if err != nil {
		panic(err)
	}
	a.text = regexp.MustCompile(`([A-Za-z])-([A-Za-z])`).ReplaceAll(text, []byte(`$1\u002d$2`))
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
}

// TestNobodyElseWorksEverywhere begins only where no controller is registered for every platform, as one of the SDK's is by
// default. One with platforms, or retired, disturbs nobody.
func TestNobodyElseWorksEverywhere(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	o := Options{URL: b.URL(), Only: []string{"status/one-reporter*"}}
	if _, err := b.Client(clstest.Controller).RegisterController(t.Context(), "every/where", v1.RegisterController{}); err != nil {
		t.Fatal(err)
	}
	_, err := Run(t.Context(), o)
	if want := "controller every/where is registered for every platform"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if want := "DELETE /api/v1/controllers/every%2Fwhere"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := b.Client(clstest.Admin).RetireController(t.Context(), "every/where"); err != nil {
		t.Fatal(err)
	}
	elsewhere := v1.RegisterController{Platforms: []string{"gcp"}, Required: true, Finalizes: true}
	if _, err := b.Client(clstest.Controller).RegisterController(t.Context(), "gcp-only", elsewhere); err != nil {
		t.Fatal(err)
	}
	if report, err := Run(t.Context(), o); err != nil || report.Failed() > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestTokens judges a backend behind a gateway that takes the caller from the bearer token, and nothing else.
func TestTokens(t *testing.T) {
	t.Parallel()
	o := optionsOf(clstest.NewBackend(t))
	o.Only, o.Other = []string{"api/not-yours*", "registry/finalizer*", "deletion/node-pools-go-first"}, "second@example.com"
	o.Tokens = map[string]string{o.User: "token-1", o.Other: "token-2", "": "token-3"}
	gateway := map[string]string{"Bearer token-1": o.User, "Bearer token-2": o.Other, "Bearer token-3": o.Controller}
	o.URL = mutant{on: ".*", asks: func(_ int, c *call) {
		c.Header.Set("X-User-Email", gateway[c.Header.Get("Authorization")])
	}}.start(t, o.URL)
	report, err := Run(t.Context(), o)
	if err != nil || report.Failed() > 0 || report.Skipped() > 0 {
		t.Errorf("%+v, %v", report, err)
	}
	o.Tokens = nil
	if report, err = Run(t.Context(), o); err != nil || report.Failed() != len(report.Results) {
		t.Errorf("without tokens: %+v, %v", report, err)
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
		{
			Check: of("status/broken"), Took: time.Second, Left: []string{"/api/v1/clusters/1 of a"},
			Failure: &Failure{Request: "GET / as a", Expected: "1 < 2", Seen: "2 & 3"},
		},
		{Check: of("events/unasked"), Skipped: "no Pub/Sub is named"},
	}}
}

func TestTable(t *testing.T) {
	t.Parallel()
	const want = `
ok    status/kept                                                       5 ms
FAIL  status/broken                                                  1000 ms
      promise   It is so. (docs/api.md#status)
      request   GET / as a
      expected  1 < 2
      seen      2 & 3
      left behind: /api/v1/clusters/1 of a
skip  events/unasked                                                    0 ms  no Pub/Sub is named

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
