// Package typescript_test holds the OpenAPI document to what its readers in other languages make of
// it: a client in TypeScript, generated from the document, works against the service, and a linter
// finds nothing wrong. What is here besides is that client's program and the settings of both tools.
package typescript_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

func TestMain(m *testing.M) { clstest.Main(m) }

// patience is far above what anything here takes, on a busy machine and with a slow network too.
const patience = 5 * time.Minute

// document is where the folder's scripts find the OpenAPI document.
const document = "../../internal/api/openapi.yaml"

func TestTypeScript(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("installs packages from npm")
	}
	installed := install(t)

	t.Run("lint", func(t *testing.T) {
		t.Parallel()
		installed.again(t).succeeds(t, "lint")
	})
	t.Run("client", func(t *testing.T) {
		t.Parallel()
		f := installed.again(t)
		f.succeeds(t, "generate")
		f.succeeds(t, "compile")
		f.succeeds(t, "start", "CLS_URL="+backend(t))
	})
	t.Run("lint of a broken document", func(t *testing.T) {
		t.Parallel()
		f := installed.again(t)
		f.change(t, "#/components/schemas/ClusterList", "#/components/schemas/Nothing") // an answer's
		f.change(t, "operationId: getCluster\n", "operationId: listClusters\n")
		f.change(t, "        total: 1\n", "        total: one\n") // in examples
		f.fails(t, "lint", "invalid-ref", "operation-operationId-unique", "oas3-valid-media-example")
	})
	t.Run("client of another document", func(t *testing.T) {
		t.Parallel()
		f := installed.again(t)
		f.change(t, "        phase:\n", "        state:\n") // of a status
		f.change(t, "            - NOT_FOUND\n", "            - MISSING\n")
		f.succeeds(t, "generate")
		f.fails(t, "compile", "'phase' does not exist", `'"NOT_FOUND"' have no overlap`)
	})
}

// An address in the lock would send everybody to the registry of whoever wrote it.
func TestLockNamesNoRegistry(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("package-lock.json")
	must(t, err)
	if strings.Contains(string(text), `"resolved"`) {
		t.Error("package-lock.json says where packages were fetched from; remove it and run npm install here, where .npmrc leaves that out")
	}
}

// folder is a copy of this one, in a tree of its own with the document. A test of the copy leaves
// nothing behind, and go test, which caches a result with the files that the test has opened,
// notices a change of any of them.
type folder string

func newFolder(t *testing.T) folder {
	t.Helper()
	f := folder(filepath.Join(t.TempDir(), "test", "typescript"))
	for _, name := range []string{
		document, ".npmrc", ".spectral.yaml", "lifecycle.ts", "package-lock.json", "package.json", "tsconfig.json",
	} {
		text, err := os.ReadFile(name)
		must(t, err)
		f.write(t, name, text)
	}
	return f
}

// install makes a folder with its packages. Without npm there is no test, but CI has npm.
func install(t *testing.T) folder {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v; scripts/node-setup.sh installs it", err)
		}
		t.Skipf("%v; scripts/node-setup.sh installs it", err)
	}
	f := newFolder(t)
	if out, err := f.npm(t, nil, "ci"); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return f
}

// again makes another folder, with the packages of this one.
func (f folder) again(t *testing.T) folder {
	t.Helper()
	g := newFolder(t)
	must(t, os.Symlink(filepath.Join(string(f), "node_modules"), filepath.Join(string(g), "node_modules")))
	return g
}

func (f folder) write(t *testing.T, name string, text []byte) {
	t.Helper()
	name = filepath.Join(string(f), name)
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, text, 0o600))
}

// change replaces a text of the document, wherever it stands.
func (f folder) change(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(string(f), document))
	must(t, err)
	if !strings.Contains(string(text), from) {
		t.Fatalf("the document does not say %q", from)
	}
	f.write(t, document, []byte(strings.ReplaceAll(string(text), from, to)))
}

// succeeds runs a script of package.json.
func (f folder) succeeds(t *testing.T, script string, env ...string) {
	t.Helper()
	if out, err := f.npm(t, env, "run", script); err != nil {
		t.Fatalf("npm run %s: %v\n%s", script, err, out)
	}
}

// fails runs a script of package.json that is to fail and to say why.
func (f folder) fails(t *testing.T, script string, why ...string) {
	t.Helper()
	out, err := f.npm(t, nil, "run", script)
	if err == nil {
		t.Fatalf("npm run %s succeeds:\n%s", script, out)
	}
	for _, text := range why {
		if !strings.Contains(out, text) {
			t.Errorf("npm run %s does not say %q:\n%s", script, text, out)
		}
	}
}

// npm returns all that it and what it runs have written.
func (f folder) npm(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", args...)
	cmd.Dir, cmd.Env = string(f), append(os.Environ(), env...)
	cmd.WaitDelay = time.Second // what npm ran may still hold the pipe
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// backend runs the service until the test ends, with a controller for whom all is well, and returns its URL.
func backend(t *testing.T) string {
	t.Helper()
	b := clstest.NewBackend(t)
	b.Run(controller.Func(func(context.Context, controller.Request) (controller.Result, error) {
		return controller.Result{}, nil
	}), controller.Options{Name: "builder"})
	return b.URL()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
