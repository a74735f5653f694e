package middleware

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"

	// maxValue is the longest value, in bytes, that an answer repeats; maxField and
	// maxMessage bound what a client can make an answer grow by.
	maxValue   = 100
	maxField   = 256
	maxMessage = 512
)

// RefusalError is the answer to a request that failed, ready to be written.
type RefusalError struct {
	Status      int
	MediaType   string
	Body        []byte
	RetryAfter  string
	description string
}

// Error implements [error] with the sentence that the caller reads.
func (f *RefusalError) Error() string { return f.description }

// GetStatus returns the HTTP status. The name is huma's.
func (f *RefusalError) GetStatus() int { return f.Status }

// ContentType returns the media type of the body, whatever was negotiated for a success.
func (f *RefusalError) ContentType(string) string { return f.MediaType }

// JSON returns the encoded body.
func (f *RefusalError) JSON() []byte { return f.Body }

// Fail turns an error into the answer of this exchange, and keeps the cause of a failure
// of ours for the log. An error outside the service's vocabulary is INTERNAL, and says
// nothing of itself to the caller.
func (x *Exchange) Fail(err error) *RefusalError {
	e, known := errors.AsType[*models.Error](err)
	if !known {
		e = &models.Error{Code: v1.CodeInternal}
	}
	if e.Code == v1.CodeInternal {
		e = models.Errorf(v1.CodeInternal, "something went wrong on our side")
	}
	f := &RefusalError{Status: e.Code.HTTPStatus(), description: shorten(e.Message, maxMessage)}
	if f.Status >= http.StatusInternalServerError {
		x.failure = err
	}
	f.RetryAfter = retryAfter(e)
	f.MediaType, f.Body = x.render(e, f)
	return f
}

// retryAfter is in whole seconds (RFC 9110, section 10.2.3).
func retryAfter(e *models.Error) string {
	wait := e.RetryAfter
	if wait == 0 && e.Code == v1.CodeUnavailable {
		wait = time.Second
	}
	if wait == 0 {
		return ""
	}
	return strconv.Itoa(int(math.Ceil(wait.Seconds())))
}

func (x *Exchange) render(e *models.Error, f *RefusalError) (mediaType string, body []byte) {
	details := x.details(e.Faults)
	var content any = v1.ErrorBody{
		Error: f.description, Message: f.description, Code: e.Code, Details: details, RequestID: x.Actor.RequestID,
	}
	mediaType = mediaJSON
	if wantsProblem(x.accept) {
		mediaType = mediaProblem
		content = problem(e.Code, f, details, x.Actor.RequestID)
	}
	body, err := json.Marshal(content)
	if err != nil { // Strings, and values that scalar has let through.
		panic("middleware: encode an error: " + err.Error())
	}
	return mediaType, body
}

func problem(code v1.Code, f *RefusalError, details *v1.ErrorDetails, requestID string) v1.Problem {
	p := v1.Problem{
		Type: "about:blank", Title: http.StatusText(f.Status), Status: f.Status, Detail: f.description,
		Code: code, RequestID: requestID,
	}
	if details != nil {
		p.Errors = details.Errors
	}
	return p
}

// details names the first fault on top and all of them below; nil when there is none.
func (x *Exchange) details(faults []models.Fault) *v1.ErrorDetails {
	if len(faults) == 0 {
		return nil
	}
	d := &v1.ErrorDetails{Allowed: faults[0].Allowed, Errors: make([]v1.FieldError, len(faults))}
	for i, fault := range faults {
		d.Errors[i] = v1.FieldError{Field: shorten(fault.Field, maxField), Reason: shorten(fault.Reason, maxMessage)}
		if !x.secrets.Covers(fault.Field) {
			d.Errors[i].Value = scalar(fault.Value)
		}
	}
	d.Field, d.Value = d.Errors[0].Field, d.Errors[0].Value
	return d
}

// scalar returns a value that may be repeated to the caller, nil for any other.
func scalar(value any) any {
	switch v := value.(type) {
	case string:
		if len(v) <= maxValue && utf8.ValidString(v) {
			return v
		}
	case json.Number:
		if len(v) <= maxValue {
			return v
		}
	case bool, int, int64:
		return v
	case float64:
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			return v
		}
	}
	return nil
}

// shorten cuts a text between characters.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "..."
}

// wantsProblem reports whether an Accept header names problem+json with a weight above 0
// (RFC 9110, section 12.5.1). Being named is enough: nothing else is ever answered in it.
func wantsProblem(accept string) bool {
	for accept != "" {
		var item string
		item, accept, _ = strings.Cut(accept, ",")
		name, params, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), mediaProblem) {
			return weight(params) > 0
		}
	}
	return false
}

// weight returns the q of media type parameters, 1 when there is none that can be read.
func weight(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if q, err := strconv.ParseFloat(value, 64); err == nil && strings.EqualFold(name, "q") {
			return q
		}
	}
	return 1
}
