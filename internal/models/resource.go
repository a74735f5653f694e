package models

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Resource is a cluster or a node pool as the service handles it: what is stored, with the spec,
// the labels and the status kept as the JSON text that goes out again.
type Resource struct {
	Kind Kind
	ID   string
	// ClusterID is the cluster that a node pool belongs to; "" for a cluster.
	ClusterID          string
	Name               string
	TargetProjectID    string
	Description        string
	Paused             bool
	DeletionProtection bool
	CreatedBy          string
	Generation         int64
	ResourceVersion    int64
	Labels             map[string]string
	Spec               v1.Object
	CreatedAt          time.Time
	UpdatedAt          time.Time
	DeletionTimestamp  *time.Time
	// Holders are the controllers that its deletion waits for, the retired among them.
	Holders []string

	// Platform is spec.platform.type in lower case, "" when there is none.
	Platform string
	// GenerationStartedAt is the time of the creation or of the last change of the spec.
	GenerationStartedAt time.Time
	// Status is the JSON text of a v1.Status; nil until one was calculated.
	Status json.RawMessage
}

// ETag returns the strong entity tag of the resource (RFC 9110, section 8.8.3).
func (r *Resource) ETag() string { return strconv.Quote(strconv.FormatInt(r.ResourceVersion, 10)) }

// Ref returns the names of the resource.
func (r *Resource) Ref() Ref {
	if r.Kind == KindNodePool {
		return Ref{r.Kind, r.ClusterID, r.ID}
	}
	return Ref{r.Kind, r.ID, r.ID}
}

// Object returns what a status needs to know of the resource.
func (r *Resource) Object() Object {
	o := Object{Kind: r.Kind, Generation: r.Generation, GenerationStartedAt: r.GenerationStartedAt, Platform: r.Platform}
	if r.DeletionTimestamp != nil {
		o.DeletionTimestamp = *r.DeletionTimestamp
	}
	return o
}

// Defaults fill fields of a new spec that it does not have; "" fills nothing.
type Defaults struct {
	ReleaseVersion string
	ChannelGroup   string
}

func (d Defaults) values() map[string]string {
	v := map[string]string{}
	if d.ReleaseVersion != "" {
		v["version"] = d.ReleaseVersion
	}
	if d.ChannelGroup != "" {
		v["channelGroup"] = d.ChannelGroup
	}
	return v
}

// Rules are the rules for what users may declare of a kind, under the settings of an installation.
type Rules struct {
	Kind     Kind
	Secrets  Secrets
	Defaults Defaults
	// Schema is what an installation asks of specs besides; nil for nothing.
	Schema SpecCheck
}

// In returns the rules for the node pools of a cluster of a release, which is their default; "" for none.
func (r Rules) In(release string) Rules {
	r.Defaults = Defaults{ReleaseVersion: release}
	return r
}

// New returns the resource that a draft declares, with its defaults, or INVALID_FIELD with every
// fault. The caller gives it an id.
func (r Rules) New(in Draft, owner string) (*Resource, error) {
	faults := checkName(in.Name)
	if r.Kind == KindNodePool && !IsID(in.ClusterID) {
		faults = append(faults, clusterIDFault(in.ClusterID))
	}
	faults = append(faults, checkText("target_project_id", in.TargetProjectID, maxProject)...)
	faults = append(faults, checkText("description", in.Description, maxDescription)...)
	faults = append(faults, checkLabels(in.Labels)...)
	next := &Resource{
		Kind: r.Kind, Name: in.Name, ClusterID: in.ClusterID, TargetProjectID: in.TargetProjectID, Description: in.Description,
		Paused: in.Paused, DeletionProtection: in.DeletionProtection,
		CreatedBy: owner, Labels: in.Labels, Spec: r.withDefaults(in.Spec),
	}
	faults = append(faults, r.checkSchema(next.Spec, nil)...)
	return next, r.check(next.Spec, faults)
}

// Change is what an update changes: nothing, the spec, or only what describes the resource.
type Change struct {
	Spec     bool
	Metadata bool
}

// Any reports whether there is a change at all.
func (c Change) Any() bool { return c.Spec || c.Metadata }

