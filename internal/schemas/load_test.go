package schemas

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// folder is a folder with files, by their names.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load returns the schemas of such a folder.
func load(t testing.TB, files map[string]string) *Set {
	t.Helper()
	set, err := Load(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// said returns the faults of a spec of the platform gcp as "field reason".
func (s *Set) said(spec, stored string) []string {
	list := []string{}
	for _, f := range s.Check(models.KindCluster, "gcp", v1.Object(spec), v1.Object(stored)) {
		list = append(list, f.Field+" "+f.Reason)
	}
	return list
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const wrongName = "the name is refused; allowed: cluster.<platform>.json"
	for _, row := range []struct {
		why, name, text string
		want            string
	}{
		{"no JSON", "cluster.gcp.json", `{"type":`, "is no JSON: "},
		{"two documents", "cluster.gcp.json", `{} {}`, "is no JSON: "},
		{"an empty file", "cluster.gcp.json", ``, "is no JSON: "},
		{"a list", "cluster.gcp.json", `[]`, "a JSON Schema is an object, true or false"},
		{"a text", "nodepool.gcp.json", `"object"`, "a JSON Schema is an object, true or false"},
		{"no such type", "cluster.gcp.json", `{"properties":{"n":{"type":"int"}}}`, `cluster.gcp.json#/properties/n/type must be one of "array"`},
		{"a keyword's value of another type", "cluster.gcp.json", `{"required":"a"}`, "cluster.gcp.json#/required must be an array"},
		{"a keyword that is a mere note", "cluster.gcp.json", `{"title":5}`, "cluster.gcp.json#/title must be a string"},
		{"an expression that is none", "cluster.gcp.json", `{"pattern":"(?=a)"}`, "cluster.gcp.json#/pattern must have the format regex"},
		{"a reference to nothing", "cluster.gcp.json", `{"$ref":"_net.json"}`, "_net.json is not in the folder"},
		{"a reference to a part of nothing", "cluster.gcp.json", `{"$ref":"#/$defs/a"}`, "not found"},
		{"a reference to the network", "cluster.gcp.json", `{"$ref":"https://example.com/a.json"}`, "https://example.com/a.json is not in the folder"},
		{"a reference out of the folder", "cluster.gcp.json", `{"$ref":"../../etc/hosts"}`, "etc/hosts is not in the folder"},
		{"a draft that nobody knows", "cluster.gcp.json", `{"$schema":"https://example.com/mine"}`, "https://example.com/mine is not in the folder"},
		{"a bad part that nothing refers to", "_net.json", `{"type":"int"}`, "_net.json#/type must be one of"},
		{"the platform in capitals", "cluster.GCP.json", `{}`, wrongName},
		{"no platform", "cluster.json", `{}`, wrongName},
		{"an empty platform", "cluster..json", `{}`, wrongName},
		{"another kind", "clusters.gcp.json", `{}`, wrongName},
		{"two dots", "cluster.gcp.v2.json", `{}`, wrongName},
		{"a platform of 64 characters", "cluster." + strings.Repeat("a", 64) + ".json", `{}`, wrongName},
		{"another ending", "cluster.gcp.yaml", `{}`, wrongName},
		{"a part of another ending", "_net.txt", `{}`, wrongName},
		{"a note", "README.md", `{}`, wrongName},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string]string{"cluster.aws.json": `{"type":"object"}`, row.name: row.text})
			_, err := Load(dir)
			if err == nil {
				t.Fatal("loaded")
			}
			at := filepath.Join(dir, row.name) + ": "
			if text := err.Error(); !strings.HasPrefix(text, at) || !strings.Contains(text, row.want) || strings.Contains(text, "\n") {
				t.Errorf("got %s\nwant one line with %s and %s", text, at, row.want)
			}
		})
	}
}

func TestLoadNeedsTheFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"cluster.gcp.json": `{}`})
	for why, path := range map[string]string{"no folder": filepath.Join(dir, "none"), "a file": filepath.Join(dir, "cluster.gcp.json")} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", why, err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "nodepool.gcp.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "nodepool.gcp.json") {
		t.Errorf("a folder for a file: got %v", err)
	}
}

func TestLoadNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := Load(folder(t, map[string]string{
		"cluster.gcp.json":  `{"type":"int","properties":{"a":{"minimum":"1"},"b":{"pattern":5}}}`,
		"nodepool.gcp.json": `no JSON`, "_part.json": `[]`, "cluster.Azure.json": `{}`, "cluster.aws.json": `{}`,
	}))
	if err == nil {
		t.Fatal("loaded")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		"cluster.gcp.json#/type ", "cluster.gcp.json#/properties/a/minimum ", "cluster.gcp.json#/properties/b/pattern ",
		"nodepool.gcp.json: ", "_part.json: ", "cluster.Azure.json: ",
	} {
		if n := strings.Count(err.Error(), want); n != 1 {
			t.Errorf("%q is named %d times", want, n)
		}
	}
	if len(lines) != 6 {
		t.Errorf("%d faults:\n%v", len(lines), err)
	}
}

// TestLoadFindsParts: a reference names a file of the folder, or the $id of one. Kubernetes mounts
// files as links into a folder whose name begins with two dots.
func TestLoadFindsParts(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"cluster.gcp.json": `{"properties":{
			"near":{"$ref":"_parts.json#/$defs/count"}, "far":{"$ref":"https://example.com/name"},
			"other":{"$ref":"cluster.aws.json"}, "again":{"$ref":"#"}}}`,
		"cluster.aws.json": `{"type":"boolean"}`,
		"_parts.json":      `{"$defs":{"count":{"type":"integer","minimum":1}}}`,
		"_name.json":       `{"$id":"https://example.com/name","type":"string"}`,
	}
	mounted := t.TempDir()
	if err := os.Symlink(folder(t, files), filepath.Join(mounted, "..data")); err != nil {
		t.Fatal(err)
	}
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mounted, name)); err != nil {
			t.Fatal(err)
		}
	}
	set, err := Load(mounted)
	if err != nil {
		t.Fatal(err)
	}
	if set.Len() != 2 {
		t.Errorf("%d schemas", set.Len())
	}
	got := strings.Join(set.said(`{"near":0,"far":1,"other":"x","again":{"near":"1"}}`, ""), "; ")
	const want = "spec.again.near must be an integer; spec.far must be a string; spec.near must be at least 1; spec.other must be true or false"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestChecksEachByItsOwn: kinds and platforms have their own schemas, and most have none.
func TestChecksEachByItsOwn(t *testing.T) {
	t.Parallel()
	set := load(t, map[string]string{"cluster.gcp.json": `{"required":["a"]}`, "nodepool.gcp.json": `{"required":["b"]}`, "nodepool.aws.json": `false`})
	got := map[string]string{}
	for _, kind := range models.Kinds() {
		for _, platform := range []string{"gcp", "aws", "azure", ""} {
			for _, f := range set.Check(kind, platform, v1.Object(`{}`), nil) {
				got[string(kind)+" "+platform] += f.Field + " " + f.Reason
			}
		}
	}
	want := map[string]string{
		"cluster gcp": "spec.a is required", "nodepool gcp": "spec.b is required", "nodepool aws": "spec is not allowed",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}
