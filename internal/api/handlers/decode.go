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
func (h *Handlers) create(text []byte, by models.Actor) (v1.CreateCluster, error) {
	in, faults, err := types.DecodeCreate(text)
	if err != nil {
		return in, notJSON(err)
	}
	all := append(models.ScanJSON(text), asFaults(faults)...)
	if len(all) > 0 {
		_, err = models.ClusterRules{Secrets: h.Secrets}.New(in, by)
		return in, models.Invalid(v1.CodeInvalidField, withFaultsOf(all, err)...)
	}
	return in, nil
}

// update decodes the body of a PUT, as create does that of a POST. The rules are asked
// about a stored cluster that agrees with the fields that no update may change: those
// are for the service to compare.
func (h *Handlers) update(text []byte) (v1.UpdateCluster, error) {
	in, faults, err := types.DecodeUpdate(text)
	if err != nil {
		return in, notJSON(err)
	}
	all := append(models.ScanJSON(text), asFaults(faults)...)
	if len(all) > 0 {
		stored := models.Cluster{ID: value(in.ID), Name: value(in.Name), TargetProjectID: value(in.TargetProjectID)}
		same := in
		same.ID, same.Name, same.TargetProjectID = &stored.ID, &stored.Name, &stored.TargetProjectID
		_, _, err = models.ClusterRules{Secrets: h.Secrets}.Update(&stored, same)
		return in, models.Invalid(v1.CodeInvalidField, withFaultsOf(all, err)...)
	}
	return in, nil
}

// patch decodes the body of a PATCH, as update does that of a PUT. What the rules say of what
// it is merged into is for the service to find.
func (h *Handlers) patch(text []byte) (v1.PatchCluster, error) {
	in, faults, err := types.DecodePatch(text)
	if err != nil {
		return in, notJSON(err)
	}
	all := append(models.ScanJSON(text), asFaults(faults)...)
	if len(all) > 0 {
		stored := models.Cluster{ID: value(in.ID), Name: value(in.Name), TargetProjectID: value(in.TargetProjectID)}
		_, _, err = models.ClusterRules{Secrets: h.Secrets}.Patch(&stored, in)
		return in, models.Invalid(v1.CodeInvalidField, withFaultsOf(all, err)...)
	}
	return in, nil
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
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
