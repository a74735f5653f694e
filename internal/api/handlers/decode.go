package handlers

import (
	"encoding/json"
	"errors"
	"slices"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/types"
	"github.com/cls-backend/cls-backend/internal/models"
)

// create decodes the body of a POST. When its form is at fault the rules are asked as
// well, so that the caller learns of everything at once.
func (c *collection[R, L, S]) create(text []byte, by models.Actor) (models.Draft, error) {
	in, faults, err := types.DecodeCreate(c.kind, text)
	if err != nil {
		return in, notJSON(err)
	}
	all := append(models.ScanJSON(text), asFaults(faults)...)
	if len(all) > 0 {
		_, err = models.Rules{Kind: c.kind, Secrets: c.Secrets}.New(in, by.Email)
		return in, models.Invalid(v1.CodeInvalidField, withFaultsOf(all, err)...)
	}
	return in, nil
}

// update decodes the body of a PUT, as create does that of a POST. The rules are asked
// about a stored cluster that agrees with the fields that no update may change: those
// are for the service to compare.
func (c *collection[R, L, S]) update(text []byte) (models.Edit, error) {
	in, faults, err := types.DecodeUpdate(c.kind, text)
	if err != nil {
		return in, notJSON(err)
	}
	all := append(models.ScanJSON(text), asFaults(faults)...)
	if len(all) > 0 {
		_, _, err = models.Rules{Kind: c.kind, Secrets: c.Secrets}.Update(&models.Resource{}, in.Anywhere())
		return in, models.Invalid(v1.CodeInvalidField, withFaultsOf(all, err)...)
	}
	return in, nil
}

// patch decodes the body of a PATCH, as update does that of a PUT. What the rules say of what
// it is merged into is for the service to find.
func (c *collection[R, L, S]) patch(text []byte) (models.Patch, error) {
	in, faults, err := types.DecodePatch(c.kind, text)
	if err != nil {
		return in, notJSON(err)
	}
	all := append(models.ScanJSON(text), asFaults(faults)...)
	if len(all) > 0 {
		_, _, err = models.Rules{Kind: c.kind, Secrets: c.Secrets}.Patch(&models.Resource{}, in.Anywhere())
		return in, models.Invalid(v1.CodeInvalidField, withFaultsOf(all, err)...)
	}
	return in, nil
}

// withFaultsOf adds the faults of an error about fields that are not at fault already.
func withFaultsOf(faults []models.Fault, err error) []models.Fault {
	e, ok := errors.AsType[*models.Error](err)
	if !ok {
		return faults
	}
	for _, f := range e.Faults {
		if !slices.ContainsFunc(faults, func(known models.Fault) bool { return known.Field == f.Field }) {
			faults = append(faults, f)
		}
	}
	return faults
}

// report decodes a controller's report, which is refused for as little as possible:
// the type itself is lenient.
func report(text []byte) (v1.StatusReport, error) {
	var r v1.StatusReport
	if models.TooDeep(text) {
		return r, models.Invalid(v1.CodeInvalidJSON, models.Fault{Field: "body", Reason: "is nested too deeply"})
	}
	if err := json.Unmarshal(text, &r); err != nil {
		reason := "is not valid JSON"
		if errors.Is(err, v1.ErrNotObject) {
			reason = "must be a JSON object"
		}
		return r, models.Invalid(v1.CodeInvalidJSON, models.Fault{Field: "body", Reason: reason})
	}
	return r, nil
}

func notJSON(err error) error {
	return models.Invalid(v1.CodeInvalidJSON, models.Fault{Field: "body", Reason: err.Error()})
}
