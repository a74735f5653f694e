package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// rules are those of an installation with one more secret, and defaults.
var rules = Rules{
	Secrets:  NewSecrets([]string{"pull.secret"}),
	Defaults: Defaults{ReleaseVersion: "4.18", ChannelGroup: "stable"},
}

// bare are the rules of an installation that sets nothing.
var bare = Rules{Secrets: NewSecrets(nil)}

var alice = Actor{Email: "alice@example.com"}

// faultsOf returns the faults of an INVALID_FIELD as "field reason", in order.
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != v1.CodeInvalidField {
		t.Fatalf("%v: want INVALID_FIELD", err)
	}
	var list []string
	for _, f := range e.Faults {
		list = append(list, f.Field+" "+f.Reason)
	}
	if e.Message != list[0] {
		t.Errorf("message %q, want the first fault, %q", e.Message, list[0])
	}
	return list
}

func sameValue(t *testing.T, want, got string) {
	t.Helper()
	if !sameJSON(v1.Object(want), v1.Object(got)) {
		t.Errorf("%s, want the value %s", got, want)
	}
}

const badName = "name must be 1 to 63 lower-case letters, digits and '-', and begin and end with a letter or digit"

func TestNewNames(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ why, name, fault string }{
		{"a word", "prod", ""},
		{"digits, as RFC 1123 has it", "9-lives", ""},
		{"one character", "a", ""},
		{"63 characters", strings.Repeat("a", 63), ""},
		{"64 characters", strings.Repeat("a", 64), badName},
		{"none", "", "name is required"},
		{"upper case", "Prod", badName},
		{"a dot: a label, not a domain", "prod.eu", badName},
		{"underscore", "prod_eu", badName},
		{"a hyphen in front", "-prod", badName},
		{"a hyphen behind", "prod-", badName},
		{"a line break behind", "prod\n", badName},
		{"beyond ASCII", "größe", badName},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			_, err := bare.New(Draft{Name: row.name}, alice.Email)
			if got := strings.Join(faultsOf(t, err), "; "); got != row.fault {
				t.Errorf("%q, want %q", got, row.fault)
			}
			if IsName(row.name) != (row.fault == "") {
				t.Errorf("IsName = %v", IsName(row.name))
			}
		})
	}
}

func TestNewLabels(t *testing.T) {
	t.Parallel()
	const badKey, badValue = "is not a label key", "must be empty or at most 63"
	for _, row := range []struct{ why, key, value, fault string }{
		{"plain", "env", "prod", ""},
		{"an empty value", "env", "", ""},
		{"a prefix", "example.com/env", "a_b.c-D", ""},
		{"the longest name", strings.Repeat("k", 63), strings.Repeat("v", 63), ""},
		{"a prefix of 253", strings.Repeat("p", 253) + "/k", "v", ""},
		{"no key", "", "v", badKey},
		{"a name too long", strings.Repeat("k", 64), "v", badKey},
		{"a prefix too long", strings.Repeat("p", 254) + "/k", "v", badKey},
		{"an empty prefix", "/k", "v", badKey},
		{"no name behind the prefix", "example.com/", "v", badKey},
		{"two slashes", "a/b/c", "v", badKey},
		{"an upper-case prefix", "Example.com/k", "v", badKey},
		{"a space", "a b", "v", badKey},
		{"a value too long", "k", strings.Repeat("v", 64), badValue},
		{"a value with a space", "k", "a b", badValue},
		{"a value that ends in a dot", "k", "a.", badValue},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			_, err := bare.New(Draft{Name: "c", Labels: map[string]string{row.key: row.value}}, alice.Email)
			got := strings.Join(faultsOf(t, err), "; ")
			if row.fault == "" && got != "" || !strings.HasPrefix(got, "labels."+row.key+" "+row.fault) && row.fault != "" {
				t.Errorf("%q, want %q", got, row.fault)
			}
		})
	}
}

func TestNewPlatform(t *testing.T) {
	t.Parallel()
	const bad = "spec.platform.type must be 1 to 63 letters, digits and '-'"
	for _, row := range []struct{ why, spec, fault string }{
		{"no spec", ``, ""},
		{"no platform", `{}`, ""},
		{"a platform without type", `{"platform":{}}`, ""},
		{"null", `{"platform":{"type":null}}`, ""},
		{"a platform that is no object is the user's own", `{"platform":"gcp"}`, ""},
		{"any case", `{"platform":{"type":"GcP"}}`, ""},
		{"one nobody knows", `{"platform":{"type":"moon-base-1"}}`, ""},
		{"63", `{"platform":{"type":"` + strings.Repeat("p", 63) + `"}}`, ""},
		{"64", `{"platform":{"type":"` + strings.Repeat("p", 64) + `"}}`, bad},
		{"empty", `{"platform":{"type":""}}`, bad},
		{"a space", `{"platform":{"type":"g cp"}}`, bad},
		{"a number", `{"platform":{"type":5}}`, bad},
		{"a list", `{"platform":{"type":["gcp"]}}`, bad},
		{"keys have a case: Platform is another field", `{"Platform":{"type":5},"platform":{"Type":5}}`, ""},
		{"of two, the last stands, as in PostgreSQL", `{"platform":{"type":5},"platform":{"type":"gcp"}}`, ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			_, err := bare.New(Draft{Name: "c", Spec: v1.Object(row.spec)}, alice.Email)
			if got := strings.Join(faultsOf(t, err), "; "); got != row.fault {
				t.Errorf("%q, want %q", got, row.fault)
			}
		})
	}
}

func TestNewNamesAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := bare.New(Draft{
		Name: "No!", TargetProjectID: strings.Repeat("é", 256), Description: strings.Repeat("d", 4097),
		Labels: map[string]string{"z z": "ok", "a": "not ok"}, Spec: v1.Object(`{"platform":{"type":"?"}}`),
	}, alice.Email)
	want := []string{
		badName,
		"target_project_id must be at most 255 characters, not 256",
		"description must be at most 4096 characters, not 4097",
		"labels.a must be empty or at most 63 of A-Za-z0-9-_., beginning and ending with a letter or digit",
		"labels.z z is not a label key: [prefix/]name, the name at most 63 of A-Za-z0-9-_.",
		"spec.platform.type must be 1 to 63 letters, digits and '-'",
	}
	if diff := cmp.Diff(want, faultsOf(t, err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNewKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	in := Draft{
		Name: "prod", TargetProjectID: "p-1", Description: "d", Paused: true, DeletionProtection: true,
		Labels: map[string]string{"env": "prod"}, Spec: v1.Object(`{"b":1.50, "a":[]}`),
	}
	got, err := bare.New(in, alice.Email)
	if err != nil {
		t.Fatal(err)
	}
	want := &Resource{
		Name: "prod", TargetProjectID: "p-1", Description: "d", Paused: true, DeletionProtection: true,
		CreatedBy: "alice@example.com", Labels: in.Labels, Spec: in.Spec,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNewSpecs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why         string
		rules       Rules
		given, want string
	}{
		{"no spec and no defaults", bare, ``, `{}`},
		{"null", bare, `null`, `{}`},
		{"no defaults to fill", bare, `{"release":{}}`, `{"release":{}}`},
		{"both are filled", rules, ``, `{"release":{"version":"4.18","channelGroup":"stable"}}`},
		{"one is filled", rules, `{"release":{"version":"4.17"}}`, `{"release":{"version":"4.17","channelGroup":"stable"}}`},
		{"one is set", Rules{Defaults: Defaults{ChannelGroup: "fast"}}, `{}`, `{"release":{"channelGroup":"fast"}}`},
		{"null is empty", rules, `{"release":{"version":null}}`, `{"release":{"version":"4.18","channelGroup":"stable"}}`},
		{"no text is empty", rules, `{"release":{"version":""}}`, `{"release":{"version":"4.18","channelGroup":"stable"}}`},
		{"a release that is no object is the user's own", rules, `{"release":"4.17"}`, `{"release":"4.17"}`},
		{"other fields stay, numbers as they are spelled", rules, `{"n":1e2,"release":{"version":"1","channelGroup":"2"}}`, `{"n":1e2,"release":{"version":"1","channelGroup":"2"}}`},
		{"a null secret is no secret", bare, `{"serviceAccountSigningKey":null,"a":1}`, `{"a":1}`},
		{"a null secret further down", rules, `{"pull":{"secret":null},"release":{"version":"1","channelGroup":"2"}}`, `{"pull":{},"release":{"version":"1","channelGroup":"2"}}`},
		{"other nulls are values", bare, `{"a":null}`, `{"a":null}`},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			c, err := row.rules.New(Draft{Name: "c", Spec: v1.Object(row.given)}, alice.Email)
			if err != nil {
				t.Fatal(err)
			}
			sameValue(t, row.want, string(c.Spec))
			// What comes back may be put back, and changes nothing.
			_, change, err := row.rules.Update(c, Edit{Spec: c.Spec})
			if err != nil || change.Any() {
				t.Errorf("a PUT of the same spec: %+v, %v", change, err)
			}
		})
	}
}

func TestNewRefusesWhatGrowsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	spec := `{"n":[` + strings.TrimSuffix(strings.Repeat("1e300,", 4000), ",") + `]}`
	_, err := bare.New(Draft{Name: "c", Spec: v1.Object(spec)}, alice.Email)
	if CodeOf(err) != v1.CodeBodyTooLarge {
		t.Errorf("%d bytes that are 1.2 MB once stored: %v, want BODY_TOO_LARGE", len(spec), err)
	}
	_, err = bare.New(Draft{Name: "?", Spec: v1.Object(spec)}, alice.Email)
	if CodeOf(err) != v1.CodeInvalidField {
		t.Errorf("too large and misnamed: %v, want the fault that has a field", err)
	}
}

