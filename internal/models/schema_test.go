package models

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// TestSpecCheckIsAsked: with what would be stored, with what was before unless that was another
// platform's, and only when there is something to judge.
func TestSpecCheckIsAsked(t *testing.T) {
	t.Parallel()
	var asked []string
	r := Rules{
		Kind: KindCluster, Secrets: NewSecrets(nil), Defaults: Defaults{ReleaseVersion: "4"},
		Schema: func(kind Kind, platform string, spec, stored v1.Object) []Fault {
			asked = append(asked, string(kind)+" "+platform+" "+string(spec)+" "+string(stored))
			return []Fault{{Field: "spec.n", Reason: "is bad"}}
		},
	}
	const gcp, upper = `{"platform":{"type":"gcp"},"release":{"version":"4"}}`, `{"platform":{"type":"GCP"},"n":1,"release":{"version":"4"}}`
	stored := &Resource{Spec: v1.Object(gcp)}
	for _, row := range []struct {
		why   string
		do    func() error
		asked []string
		fault bool
	}{
		{"a POST, with its defaults", func() error {
			_, err := r.New(Draft{Name: "a", Spec: v1.Object(`{"platform":{"type":"GCP"}}`)}, "")
			return err
		}, []string{`cluster gcp {"platform":{"type":"GCP"},"release":{"version":"4"}} `}, true},
		{"no platform", func() error { _, err := r.New(Draft{Name: "a", Spec: v1.Object(`{}`)}, ""); return err }, nil, false},
		{"a platform that is none", func() error {
			_, err := r.New(Draft{Name: "a", Spec: v1.Object(`{"platform":{"type":"g c"}}`)}, "")
			return err
		}, nil, true},
		{
			"a PUT, the platform in other letters", func() error { _, _, err := r.Update(stored, Edit{Spec: v1.Object(upper)}); return err },
			[]string{"cluster gcp " + upper + " " + gcp},
			true,
		},
		{"a PUT, with what it leaves out", func() error {
			_, _, err := r.Update(stored, Edit{Spec: v1.Object(`{"platform":{"type":"gcp"},"n":1}`)})
			return err
		}, []string{`cluster gcp {"n":1,"platform":{"type":"gcp"},"release":{"version":"4"}} ` + gcp}, true},
		{"a PUT that changes nothing", func() error {
			_, _, err := r.Update(stored, Edit{Spec: v1.Object(`{"platform":{"type":"gcp"}}`)})
			return err
		}, nil, false},
		{"a PUT without a spec", func() error { _, _, err := r.Update(stored, Edit{}); return err }, nil, true},
		{"a PATCH of the description", func() error {
			text := "x"
			_, _, err := r.Patch(stored, Patch{Common: Common{Description: &text}})
			return err
		}, nil, false},
		{
			"a PATCH to another platform", func() error {
				_, _, err := r.Patch(stored, Patch{Spec: v1.Object(`{"platform":{"type":"aws"}}`)})
				return err
			},
			[]string{`cluster aws {"platform":{"type":"aws"},"release":{"version":"4"}} `},
			true,
		},
	} {
		asked = nil
		if err := row.do(); (err != nil) != row.fault {
			t.Errorf("%s: got %v", row.why, err)
		}
		if diff := cmp.Diff(row.asked, asked); diff != "" {
			t.Errorf("%s: (-want +asked)\n%s", row.why, diff)
		}
	}
}

// TestSpecCheckTellsNoSecret: neither the values nor the shape of what is redacted.
func TestSpecCheckTellsNoSecret(t *testing.T) {
	t.Parallel()
	r := Rules{
		Secrets: NewSecrets([]string{"a.token"}),
		Schema: func(Kind, string, v1.Object, v1.Object) []Fault {
			return []Fault{
				{Field: "spec.a.token", Reason: "must be an object", Value: "HUSH"},
				{Field: "spec.a.token.HUSH", Reason: "is not allowed", Value: "HUSH", Allowed: []string{"x"}},
				{Field: "spec.a.token[3]", Reason: "is required"},
				{Field: "spec.a.tokens", Reason: "must be a number", Value: "open"},
				{Field: "spec.serviceAccountSigningKey.HUSH", Reason: "is not allowed"},
			}
		},
	}
	_, err := r.New(Draft{Name: "a", Spec: v1.Object(`{"platform":{"type":"gcp"}}`)}, "")
	const veiled = "is not what the schema of its platform allows"
	want := Invalid(v1.CodeInvalidField,
		Fault{Field: "spec.a.token", Reason: "must be an object"}, Fault{Field: "spec.a.token", Reason: veiled},
		Fault{Field: "spec.a.tokens", Reason: "must be a number", Value: "open"}, Fault{Field: "spec.serviceAccountSigningKey", Reason: veiled})
	if diff := cmp.Diff(want, err); diff != "" {
		t.Error(diff)
	}
}
