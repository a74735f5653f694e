package models

import (
	"strconv"
	"strings"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// Revision is a generation of a resource with its spec.
type Revision struct {
	Generation int64
	CreatedBy  string
	RequestID  string
	CreatedAt  time.Time
	Spec       v1.Object
}

// HistoryQuery asks for a page of the past of a resource, the latest first.
type HistoryQuery struct {
	Limit     int
	PageToken string
}

// Check fills in the limit, and refuses one that is out of bounds.
func (q HistoryQuery) Check() (HistoryQuery, error) {
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	if q.Limit < 1 || q.Limit > MaxLimit {
		return q, Invalid(v1.CodeInvalidQuery, Fault{Field: "limit", Reason: "must be between 1 and 100", Value: q.Limit})
	}
	return q, nil
}

// Moment is a place in a timeline.
type Moment struct {
	At time.Time
	ID string
}

// ofPast is what the token of a page of the past is bound to: what of whom, for whom.
func ofPast(what string, kind Kind, id, scope string) []any { return []any{1, what, kind, id, scope} }

const (
	ofRevisions = "revisions"
	ofTimeline  = "timeline"
)

// SignGeneration returns the token of the page of revisions that begins before a generation.
func (k TokenKey) SignGeneration(kind Kind, id, scope string, before int64) string {
	return k.seal(ofPast(ofRevisions, kind, id, scope), strconv.FormatInt(before, 10))
}

// Generation returns what SignGeneration was given; 0 for no token at all.
func (k TokenKey) Generation(kind Kind, id, scope, token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	payload, err := k.open(ofPast(ofRevisions, kind, id, scope), token)
	if err != nil {
		return 0, err
	}
	before, err := strconv.ParseInt(payload, 10, 64)
	if err != nil {
		return 0, invalidToken()
	}
	return before, nil
}

// SignMoment returns the token of the page of a timeline that begins before a moment.
func (k TokenKey) SignMoment(kind Kind, id, scope string, before Moment) string {
	return k.seal(ofPast(ofTimeline, kind, id, scope), strconv.FormatInt(before.At.UnixMicro(), 10)+" "+before.ID)
}

// Moment returns what SignMoment was given; nil for no token at all.
func (k TokenKey) Moment(kind Kind, id, scope, token string) (*Moment, error) {
	if token == "" {
		return nil, nil //nolint:nilnil // no token, no moment
	}
	payload, err := k.open(ofPast(ofTimeline, kind, id, scope), token)
	if err != nil {
		return nil, err
	}
	at, of, _ := strings.Cut(payload, " ")
	micros, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return nil, invalidToken()
	}
	return &Moment{At: time.UnixMicro(micros).UTC(), ID: of}, nil
}

// Restore returns a resource with a spec that it had before, secrets and all, and what that changes.
func (r Rules) Restore(stored *Resource, spec v1.Object) (*Resource, Change, error) {
	return r.replace(stored, Edit{Spec: spec}, nil)
}

// NoSuchRevision returns the error for a generation that is not kept.
func NoSuchRevision(generation int64) error {
	return Invalid(v1.CodeNotFound, Fault{Field: "to", Reason: "is not a generation that is kept", Value: generation})
}