// Reason returns the reason of the event that tells of the change.
func (c Change) Reason() string {
	if c.Spec {
		return v1.ReasonSpecChanged
	}
	return v1.ReasonMetadataChanged
}

// Update returns the resource as it is after an update of the stored one, and what that
// changes. Fields that the update leaves out keep their value; so do secrets and
// defaulted fields of the spec, unless they are null. INVALID_FIELD names every fault.
func (r Rules) Update(stored *Resource, in Edit) (*Resource, Change, error) {
	var faults []Fault
	if in.Spec.IsEmpty() {
		faults = []Fault{{Field: "spec", Reason: "is required and must be an object"}}
		in.Spec = stored.Spec
	}
	in.Spec = r.keepHidden(stored.Spec, in.Spec)
	return r.replace(stored, in, faults)
}

// Patch is Update with a merge patch: what it does not name keeps its value, secrets and
// defaulted fields of the spec as everything else, and a null removes.
func (r Rules) Patch(stored *Resource, in Patch) (*Resource, Change, error) {
	next := Edit{Common: in.Common, Labels: stored.Labels, Spec: stored.Spec}
	var faults []Fault
	switch {
	case in.Spec.IsNull():
		faults = []Fault{{Field: "spec", Reason: "cannot be removed"}}
	case !in.Spec.IsEmpty():
		next.Spec = MergePatch(stored.Spec, in.Spec)
	}
	if len(in.Labels) > 0 {
		next.Labels = mergeLabels(stored.Labels, in.Labels)
	}
	return r.replace(stored, next, faults)
}

// replace returns the stored resource with the fields of an update whose spec is complete.
func (r Rules) replace(stored *Resource, in Edit, faults []Fault) (*Resource, Change, error) {
	faults = append(faults, checkFixed(stored, in.Fixed)...)
	next := *stored
	setIf(&next.Description, in.Description)
	setIf(&next.Paused, in.Paused)
	setIf(&next.DeletionProtection, in.DeletionProtection)
	if in.Labels != nil {
		next.Labels = in.Labels
	}
	faults = append(faults, checkText("description", next.Description, maxDescription)...)
	faults = append(faults, checkLabels(next.Labels)...)
	next.Spec = in.Spec
	change := Change{Spec: !sameJSON(stored.Spec, next.Spec), Metadata: differs(stored, &next)}
	if change.Spec {
		faults = append(faults, r.checkSchema(next.Spec, stored.Spec)...)
	}
	if err := r.check(next.Spec, faults); err != nil {
		return nil, Change{}, err
	}
	if !change.Spec {
		next.Spec = stored.Spec
	}
	return &next, change, nil
}

func setIf[T any](field, given *T) {
	if given != nil {
		*field = *given
	}
}

func differs(a, b *Resource) bool {
	return a.Description != b.Description || a.Paused != b.Paused ||
		a.DeletionProtection != b.DeletionProtection || !maps.Equal(a.Labels, b.Labels)
}

