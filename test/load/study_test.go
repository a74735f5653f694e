package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"github.com/cls-backend/cls-backend/internal/dev"
	"github.com/cls-backend/cls-backend/test/proof"
)

// TestStudiesOnce makes every study at its short dose. The bars are not judged: it is too short, and others work meanwhile.
func TestStudiesOnce(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("CPU time is read from /proc")
	}
	if testing.Short() {
		t.Skip("builds and runs the service")
	}
	binary := buildService(t)
	for _, s := range studies() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			o := options{
				plan: planLoad, binary: binary, dir: filepath.Join(dev.ScratchDir(), fmt.Sprintf("cls-load-%s-%d", s.name, os.Getpid())),
				out: t.TempDir(), short: true, seed: 1, only: regexp.MustCompile(""), inMemory: true,
			}
			var out bytes.Buffer
			if err := makeStudies(t.Context(), []study{s}, o, &out); err != nil && !errors.Is(err, errMissed) {
				t.Fatalf("%v\n%s", err, &out)
			}
			t.Log(out.String())
			var f finding
			if found, err := proof.Kept(findingFile(o, s.name), &f); err != nil || !found || f.Error != "" {
				t.Fatalf("%v, %v: %s\n%s", found, err, f.Error, &out)
			}
			if f.Machine.Postgres == "" {
				t.Error("the version of PostgreSQL is not known")
			}
			if _, err := os.Stat(o.dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the private PostgreSQL's folder is left behind: %v", err)
			}
		})
	}
}