// stored is a cluster as the database gives it.
func stored(spec string) *Resource {
	return &Resource{
		ID: "0195", Name: "prod", TargetProjectID: "p-1", Description: "old", CreatedBy: alice.Email, Generation: 7, ResourceVersion: 40,
		Labels: map[string]string{"env": "prod"}, Spec: v1.Object(spec), GenerationStartedAt: start,
	}
}

func TestUpdateSpec(t *testing.T) {
	t.Parallel()
	const signing = `{"serviceAccountSigningKey":"K","a":1}`
	const whole = `{"a":1,"release":{"version":"4.17","channelGroup":"fast"},"pull":{"secret":"S","url":"u"}}`
	for _, row := range []struct {
		why                string
		before, put, after string
		changed            bool
	}{
		{"the same text", `{"a":1}`, `{"a":1}`, `{"a":1}`, false},
		{"the same value: order, white space, spelling of numbers", `{"a":1,"b":[1.0]}`, `{ "b":[1], "a":1e0 }`, `{"a":1,"b":[1.0]}`, false},
		{"numbers are doubles", `{"a":9007199254740993}`, `{"a":9007199254740992}`, `{"a":9007199254740993}`, false},
		{"the order of a list counts", `{"a":[1,2]}`, `{"a":[2,1]}`, `{"a":[2,1]}`, true},
		{"null is not absent", `{"a":null}`, `{}`, `{}`, true},
		{"a PUT replaces: unnamed fields go", `{"a":1,"b":2}`, `{"b":2}`, `{"b":2}`, true},
		{"everything but the hidden goes", whole, `{}`, `{"release":{"version":"4.17","channelGroup":"fast"},"pull":{"secret":"S"}}`, true},
		{"the signing key, absent, is kept", signing, `{"a":1}`, signing, false},
		{"and beside a change", signing, `{"a":2}`, `{"serviceAccountSigningKey":"K","a":2}`, true},
		{"null removes it", signing, `{"a":1,"serviceAccountSigningKey":null}`, `{"a":1}`, true},
		{"a new one replaces it", signing, `{"a":1,"serviceAccountSigningKey":"L"}`, `{"a":1,"serviceAccountSigningKey":"L"}`, true},
		{"an empty one is a value", signing, `{"a":1,"serviceAccountSigningKey":""}`, `{"a":1,"serviceAccountSigningKey":""}`, true},
		{"null removes nothing where nothing was", `{"a":1}`, `{"a":1,"serviceAccountSigningKey":null}`, `{"a":1}`, false},
		{"the redacted spec put back", whole, `{"a":1,"release":{"version":"4.17","channelGroup":"fast"},"pull":{"url":"u"}}`, whole, false},
		{"a nested secret comes back with its parent", `{"pull":{"secret":"S"}}`, `{}`, `{"pull":{"secret":"S"}}`, false},
		{"a parent that became something else takes it away", `{"pull":{"secret":"S"}}`, `{"pull":"none"}`, `{"pull":"none"}`, true},
		{"null removes a nested one", `{"pull":{"secret":"S"}}`, `{"pull":{"secret":null}}`, `{"pull":{}}`, true},
		{"defaulted fields are kept", `{"release":{"version":"4.17"}}`, `{"release":{}}`, `{"release":{"version":"4.17"}}`, false},
		{"null removes a defaulted field", `{"release":{"version":"4.17"}}`, `{"release":{"version":null}}`, `{"release":{}}`, true},
		{"a PUT fills no default", `{}`, `{"a":1}`, `{"a":1}`, true},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			before := stored(row.before)
			after, change, err := rules.Update(before, Edit{Spec: v1.Object(row.put)})
			if err != nil {
				t.Fatal(err)
			}
			sameValue(t, row.after, string(after.Spec))
			if want := (Change{Spec: row.changed}); change != want || change.Any() != row.changed {
				t.Errorf("change %+v, want %+v", change, want)
			}
			if !row.changed && string(after.Spec) != row.before {
				t.Errorf("%s: what did not change keeps its spelling, %s", after.Spec, row.before)
			}
			// The generation and the version are the database's to count.
			if diff := cmp.Diff(stored(row.before), before); diff != "" {
				t.Errorf("the stored cluster was touched, -before +after:\n%s", diff)
			}
			if after.Generation != 7 || after.ResourceVersion != 40 {
				t.Errorf("generation %d, version %d: want them untouched", after.Generation, after.ResourceVersion)
			}
		})
	}
}

