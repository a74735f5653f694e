package handlers

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// The groups of calls in the document.
const (
	tagClusters    = "clusters"
	tagNodePools   = "nodepools"
	tagControllers = "controllers"
	tagStatus      = "status"
	tagService     = "service"
)

// SecurityScheme is the name of the identity header's scheme in the document.
const SecurityScheme = "userEmail"

// spec says of a call what its types cannot.
type spec struct {
	id, method, path, tag string
	summary, description  string
	params                []*huma.Param
	success               success
	// failing is an answer with a failure's status and the body of a success.
	failing *success
	errors  []v1.Code
	only    huma.Middlewares
	// open calls need no identity.
	open bool
}

// success is an answer that is no error.
type success struct {
	status      int
	description string
	example     any
}

func (s spec) operation() huma.Operation {
	op := huma.Operation{
		OperationID: s.id, Method: s.method, Path: s.path, Tags: []string{s.tag},
		Summary: s.summary, Description: s.description, Parameters: s.params,
		DefaultStatus: s.success.status, Responses: s.responses(), Middlewares: s.only,
		Security: []map[string][]string{{SecurityScheme: {}}},
	}
	if s.method != http.MethodGet {
		op.Parameters = append(op.Parameters, dryRunParam())
	}
	if s.open {
		op.Security = []map[string][]string{}
	}
	return op
}

// always are the codes that every call that needs an identity can answer.
func always() []v1.Code {
	return []v1.Code{
		v1.CodeAmbiguousIdentity, v1.CodeAuthRequired, v1.CodeInvalidEmail, v1.CodeUntrustedProxy, v1.CodeUnavailable,
	}
}

func (s spec) responses() map[string]*huma.Response {
	codes := append(slices.Clone(s.errors), v1.CodeInternal)
	if !s.open {
		codes = append(codes, always()...)
	}
	byStatus := map[int][]v1.Code{}
	for _, code := range codes {
		byStatus[code.HTTPStatus()] = append(byStatus[code.HTTPStatus()], code)
	}
	all := map[string]*huma.Response{strconv.Itoa(s.success.status): s.success.response()}
	if s.failing != nil {
		all[strconv.Itoa(s.failing.status)] = s.failing.response()
	}
	for status, codes := range byStatus {
		all[strconv.Itoa(status)] = errorResponse(status, codes)
	}
	return all
}

// response leaves the schema and the headers of the type to huma, which knows the type.
func (s success) response() *huma.Response {
	r := &huma.Response{
		Description: s.description,
		Headers:     map[string]*huma.Param{"X-Request-ID": requestIDHeader()},
	}
	if s.status != http.StatusNoContent {
		r.Content = map[string]*huma.MediaType{mediaJSON: {Example: s.example}}
	}
	return r
}

// Where the document keeps its examples of errors, which many calls share.
const (
	examplePrefix = "#/components/examples/"
	problemSuffix = "_problem"
)

// errorExamples has two examples for each code that a call can answer, one in either
// form. METHOD_NOT_ALLOWED is the answer of no call.
func errorExamples() map[string]*huma.Example {
	all := map[string]*huma.Example{}
	for code := range v1.Codes() {
		if code == v1.CodeMethodNotAllowed {
			continue
		}
		all[string(code)] = &huma.Example{Value: exampleError(code)}
		all[string(code)+problemSuffix] = &huma.Example{Value: exampleProblem(code)}
	}
	return all
}

// errorResponse describes a status by its codes, one example each.
func errorResponse(status int, codes []v1.Code) *huma.Response {
	slices.Sort(codes)
	var names []string
	plain, problems := map[string]*huma.Example{}, map[string]*huma.Example{}
	for _, code := range codes {
		names = append(names, string(code))
		plain[string(code)] = &huma.Example{Ref: examplePrefix + string(code)}
		problems[string(code)] = &huma.Example{Ref: examplePrefix + string(code) + problemSuffix}
	}
	r := &huma.Response{
		Description: http.StatusText(status) + ": " + strings.Join(names, ", "),
		Headers:     map[string]*huma.Param{"X-Request-ID": requestIDHeader()},
		Content: map[string]*huma.MediaType{
			mediaJSON:                  {Schema: &huma.Schema{Ref: schemaPrefix + "ErrorBody"}, Examples: plain},
			"application/problem+json": {Schema: &huma.Schema{Ref: schemaPrefix + "Problem"}, Examples: problems},
		},
	}
	if status == http.StatusServiceUnavailable {
		r.Headers["Retry-After"] = header("Seconds to wait before the next try")
	}
	return r
}

func header(description string) *huma.Param {
	return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
}

func requestIDHeader() *huma.Param {
	return header("The request's id: the caller's own X-Request-ID, or one that was made")
}
