package cls_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// trap is a fault that services like this one have had in production.
type trap struct {
	what string
	// tests hold it beside those that are called TestTrap and its number.
	tests []string
}

// traps are numbered from 1. A test of one is called TestTrapNN_ and what it shows.
func traps() []trap {
	return []trap{
		{what: "publishing inside the request or its transaction: a hung Pub/Sub blocks, events come before their commit or never"},
		{what: "an outbox read by the last id seen, which skips late commits; two relays that send one cluster's events out of order"},
		{what: "NOTIFY in the transaction, whose lock at commit all databases share"},
		{what: "an ordering key that stays paused after a failed publish"},
		{what: "a report on a deleted cluster answered by an error, so that its event is delivered again for days"},
		{what: "wake-ups without id or generation"},
		{
			what:  "wake-ups of what is being deleted; a deletion that nothing repairs",
			tests: []string{"TestADeletionThatIsCutOff", "TestDeletionsUnderFaults"},
		},
		{what: "a dirty mark that is cleared without a condition, so that reports that race with reads are lost"},
		{what: "a change of the spec that leaves the status Ready"},
		{what: "a late report of an older generation that overwrites the newer"},
		{what: "Ready as soon as the first controller has reported"},
		{what: "a status that depends on who read it when; transition times that move with each calculation"},
		{what: "a failure that nobody reads and the scheduler does not see"},
		{what: "a statement for every row of a list, a dozen for a report, a count over everything"},
		{what: "reports ordered by the controllers' clocks"},
		{what: "reports refused for what controllers really send, and redelivered without end"},
		{what: "read, add one, write: generations that name several specs"},
		{what: "wake-ups that pile up in front of changes; every replica sending all of them"},
		{what: "due clusters picked at random, of which some starve; a tick as long as the interval"},
		{what: "one publish after the other"},
		{what: "times without a zone; a replica's clock that decides what is due"},
		{what: "a stalled transaction that hangs a loop; a dropped connection that is never opened again", tests: []string{
			"TestPostgresRestartedUnderLoad",
		}},
		{what: "two listeners behind one switch; a controller whose own report wakes it"},
		{what: "names that are never free again; pools of deleted clusters"},
		{what: "several shapes of error, null lists, SQL in answers"},
		{what: "documented filters that do nothing; limits that are bent in silence"},
		{what: "a fixed structure for the spec that drops what it does not know; rules on POST and none on PUT"},
		{what: "bodies of any size; answers written before the commit"},
		{what: "identity headers believed from anybody; look-alike headers"},
		{what: "owners who forge a status; searches that leave their tenant"},
		{what: "a private key in every read; filters pasted into SQL"},
		{what: "health that is a constant; a process that lives on without its port"},
		{what: "settings without effect; a log level that nothing reads; a metrics port that nothing listens on"},
		{what: "a stop of a minute; migrations that are half applied and recorded as done"},
		{what: "database tests that skip without a database; their own tables instead of the migrations"},
	}
}

// A trap is held by a test or belongs to a part that is yet to come.
func TestEveryTrapIsHeld(t *testing.T) {
	t.Parallel()
	names, list := testNames(t), traps()
	numbered := map[int][]string{}
	for _, name := range names {
		if found := regexp.MustCompile(`^TestTrap(\d\d)_\w`).FindStringSubmatch(name); found != nil {
			n, err := strconv.Atoi(found[1])
			if err != nil || n < 1 || n > len(list) {
				t.Errorf("%s: there is no trap of the number", name)
			}
			numbered[n] = append(numbered[n], name)
		} else if strings.HasPrefix(name, "TestTrap") {
			t.Errorf("%s: want TestTrap, two digits, _ and what it shows", name)
		}
	}
	for i, row := range list {
		for _, name := range row.tests {
			if !slices.Contains(names, name) {
				t.Errorf("trap %d: there is no test %s", i+1, name)
			}
		}
		if len(numbered[i+1])+len(row.tests) == 0 {
			t.Errorf("trap %d is not held: %s", i+1, row.what)
		}
	}
}

// testNames lists the tests of the whole tree.
func testNames(t *testing.T) (names []string) {
	t.Helper()
	for file, src := range files(t, "_test.go") {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// files reads all files of the tree whose names end so.
func files(t *testing.T, suffixes ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := os.DirFS(".")
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(file, s) }) {
			text, err := fs.ReadFile(root, file)
			if err != nil {
				return err
			}
			found[file] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTrap03_NothingNotifies(t *testing.T) {
	t.Parallel()
	statement := regexp.MustCompile(`(?i)\bpg_notify\b|\bNOTIFY\s+[a-z_]+|\bLISTEN\s+[a-z_]+`)
	for file, src := range files(t, ".go", ".sql") {
		if strings.HasPrefix(file, "internal/database/") && !strings.HasSuffix(file, "_test.go") {
			if found := statement.FindString(src); found != "" {
				t.Errorf("%s says %s", file, found)
			}
		}
	}
}

// Tests run on the migrated schema and fail without a database, which
// TestMissingPostgresFails shows.
func TestTrap35_TestsUseTheRealSchema(t *testing.T) {
	t.Parallel()
	ours := regexp.MustCompile(`CREATE TABLE (IF NOT EXISTS )?(public\.)?(clusters|controller_status|reconciliation_schedule)\b`)
	skips := regexp.MustCompile(`(?i)\.Skip\w*\(.*(no|needs|without) (a )?(database|postgres)`)
	for file, src := range files(t, "_test.go") {
		if found := ours.FindString(src); found != "" && path.Base(file) != "traps_test.go" {
			t.Errorf("%s makes a table of its own: %s", file, found)
		}
		if found := skips.FindString(src); found != "" && path.Dir(file) != "." {
			t.Errorf("%s skips: %s", file, found)
		}
	}
	if !slices.Contains(testNames(t), "TestMissingPostgresFails") {
		t.Error("nothing shows that tests fail without a database")
	}
}
