package service_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/schemas"
	"github.com/cls-backend/cls-backend/internal/service"
)

// nodes asks for a number of nodes and knows which platforms there are disks on.
const nodes = `{
	"properties": {
		"platform": {"required": ["region"]},
		"nodes": {"type": "integer", "minimum": 1},
		"mode": {"enum": ["single", "ha"]},
		"release": {"properties": {"version": {"pattern": "^4\\."}}},
		"serviceAccountSigningKey": {"pattern": "^KEY"},
		"auth": {"properties": {"token": {"properties": {"part": {"maxLength": 3}}, "additionalProperties": false}}}
	},
	"required": ["nodes"]}`

// schemaCheck returns the check of an installation with schemas, by the names of their files.
func schemaCheck(t *testing.T, files map[string]string) models.SpecCheck {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	set, err := schemas.Load(dir)
	must(t, err)
	return set.Check
}

// both are the use cases of clusters and of node pools, on one database.
func both(t *testing.T, db *database.DB, s service.Settings) map[models.Kind]*service.Resources {
	t.Helper()
	all := map[models.Kind]*service.Resources{}
	for _, kind := range models.Kinds() {
		all[kind] = service.NewResources(kind, db, s, nil, noObserver{})
	}
	return all
}

// said returns what an INVALID_FIELD says, "" for no error.
func said(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	wantCode(t, err, v1.CodeInvalidField)
	e, _ := errors.AsType[*models.Error](err)
	var list []string
	for _, f := range e.Faults {
		list = append(list, f.Field+" "+f.Reason)
		if text, isText := f.Value.(string); isText && strings.Contains(text, "HUSH") {
			t.Errorf("%s shows its value", f.Field)
		}
	}
	if text := strings.Join(list, "; "); !strings.Contains(text, "HUSH") {
		return text
	}
	t.Errorf("a reason shows a value: %v", list)
	return ""
}

// TestSchemas: what would be stored is held against the schema of its kind and platform, on POST,
// PUT and PATCH. What comes under a schema that it does not match can still be changed.
func TestSchemas(t *testing.T) {
	t.Parallel()
	db, err := database.Open(t.Context(), database.Options{URL: dbtest.New(t)})
	must(t, err)
	t.Cleanup(db.Close)
	before := settings()
	before.Secrets = models.NewSecrets([]string{"auth.token"})
	before.Defaults = models.Defaults{ReleaseVersion: "5.0"}
	after := before
	after.Schema = schemaCheck(t, map[string]string{
		"cluster.gcp.json": nodes, "nodepool.gcp.json": nodes,
		"cluster.aws.json": `{"required":["vpc"]}`, "nodepool.aws.json": `{"required":["vpc"]}`,
	})
	free, strict := both(t, db, before), both(t, db, after)
	home, err := free[models.KindCluster].Create(t.Context(), alice, models.Draft{Name: "home"})
	must(t, err)

	const gcp = `"platform":{"type":"GCP","region":"r"}`
	for _, kind := range models.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			draft := func(name, spec string) models.Draft {
				d := models.Draft{Name: name, Spec: v1.Object(spec)}
				if kind == models.KindNodePool {
					d.ClusterID = home.ID
				}
				return d
			}
			r := strict[kind]
			const four = `,"release":{"version":"4.2"}`
			for i, row := range [][2]string{
				{`{}`, ""},
				{`{"platform":{"type":"azure"}}`, ""},
				{`{` + gcp + `,"nodes":3` + four + `}`, ""},
				{
					`{"platform":{"type":"gcp"},"nodes":"3","mode":"x"` + four + `}`,
					`spec.mode must be one of "single", "ha"; spec.nodes must be an integer; spec.platform.region is required`,
				},
				{`{"platform":{"type":"aws"}}`, "spec.vpc is required"},
				{
					`{` + gcp + `,"nodes":1,"serviceAccountSigningKey":"HUSH","auth":{"token":{"part":"HUSH","HUSH1":1}}` + four + `}`,
					"spec.auth.token is not what the schema of its platform allows; spec.serviceAccountSigningKey must match the pattern ^KEY",
				},
			} {
				_, err := r.Create(t.Context(), alice, draft("p"+strconv.Itoa(i), row[0]))
				if got := said(t, err); got != row[1] {
					t.Errorf("POST %s:\n got %s\nwant %s", row[0], got, row[1])
				}
			}
			_, err = r.Create(t.Context(), alice, draft("filled", `{`+gcp+`,"nodes":3}`))
			if got := said(t, err); got != "spec.release.version must match the pattern ^4\\." {
				t.Errorf("with a default that the schema does not allow: got %s", got)
			}

			old, err := free[kind].Create(t.Context(), alice, draft("old", `{`+gcp+`,"nodes":"many","mode":"x","release":{"version":"4.1"},"serviceAccountSigningKey":"HUSH"}`))
			must(t, err)
			put := func(spec string) string {
				_, err := r.Update(t.Context(), alice, old.ID, models.Edit{Spec: v1.Object(spec)}, "")
				return said(t, err)
			}
			patch := func(spec string) string {
				_, err := r.Patch(t.Context(), alice, old.ID, models.Patch{Spec: v1.Object(spec)}, "")
				return said(t, err)
			}
			text := "later"
			_, err = r.Patch(t.Context(), alice, old.ID, models.Patch{Common: models.Common{Description: &text}}, "")
			must(t, err)
			for _, row := range []struct {
				why       string
				do        func(string) string
				spec      string
				want      string
				unchanged bool
			}{
				{"another member", patch, `{"color":"red"}`, "", false},
				{"another member, by a PUT", put, `{` + gcp + `,"nodes":"many","mode":"x","color":"blue"}`, "", false},
				{"a bad member stays bad", patch, `{"nodes":0,"color":"green"}`, "spec.nodes must be at least 1", true},
				{"what is required goes, by a PUT", put, `{` + gcp + `,"mode":"x"}`, "spec.nodes is required", true},
				{"and by a PATCH", patch, `{"nodes":null}`, "spec.nodes is required", true},
				{"a bad member becomes good", patch, `{"nodes":3}`, "", false},
				{"and is bad again", patch, `{"nodes":1.5}`, "spec.nodes must be an integer", true},
				{"a secret is kept as it was", put, `{` + gcp + `,"nodes":4,"mode":"x"}`, "", false},
				{"another secret", patch, `{"serviceAccountSigningKey":"HUSH2"}`, "spec.serviceAccountSigningKey must match the pattern ^KEY", true},
				{"to another platform", patch, `{"platform":{"type":"aws"}}`, "spec.vpc is required", true},
				{"the platform in other letters", patch, `{"platform":{"type":"gcp"}}`, "", false},
				{"to no platform", patch, `{"platform":null}`, "", false},
				{
					"back, where nothing is forgiven", patch, `{"platform":{"type":"gcp","region":"r"}}`,
					`spec.mode must be one of "single", "ha"; spec.serviceAccountSigningKey must match the pattern ^KEY`, true,
				},
			} {
				was, err := r.Get(t.Context(), robot, old.ID)
				must(t, err)
				if got := row.do(row.spec); got != row.want {
					t.Errorf("%s:\n got %s\nwant %s", row.why, got, row.want)
				}
				is, err := r.Get(t.Context(), robot, old.ID)
				must(t, err)
				if (was.Generation == is.Generation) != row.unchanged {
					t.Errorf("%s: generation %d became %d", row.why, was.Generation, is.Generation)
				}
			}
		})
	}
}
