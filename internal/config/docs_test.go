package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// row is what a document says of a setting.
type row struct{ Name, Type, Default, Effect string }

// TestDocumentsAreInStep holds docs/configuration.md and .env.example against
// the code in both directions: a row that is missing, left over, or says
// something else fails.
func TestDocumentsAreInStep(t *testing.T) {
	t.Parallel()
	want := rowsOfCode(t)
	for file, rowsOf := range map[string]func(string) []row{
		"../../docs/configuration.md": rowsOfTable,
		"../../.env.example":          rowsOfExample,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, rowsOf(string(text))); diff != "" {
			t.Errorf("%s is not in step (-code +document):\n%s", file, diff)
		}
	}
}

func rowsOfCode(t *testing.T) []row {
	t.Helper()
	effects := effectsOf(t, "config.go", "tracing.go")
	var rows []row
	for _, s := range settings() {
		if effects[s.Name] == "" {
			t.Errorf("the field of %s has no comment that says its effect", s.Name)
		}
		rows = append(rows, row{s.Name, s.Type, s.Default, effects[s.Name]})
	}
	return rows
}

// effectsOf reads the comments above the fields that carry an env tag.
func effectsOf(t *testing.T, files ...string) map[string]string {
	t.Helper()
	effects := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok && field.Tag != nil {
				name := reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("env")
				effects[name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
			}
			return true
		})
	}
	return effects
}

func rowsOfTable(text string) []row {
	var rows []row
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (.*) \\| (.*) \\| (.*) \\|$").FindAllStringSubmatch(text, -1) {
		rows = append(rows, row{m[1], m[2], strings.Trim(m[3], "`"), m[4]})
	}
	return rows
}

// rowsOfExample reads paragraphs of the form
//
//	# effect
//	# (type)
//	#NAME=default
func rowsOfExample(text string) []row {
	var rows []row
	var comment []string
	setting := regexp.MustCompile(`^#([A-Z_]+)=(.*)$`)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		m := setting.FindStringSubmatch(line)
		if m == nil {
			comment = append(comment, strings.TrimPrefix(line, "# "))
			if line == "" {
				comment = nil
			}
			continue
		}
		last := len(comment) - 1
		rows = append(rows, row{m[1], strings.Trim(comment[last], "()"), m[2], strings.Join(comment[:last], " ")})
		comment = nil
	}
	return rows
}
