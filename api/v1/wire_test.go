package v1_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// wireTypes are all structs that travel.
var wireTypes = []any{
	v1.Cluster{},
	v1.CreateCluster{},
	v1.UpdateCluster{},
	v1.PatchCluster{},
	v1.ClusterList{},
	v1.NodePool{},
	v1.CreateNodePool{},
	v1.UpdateNodePool{},
	v1.PatchNodePool{},
	v1.NodePoolList{},
	v1.NodePoolStatus{},
	v1.Deletion{},
	v1.Reconciliation{},
	v1.Status{},
	v1.Condition{},
	v1.ClusterStatus{},
	v1.RegisterController{},
	v1.Controller{},
	v1.ControllerList{},
	v1.Revision{},
	v1.RevisionList{},
	v1.TimelineEntry{},
	v1.Timeline{},
	v1.Explanation{},
	v1.WaitedFor{},
	v1.NextEvent{},
	v1.StatusReport{},
	v1.ReportedCondition{},
	v1.ReportError{},
	v1.ControllerStatus{},
	v1.ReportResult{},
	v1.Event{},
	v1.EventMetadata{},
	v1.ErrorBody{},
	v1.ErrorDetails{},
	v1.FieldError{},
	v1.Problem{},
	v1.Info{},
	v1.Health{},
	v1.Component{},
	v1.Probe{},
}

// TestFieldNames holds every field, its type and whether it may be missing against
// testdata/fields.golden. A line may be added there; one that changes or goes breaks clients.
func TestFieldNames(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, value := range wireTypes {
		kind := reflect.TypeOf(value)
		for field := range kind.Fields() {
			lines = append(lines, fmt.Sprintf("%s %s %s", kind.Name(), field.Tag.Get("json"), field.Type))
		}
	}
	golden, err := os.ReadFile("testdata/fields.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(golden)), "\n"), lines); diff != "" {
		t.Errorf("-golden +code:\n%s", diff)
	}
}

// parsed returns the files of the package, tests apart.
func parsed(t *testing.T) []*ast.File {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// TestEveryWireTypeIsHeld fails when a struct is exported and not in wireTypes.
func TestEveryWireTypeIsHeld(t *testing.T) {
	t.Parallel()
	var held, exported []string
	for _, value := range wireTypes {
		held = append(held, reflect.TypeOf(value).Name())
	}
	for _, file := range parsed(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				if _, isStruct := spec.Type.(*ast.StructType); isStruct {
					exported = append(exported, spec.Name.Name)
				}
			}
			return true
		})
	}
	slices.Sort(held)
	slices.Sort(exported)
	if diff := cmp.Diff(exported, held); diff != "" {
		t.Errorf("-exported +held:\n%s", diff)
	}
}

// codeStatuses is the table of the contract, for the routes that there are.
var codeStatuses = map[v1.Code]int{
	"INVALID_JSON": 400, "INVALID_FIELD": 400, "INVALID_ID": 400, "INVALID_QUERY": 400, "INVALID_PAGE_TOKEN": 400, "AMBIGUOUS_IDENTITY": 400,
	"AUTH_REQUIRED": 401, "INVALID_EMAIL": 401, "UNTRUSTED_PROXY": 401,
	"FORBIDDEN": 403, "NOT_FOUND": 404, "METHOD_NOT_ALLOWED": 405, "BODY_TOO_LARGE": 413, "UNSUPPORTED_MEDIA_TYPE": 415,
	"CLUSTER_NAME_EXISTS": 409, "NODEPOOL_NAME_EXISTS": 409, "GENERATION_CONFLICT": 409, "CLUSTER_DELETING": 409, "DELETION_PROTECTED": 409,
	"REQUEST_IN_FLIGHT": 409, "PRECONDITION_FAILED": 412, "IDEMPOTENCY_KEY_REUSED": 422, "INTERNAL": 500, "UNAVAILABLE": 503,
}

func TestCodes(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(codeStatuses, v1.Codes()); diff != "" {
		t.Errorf("-contract +code:\n%s", diff)
	}
	for code, status := range codeStatuses {
		if got := code.HTTPStatus(); got != status {
			t.Errorf("%s: %d, want %d", code, got, status)
		}
	}
	if got := v1.Code("NEWS").HTTPStatus(); got != 500 {
		t.Errorf("an unknown code: %d, want 500", got)
	}
	clear(v1.Codes())
	if len(v1.Codes()) != len(codeStatuses) {
		t.Error("the map of Codes is not the caller's own")
	}
}

// TestEveryCodeHasAStatus reads the constants, so that a new one is not forgotten in the table.
func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	declared := 0
	for _, file := range parsed(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
				return true
			}
			declared++
			text := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
			if _, known := v1.Codes()[v1.Code(text)]; !known {
				t.Errorf("%s has no status", spec.Names[0].Name)
			}
			return true
		})
	}
	if declared != len(v1.Codes()) {
		t.Errorf("%d codes are declared, %d have a status", declared, len(v1.Codes()))
	}
}

func TestPhases(t *testing.T) {
	t.Parallel()
	want := []v1.Phase{"Pending", "Progressing", "Ready", "Failed", "Deleting"}
	if diff := cmp.Diff(want, v1.Phases()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