// sameJSON compares two JSON texts by value: numbers are doubles, keys have no order.
func sameJSON(a, b v1.Object) bool {
	var x, y any
	if json.Unmarshal([]byte(a.String()), &x) != nil || json.Unmarshal([]byte(b.String()), &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// withDefaults fills what a new spec lacks or leaves empty, and takes out the nulls that stand for
// "none" where a default or a secret would be.
func (r Rules) withDefaults(spec v1.Object) v1.Object {
	values := r.Defaults.values()
	text := v1.Object(spec.String())
	if len(values) == 0 && (!bytes.Contains(text, []byte("null")) || !Secrets(r.hidden()).mayOccurIn(text)) {
		return text
	}
	t, err := decodeTree(text)
	if err != nil {
		return text
	}
	changed := false
	for key, value := range values {
		path := SpecPath{"release", key}
		if given, _ := t.get(path); given == nil || given == "" {
			t.set(path, value)
			changed = true
		}
	}
	for _, path := range r.hidden() {
		if value, given := t.get(path); given && value == nil {
			changed = t.remove(path)
		}
	}
	if !changed {
		return text
	}
	return t.encode()
}

// hidden returns the paths of a spec that an author may not see or did not choose.
func (r Rules) hidden() []SpecPath {
	paths := append([]SpecPath(nil), r.Secrets...)
	if r.Kind == KindNodePool { // It was taken from the cluster.
		return append(paths, SpecPath{"release", "version"})
	}
	for key := range r.Defaults.values() {
		paths = append(paths, SpecPath{"release", key})
	}
	return paths
}

// keepHidden carries over from the stored spec what the author of a new one could not
// see or did not choose: secrets and defaulted fields. A null removes the field.
func (r Rules) keepHidden(stored, given v1.Object) v1.Object {
	before, errBefore := decodeTree(stored)
	after, errAfter := decodeTree(given)
	if errBefore != nil || errAfter != nil {
		return given
	}
	changed := false
	for _, path := range r.hidden() {
		value, present := after.get(path)
		kept, had := before.get(path)
		switch {
		case present && value == nil:
			changed = after.remove(path) || changed
		case !present && had:
			after.set(path, kept)
			changed = true
		}
	}
	if !changed {
		return given
	}
	return after.encode()
}

const (
	maxProject     = 255
	maxDescription = 4096
	maxLabel       = 63
	maxPrefix      = 253
)

var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	canonicalID  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	platformType = regexp.MustCompile(`^[A-Za-z0-9-]{1,63}$`)
)

// IsID reports whether a text is a UUID in its canonical form: lower case, with dashes.
func IsID(text string) bool { return canonicalID.MatchString(text) }

func clusterIDFault(given string) Fault {
	if given == "" {
		return Fault{Field: "cluster_id", Reason: "is required"}
	}
	return Fault{Field: "cluster_id", Reason: "must be a UUID", Value: given}
}

// IsName reports whether a text is a label by RFC 1123: what a resource may be named.
func IsName(name string) bool { return len(name) <= maxLabel && dnsLabel.MatchString(name) }

func checkName(name string) []Fault {
	switch {
	case name == "":
		return []Fault{{Field: "name", Reason: "is required"}}
	case !IsName(name):
		return []Fault{{
			Field: "name", Value: name,
			Reason: "must be 1 to 63 lower-case letters, digits and '-', and begin and end with a letter or digit",
		}}
	}
	return nil
}

func checkText(field, text string, limit int) []Fault {
	if n := utf8.RuneCountInString(text); n > limit {
		return []Fault{{Field: field, Reason: fmt.Sprintf("must be at most %d characters, not %d", limit, n)}}
	}
	return nil
}

// checkFixed refuses another value for what a resource keeps for life.
func checkFixed(stored *Resource, in Fixed) []Fault {
	var faults []Fault
	for _, f := range []struct {
		field  string
		given  *string
		stored string
	}{
		{"id", in.ID, stored.ID},
		{"name", in.Name, stored.Name},
		{"cluster_id", in.ClusterID, stored.ClusterID},
		{"target_project_id", in.TargetProjectID, stored.TargetProjectID},
	} {
		if f.given != nil && *f.given != f.stored {
			faults = append(faults, Fault{Field: f.field, Reason: "cannot be changed", Value: *f.given, Allowed: []string{f.stored}})
		}
	}
	return faults
}

// check adds the faults of a spec. A spec that is merely too large is BODY_TOO_LARGE.
func (r Rules) check(spec v1.Object, faults []Fault) error {
	faults = append(faults, checkPlatform(spec)...)
	for i := range faults {
		if r.Secrets.Covers(faults[i].Field) {
			faults[i].Value = nil
		}
	}
	if len(faults) == 0 && MayBeTooLarge(spec) && StoredSize(spec) > MaxStored {
		return Invalid(v1.CodeBodyTooLarge, Fault{Field: "spec", Reason: "is larger than 1 MiB as it would be stored"})
	}
	return Invalid(v1.CodeInvalidField, faults...)
}

// checkPlatform looks at spec.platform.type, the only part of a spec that the service reads.
func checkPlatform(spec v1.Object) []Fault {
	var given any
	if json.Unmarshal(find(spec, SpecPath{"platform", "type"}), &given) != nil || given == nil {
		return nil
	}
	name, isText := given.(string)
	if !isText || !platformType.MatchString(name) {
		return []Fault{{Field: "spec.platform.type", Reason: "must be 1 to 63 letters, digits and '-'", Value: given}}
	}
	return nil
}
