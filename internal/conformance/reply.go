package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// reply is the answer to a call, as it came over the wire. Its methods fail the check of its probe.
type reply struct {
	p      *probe
	status int
	header http.Header
	body   []byte
}

// String is the answer for people.
func (r reply) String() string {
	return fmt.Sprintf("%d %s: %.600s", r.status, http.StatusText(r.status), r.body)
}

// is expects a status.
func (r reply) is(status int) reply {
	r.p.expect(r.status == status, fmt.Sprintf("status %d %s", status, http.StatusText(status)), r.String())
	return r
}

// has expects a header to be just so.
func (r reply) has(name, value string) {
	r.expectHeader(name, value, func(seen string) bool { return seen == value })
}

// expectHeader expects a header to be as it should.
func (r reply) expectHeader(name, expected string, ok func(value string) bool) {
	seen := r.header.Get(name)
	r.p.expect(ok(seen), name+": "+expected, name+": "+seen)
}

// refused expects a failure in its one form, with a code and the first field at fault, "" for none.
func (r reply) refused(code v1.Code, field string) v1.ErrorBody {
	r.is(code.HTTPStatus())
	body := into[v1.ErrorBody](r)
	r.p.expect(body.Code == code, "code "+string(code), r.String())
	r.p.expect(body.Error != "" && body.Error == body.Message, "one sentence as error and message", r.String())
	r.p.expect(body.RequestID != "" && body.RequestID == r.header.Get("X-Request-ID"),
		"the request_id "+r.header.Get("X-Request-ID")+" of the header", r.String())
	if field != "" {
		r.p.expect(body.Details != nil && body.Details.Field == field, "a fault of the field "+field, r.String())
	}
	return body
}

// at returns the value at a path such as clusters.0.name, nil where there is none.
func (r reply) at(path string) any {
	var value any
	if json.Unmarshal(r.body, &value) != nil {
		r.p.fail("JSON", r.String())
	}
	if path == "" {
		return value
	}
	for step := range strings.SplitSeq(path, ".") {
		switch of := value.(type) {
		case map[string]any:
			value = of[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(of) {
				return nil
			}
			value = of[i]
		default:
			return nil
		}
	}
	return value
}

// shows expects a value at a path; numbers compare whatever their type.
func (r reply) shows(path string, value any) reply {
	seen := r.at(path)
	r.p.expect(text(seen) == text(value), path+" = "+text(value), path+" = "+text(seen))
	return r
}

// shape expects fields with their types below a path: "id:string labels:object".
func (r reply) shape(path, fields string) reply {
	for field := range strings.FieldsSeq(fields) {
		name, want, _ := strings.Cut(field, ":")
		seen := r.at(strings.Trim(path+"."+name, "."))
		r.p.expect(typeOf(seen) == want, "a field "+strings.Trim(path+"."+name, ".")+" that is a "+want, r.String())
	}
	return r
}

func typeOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	default:
		return "null"
	}
}

// into returns the answer as a type of the contract; fields that it does not know pass.
func into[T any](r reply) T {
	var value T
	if err := json.Unmarshal(r.body, &value); err != nil {
		r.p.fail("an answer of the contract's types", err.Error()+" in "+r.String())
	}
	return value
}
