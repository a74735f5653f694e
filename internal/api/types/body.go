package types

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// BodyError says why a body is no JSON object. Its text is fit for the caller.
type BodyError struct{ reason string }

// Error implements [error].
func (e *BodyError) Error() string { return e.reason }

// DecodeCreate reads the body of POST /clusters or /nodepools. A body that is no JSON object is
// a [BodyError]; otherwise what could be decoded is returned, with the faults of the rest.
func DecodeCreate(kind models.Kind, text []byte) (models.Draft, []v1.FieldError, error) {
	d, err := newDecoder(text)
	if err != nil {
		return models.Draft{}, nil, err
	}
	var in models.Draft
	d.text("name", &in.Name)
	if kind == models.KindNodePool {
		d.text("cluster_id", &in.ClusterID)
		in.ClusterID = strings.ToLower(in.ClusterID)
	} else {
		d.text("target_project_id", &in.TargetProjectID)
	}
	d.text("description", &in.Description)
	d.flag("paused", &in.Paused)
	d.flag("deletion_protection", &in.DeletionProtection)
	in.Labels = d.labels("labels")
	d.object("spec", &in.Spec)
	d.ignore(outputOnly...)
	d.ignore("id", "generation")
	return in, d.rest(), nil
}

// DecodeUpdate reads the body of PUT /clusters/{id} or /nodepools/{id}, as DecodeCreate does.
func DecodeUpdate(kind models.Kind, text []byte) (models.Edit, []v1.FieldError, error) {
	d, err := newDecoder(text)
	if err != nil {
		return models.Edit{}, nil, err
	}
	var in models.Edit
	d.fixed(kind, &in.Fixed)
	optional(d, "description", &in.Description, d.text)
	optional(d, "paused", &in.Paused, d.flag)
	optional(d, "deletion_protection", &in.DeletionProtection, d.flag)
	optional(d, "generation", &in.Generation, d.number)
	in.Labels = d.labels("labels")
	d.object("spec", &in.Spec)
	d.ignore(outputOnly...)
	return in, d.rest(), nil
}

// DecodePatch reads the body of PATCH /clusters/{id} or /nodepools/{id}, as DecodeCreate does. A
// null is kept for what it means: remove.
func DecodePatch(kind models.Kind, text []byte) (models.Patch, []v1.FieldError, error) {
	d, err := newDecoder(text)
	if err != nil {
		return models.Patch{}, nil, err
	}
	var in models.Patch
	d.fixed(kind, &in.Fixed)
	removable(d, "description", &in.Description, d.text)
	removable(d, "paused", &in.Paused, d.flag)
	removable(d, "deletion_protection", &in.DeletionProtection, d.flag)
	optional(d, "generation", &in.Generation, d.number)
	d.labelChanges("labels", &in.Labels)
	d.object("spec", &in.Spec)
	d.ignore(outputOnly...)
	return in, d.rest(), nil
}

// DecodeRegistration reads the body of PUT /controllers/{name}, as DecodeCreate does. What an answer
// says besides may be sent back.
func DecodeRegistration(text []byte) (v1.RegisterController, []v1.FieldError, error) {
	d, err := newDecoder(text)
	if err != nil {
		return v1.RegisterController{}, nil, err
	}
	var in v1.RegisterController
	d.into("platforms", "must be a list of strings", &in.Platforms)
	d.into("kinds", "must be a list of strings", &in.Kinds)
	d.flag("finalizes", &in.Finalizes)
	d.flag("required", &in.Required)
	d.ignore("name", "registered", "first_seen_at", "retired_at", "last_heartbeat", "clusters", "nodepools", "lag")
	return in, d.rest(), nil
}

// outputOnly are the fields of a resource that a client may send back unchanged, or
// changed, without effect (AIP-203).
var outputOnly = []string{ //nolint:gochecknoglobals // a constant list
	"created_by", "resource_version", "status", "created_at", "updated_at", "deletion_timestamp",
}

// decoder takes one JSON object apart. Keys are compared exactly: encoding/json's own
// decoding would take "Name" for "name", and PostgreSQL would not.
type decoder struct {
	fields map[string]json.RawMessage
	faults []v1.FieldError
}

func newDecoder(text []byte) (*decoder, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &BodyError{"is missing"}
	}
	d := &decoder{}
	if err := json.Unmarshal(text, &d.fields); err != nil {
		return nil, &BodyError{notJSON(err)}
	}
	if d.fields == nil {
		return nil, &BodyError{"must be a JSON object"}
	}
	return d, nil
}

