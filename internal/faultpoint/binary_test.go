package faultpoint_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// traces are what a program with fault points cannot be without: their names, and where it reads its orders.
func traces() []string {
	return []string{"FAULTPOINT", "FAULTPOINT_CLOCK", "before-commit", "after-commit", "before-publish", "before-mark"}
}

// The released program has no fault point, to be hit by whoever sets its environment; the one for the tests has them all.
func TestTheReleasedProgramHasNoFaultPoints(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the service twice")
	}
	for tags, has := range map[string]bool{"nomsgpack": false, "nomsgpack,faultpoint": true} {
		t.Run(tags, func(t *testing.T) {
			t.Parallel()
			binary := filepath.Join(t.TempDir(), "cls-backend")
			goTool(t, "build", "-buildvcs=false", "-tags", tags, "-o", binary, "../../cmd/cls-backend")
			content, err := os.ReadFile(binary)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range traces() {
				if found := bytes.Contains(content, []byte(text)); found != has {
					t.Errorf("the text %s: %v, want %v", text, found, has)
				}
			}
			symbols := goTool(t, "tool", "nm", binary)
			if found := strings.Contains(symbols, "internal/faultpoint.Hit"); found != has {
				t.Errorf("a symbol of Hit: %v, want %v", found, has)
			}
			if !strings.Contains(symbols, "internal/outbox.(*Relay).publish") {
				t.Error("the symbols of the program are not those that were looked at")
			}
		})
	}
}

func goTool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return string(out)
}