func TestUpdateMetadata(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why     string
		put     Edit
		want    func(*Resource)
		changed bool
	}{
		{"absent fields keep", Edit{}, func(*Resource) {}, false},
		{"the same values", Edit{Common: Common{Description: new("old"), Paused: new(false)}, Labels: map[string]string{"env": "prod"}}, func(*Resource) {}, false},
		{"its own fixed fields may be repeated", Edit{Common: Common{Fixed: Fixed{ID: new("0195"), Name: new("prod"), TargetProjectID: new("p-1")}}}, func(*Resource) {}, false},
		{"description", Edit{Common: Common{Description: new("")}}, func(c *Resource) { c.Description = "" }, true},
		{"paused", Edit{Common: Common{Paused: new(true)}}, func(c *Resource) { c.Paused = true }, true},
		{"protection", Edit{Common: Common{DeletionProtection: new(true)}}, func(c *Resource) { c.DeletionProtection = true }, true},
		{"labels are replaced", Edit{Labels: map[string]string{"a": "b"}}, func(c *Resource) { c.Labels = map[string]string{"a": "b"} }, true},
		{"labels are emptied", Edit{Labels: map[string]string{}}, func(c *Resource) { c.Labels = map[string]string{} }, true},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			want := stored(`{"a":1}`)
			row.want(want)
			row.put.Spec = v1.Object(`{"a":1}`)
			got, change, err := rules.Update(stored(`{"a":1}`), row.put)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if change != (Change{Metadata: row.changed}) {
				t.Errorf("change %+v, want metadata: %v", change, row.changed)
			}
		})
	}
}

func TestUpdateNamesAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	before := stored(`{"a":1}`)
	after, change, err := rules.Update(before, Edit{
		Common: Common{
			Fixed: Fixed{ID: new("0196"), Name: new("other"), TargetProjectID: new("")}, Description: new(strings.Repeat("d", 5000)),
		},
		Labels: map[string]string{"?": ""},
	})
	want := []string{
		"spec is required and must be an object",
		"id cannot be changed", "name cannot be changed", "target_project_id cannot be changed",
		"description must be at most 4096 characters, not 5000",
		"labels.? is not a label key: [prefix/]name, the name at most 63 of A-Za-z0-9-_.",
	}
	if diff := cmp.Diff(want, faultsOf(t, err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if after != nil || change.Any() {
		t.Errorf("%+v, %+v: want nothing beside an error", after, change)
	}
	_, _, err = rules.Update(before, Edit{Spec: v1.Object("null")})
	if got := faultsOf(t, err); len(got) != 1 || got[0] != "spec is required and must be an object" {
		t.Errorf("spec null: %v", got)
	}
}

// TestFaultsHideSecrets: an installation may declare even the platform a secret.
func TestFaultsHideSecrets(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"platform", "platform.type", "platform.type.deeper"} {
		secret := Rules{Secrets: NewSecrets([]string{path})}
		_, err := secret.New(Draft{Name: "c", Spec: v1.Object(`{"platform":{"type":"s3cr3t!"}}`)}, alice.Email)
		e, ok := errors.AsType[*Error](err)
		if !ok || strings.Contains(fmt.Sprintf("%+v", *e), "s3cr3t") {
			t.Errorf("secret %s: %+v shows the value", path, err)
		}
	}
}

func TestInvalidIsBounded(t *testing.T) {
	t.Parallel()
	e, _ := errors.AsType[*Error](Invalid(v1.CodeInvalidField, make([]Fault, 5000)...))
	if len(e.Faults) != 100 {
		t.Errorf("%d faults, want the first 100", len(e.Faults))
	}
	if err := Invalid(v1.CodeInvalidField); err != nil {
		t.Errorf("no faults: %v, want nil", err)
	}
}

func TestChangeReason(t *testing.T) {
	t.Parallel()
	for change, want := range map[Change]string{
		{Spec: true}: v1.ReasonSpecChanged, {Spec: true, Metadata: true}: v1.ReasonSpecChanged, {Metadata: true}: v1.ReasonMetadataChanged,
	} {
		if got := change.Reason(); got != want || !change.Any() {
			t.Errorf("%+v: %s, want %s", change, got, want)
		}
	}
	if (Change{}).Any() {
		t.Error("no change is one")
	}
}

func TestClusterFacts(t *testing.T) {
	t.Parallel()
	c := stored(`{}`)
	c.Platform, c.Status = "gcp", json.RawMessage(`{}`)
	if got := c.ETag(); got != `"40"` {
		t.Errorf("ETag %s, want the version in quotes", got)
	}
	want := Object{Generation: 7, GenerationStartedAt: start, Platform: "gcp"}
	if diff := cmp.Diff(want, c.Object()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	c.DeletionTimestamp = new(minute(3))
	if got := c.Object().DeletionTimestamp; !got.Equal(start.Add(3 * time.Minute)) {
		t.Errorf("deletion at %v", got)
	}
}