// notJSON words an error of encoding/json for somebody who does not know Go.
func notJSON(err error) string {
	if at, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("is not valid JSON (at byte %d)", at.Offset)
	}
	return "must be a JSON object"
}

// take removes a field from the object; false when it is absent or null, which mean the same.
func (d *decoder) take(name string) (json.RawMessage, bool) {
	raw, present := d.fields[name]
	delete(d.fields, name)
	return raw, present && string(raw) != "null"
}

func (d *decoder) fault(field, reason string, raw json.RawMessage) {
	fault := v1.FieldError{Field: field, Reason: reason}
	if first := raw[0]; first != '{' && first != '[' {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		_ = decoder.Decode(&fault.Value) // Valid: it was part of a valid text.
	}
	d.faults = append(d.faults, fault)
}

// into decodes a field that must be of the target's type, or reports the reason.
func (d *decoder) into(name, reason string, target any) {
	raw, given := d.take(name)
	if given && json.Unmarshal(raw, target) != nil {
		d.fault(name, reason, raw)
	}
}

func (d *decoder) text(name string, to *string)  { d.into(name, "must be a string", to) }
func (d *decoder) flag(name string, to *bool)    { d.into(name, "must be true or false", to) }
func (d *decoder) number(name string, to *int64) { d.into(name, "must be a whole number", to) }
func (d *decoder) ignore(names ...string) {
	for _, name := range names {
		delete(d.fields, name)
	}
}

// optional decodes a field whose absence means something.
func optional[T any](d *decoder, name string, to **T, decode func(string, *T)) {
	if raw, present := d.fields[name]; present && string(raw) != "null" {
		*to = new(T)
		decode(name, *to)
	}
	delete(d.fields, name)
}

// fixed decodes the fields that a resource keeps for life.
func (d *decoder) fixed(kind models.Kind, to *models.Fixed) {
	optional(d, "id", &to.ID, d.text)
	optional(d, "name", &to.Name, d.text)
	if kind == models.KindNodePool {
		optional(d, "cluster_id", &to.ClusterID, d.text)
		if to.ClusterID != nil {
			*to.ClusterID = strings.ToLower(*to.ClusterID)
		}
	} else {
		optional(d, "target_project_id", &to.TargetProjectID, d.text)
	}
}

// removable decodes a field of a merge patch: a null gives the zero value.
func removable[T any](d *decoder, name string, to **T, decode func(string, *T)) {
	if _, present := d.fields[name]; present {
		*to = new(T)
		decode(name, *to)
	}
}

// labelChanges keeps the labels of a merge patch as they are, each a text or null.
func (d *decoder) labelChanges(name string, to *v1.Object) {
	d.object(name, to)
	var values map[string]json.RawMessage
	if json.Unmarshal([]byte(to.String()), &values) != nil {
		return
	}
	for _, key := range sorted(values) {
		var value *string
		if json.Unmarshal(values[key], &value) != nil {
			d.fault(name+"."+key, "must be a string, or null", values[key])
		}
	}
}

// object keeps a null apart from an absent object, for the rules to judge.
func (d *decoder) object(name string, to *v1.Object) {
	raw, present := d.fields[name]
	delete(d.fields, name)
	if present && to.UnmarshalJSON(raw) != nil {
		d.fault(name, "must be a JSON object", raw)
	}
}

// labels names each value that is no text by its own key.
func (d *decoder) labels(name string) map[string]string {
	var values map[string]json.RawMessage
	raw, given := d.take(name)
	if !given {
		return nil
	}
	if json.Unmarshal(raw, &values) != nil {
		d.fault(name, "must be a JSON object", raw)
		return nil
	}
	labels := make(map[string]string, len(values))
	for _, key := range sorted(values) {
		var value *string
		if json.Unmarshal(values[key], &value) != nil || value == nil {
			d.fault(name+"."+key, "must be a string", values[key])
			continue
		}
		labels[key] = *value
	}
	return labels
}

// rest returns all faults, those of the fields that nobody has taken among them.
func (d *decoder) rest() []v1.FieldError {
	for _, name := range sorted(d.fields) {
		d.fault(name, "is not a field of this request", d.fields[name])
	}
	return d.faults
}

func sorted(m map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
