package proof

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// A result names its commit, with a mark when the sources differ from it. The results that are kept do not make it another.
func TestCommit(t *testing.T) {
	t.Chdir(t.TempDir())
	if got := Commit(t.Context()); got != "unknown" {
		t.Errorf("outside of a repository it is %q", got)
	}
	write := func(file string) {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("source.go")
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "."},
		{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false", "commit", "-q", "-m", "a"},
	} {
		if out, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write("docs/proof/load.md")
	if got := Commit(t.Context()); !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(got) {
		t.Errorf("with results beside the sources it is %q", got)
	}
	write("another.go")
	if got := Commit(t.Context()); !regexp.MustCompile(`^[0-9a-f]{12}-dirty$`).MatchString(got) {
		t.Errorf("with a source that is not committed it is %q", got)
	}
}
