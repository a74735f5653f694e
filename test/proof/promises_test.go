package proof

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The table has the promises of both provers, whoever published last, and counts those that hold.
func TestPublishPromises(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if err := os.Mkdir(filepath.Join(out, "work"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		prover string
		list   []Promise
	}{
		{"load", []Promise{{What: "a|b: at most 2", Test: "sizes", Link: "load.md#sizes", Dose: "full", Result: "3 us"}}},
		{"faults", []Promise{{What: "Nothing is lost.", Test: "kill/points", Link: "faults.md#killpoints", Dose: "9 kills", Held: true}}},
		{"faults", []Promise{{What: "Nothing is lost.", Test: "kill/points", Link: "faults.md#killpoints", Dose: "1,000 kills", Held: true}}},
	} {
		if err := PublishPromises(out, one.prover, one.list); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(out, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	const rows = "| Nothing is lost. | [kill/points](faults.md#killpoints) | 1,000 kills | holds |\n" +
		"| a\\|b: at most 2 | [sizes](load.md#sizes) | full | **missed**: 3 us |\n"
	if !strings.HasSuffix(string(text), rows) || !strings.Contains(string(text), "1 of 2 promises hold") {
		t.Errorf("the table is\n%s", text)
	}
}
