// Package schemas holds specs against JSON Schemas that an installation gives, one for each
// kind and platform, and says in the client's terms what is wrong with them. It forgives a
// change what was wrong before and was left alone.
package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cls-backend/cls-backend/internal/models"
)

// Set is the schemas of an installation. It is only read after Load, and safe for concurrent use.
type Set struct {
	schemas map[subject]*jsonschema.Schema
}

// subject is what a schema is for.
type subject struct {
	kind     models.Kind
	platform string
}

var (
	schemaName = regexp.MustCompile(`^(cluster|nodepool)\.([a-z0-9-]{1,63})\.json$`)
	partName   = regexp.MustCompile(`^_.*\.json$`)
)

// Load reads the schemas of a folder: cluster.<platform>.json and nodepool.<platform>.json, with
// the platform in lower case, and _<anything>.json for what they refer to by $ref. Names that
// begin with a dot are left alone, since Kubernetes puts such into the folders that it mounts.
//
// The error joins every fault there is: a folder that cannot be read, another name, a file that
// is no schema, a reference that leads out of the folder. Nothing is ever fetched.
func Load(dir string) (*Set, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of schemas: %w", err)
	}
	l := newLoader(dir)
	for _, entry := range entries {
		l.read(entry.Name())
	}
	set := &Set{schemas: map[subject]*jsonschema.Schema{}}
	for _, name := range l.names {
		schema := l.compile(name)
		if m := schemaName.FindStringSubmatch(name); m != nil {
			set.schemas[subject{models.Kind(m[1]), m[2]}] = schema
		}
	}
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	return set, nil
}

// Len returns the number of the schemas.
func (s *Set) Len() int { return len(s.schemas) }

// root is the address of the folder, as schemas see it.
const root = "file:///"

// compiler returns an empty compiler. Formats count in every draft: without a $schema the drafts
// disagree, and whoever writes one wants it.
func compiler() *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(nowhere{})
	return c
}

// nowhere is where schemas are fetched from that are not in the folder.
type nowhere struct{}

// Load implements [jsonschema.URLLoader].
func (nowhere) Load(address string) (any, error) {
	return nil, fmt.Errorf("%s is not in the folder", strings.TrimPrefix(address, root))
}

// loader gathers documents, and what is wrong with them.
type loader struct {
	dir   string
	names []string // of the documents, in order
	// strict judges a document by the whole metaschema of its draft; with the vocabulary that
	// lax needs, the library leaves parts of that out.
	strict, lax *jsonschema.Compiler
	faults      []error
}

func newLoader(dir string) *loader {
	l := &loader{dir: dir, strict: compiler(), lax: compiler()}
	l.lax.RegisterVocabulary(memberNames())
	l.lax.AssertVocabs()
	return l
}

func (l *loader) faultf(name, format string, args ...any) {
	l.faults = append(l.faults, fmt.Errorf("%s: %w", filepath.Join(l.dir, name), fmt.Errorf(format, args...)))
}

// read adds a document under its name and, if it has one, under its $id.
func (l *loader) read(name string) {
	switch {
	case strings.HasPrefix(name, "."):
		return
	case !schemaName.MatchString(name) && !partName.MatchString(name):
		l.faultf(name, "the name is refused; allowed: cluster.<platform>.json, nodepool.<platform>.json with the platform in lower case, "+
			"_<anything>.json")
		return
	}
	text, err := os.ReadFile(filepath.Join(l.dir, name)) //nolint:gosec // the folder is the operator's, the name is one of it
	if err != nil {
		l.faults = append(l.faults, fmt.Errorf("read a schema: %w", err))
		return
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		l.faultf(name, "is no JSON: %w", err)
		return
	}
	if err := l.add(name, doc); err != nil {
		l.faultf(name, "is refused: %w", err)
		return
	}
	l.names = append(l.names, name)
}

func (l *loader) add(name string, doc any) error {
	switch doc.(type) {
	case map[string]any, bool:
	default:
		return errors.New("a JSON Schema is an object, true or false")
	}
	addresses := []string{root + url.PathEscape(name)}
	if id, err := url.Parse(idOf(doc)); err == nil && id.IsAbs() {
		addresses = append(addresses, idOf(doc))
	}
	for _, address := range addresses {
		for _, c := range []*jsonschema.Compiler{l.strict, l.lax} {
			if err := c.AddResource(address, doc); err != nil {
				return err
			}
		}
	}
	return nil
}

func idOf(doc any) string {
	object, _ := doc.(map[string]any)
	id, _ := object["$id"].(string)
	return id
}

// compile returns the schema of a document, nil if that is none.
func (l *loader) compile(name string) *jsonschema.Schema {
	address := root + url.PathEscape(name)
	if _, err := l.strict.Compile(address); err != nil {
		l.faults = append(l.faults, l.explain(name, err)...)
		return nil
	}
	schema, err := l.lax.Compile(address)
	if err != nil {
		l.faults = append(l.faults, l.explain(name, err)...)
	}
	return schema
}

// explain returns the faults of a document that is no schema, a line each.
func (l *loader) explain(name string, err error) []error {
	own := loader{dir: l.dir}
	var where *jsonschema.ValidationError
	invalid, isInvalid := errors.AsType[*jsonschema.SchemaValidationError](err)
	if !isInvalid || !errors.As(invalid.Err, &where) {
		own.faultf(name, "is no JSON Schema: %s", strings.ReplaceAll(err.Error(), root, ""))
		return own.faults
	}
	w := walk{}
	w.visit(where, nil)
	for _, f := range w.sorted() {
		at := strings.TrimPrefix(invalid.URL, root) + "/" + strings.Join(f.path, "/")
		own.faultf(name, "is no JSON Schema: %s %s", at, f.reason)
	}
	return own.faults
}
