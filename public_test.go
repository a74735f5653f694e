package cls_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// public are the packages that others import.
func public() []string { return []string{"api/v1", "client", "controller", "clstest"} }

// parsePublic reads a package as documentation, with its examples.
func parsePublic(t *testing.T, dir string) *doc.Package {
	t.Helper()
	files := token.NewFileSet()
	packages, err := parser.ParseDir(files, dir, func(fs.FileInfo) bool { return true }, parser.ParseComments) //nolint:staticcheck // no types are needed
	if err != nil {
		t.Fatal(err)
	}
	var all []*ast.File
	for _, p := range packages {
		for _, f := range p.Files {
			all = append(all, f)
		}
	}
	p, err := doc.NewFromFiles(files, all, module+dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPublicNamesAreDocumented looks at every exported name of the public packages.
func TestPublicNamesAreDocumented(t *testing.T) {
	t.Parallel()
	examples := 0
	for _, dir := range public() {
		p := parsePublic(t, dir)
		examples += len(p.Examples)
		if len(strings.Split(p.Doc, "\n")) < 8 {
			t.Errorf("%s: the package's documentation does not teach it", dir)
		}
		undocumented := func(name, text string) {
			if ast.IsExported(name) && text == "" {
				t.Errorf("%s: %s is not documented", dir, name)
			}
		}
		values := slices.Concat(p.Consts, p.Vars)
		functions := p.Funcs
		for _, typ := range p.Types {
			undocumented(typ.Name, typ.Doc)
			values = append(append(values, typ.Consts...), typ.Vars...)
			functions = append(append(functions, typ.Funcs...), typ.Methods...)
			for _, f := range append(typ.Funcs, typ.Methods...) {
				examples += len(f.Examples)
			}
			examples += len(typ.Examples)
		}
		for _, f := range p.Funcs {
			examples += len(f.Examples)
		}
		for _, f := range functions {
			undocumented(f.Name, f.Doc)
		}
		for _, v := range values {
			undocumented(v.Names[0], v.Doc)
		}
	}
	if examples < 10 {
		t.Errorf("the public packages have %d examples", examples)
	}
}

// TestGoDocShowsTheFields asks the tool that a reader asks. It shows no fields of an alias to a type that lives elsewhere.
func TestGoDocShowsTheFields(t *testing.T) {
	t.Parallel()
	for _, dir := range public() {
		for _, typ := range parsePublic(t, dir).Types {
			for _, spec := range typ.Decl.Specs {
				of, ok := spec.(*ast.TypeSpec)
				if !ok || !ast.IsExported(typ.Name) {
					continue
				}
				structure, ok := of.Type.(*ast.StructType)
				if of.Assign.IsValid() {
					t.Errorf("%s.%s is an alias", dir, typ.Name)
				}
				if !ok {
					continue
				}
				checkFields(t, dir, typ.Name, structure)
			}
		}
	}
}

func checkFields(t *testing.T, dir, name string, structure *ast.StructType) {
	t.Helper()
	shown, err := exec.CommandContext(t.Context(), "go", "doc", "./"+dir, name).CombinedOutput()
	if err != nil {
		t.Fatalf("go doc ./%s %s: %v\n%s", dir, name, err, shown)
	}
	for _, field := range structure.Fields.List {
		for _, n := range field.Names {
			if ast.IsExported(n.Name) && !strings.Contains(string(shown), "\t"+n.Name) && !strings.Contains(string(shown), ", "+n.Name) {
				t.Errorf("go doc ./%s %s does not show %s:\n%s", dir, name, n.Name, shown)
			}
		}
	}
}
