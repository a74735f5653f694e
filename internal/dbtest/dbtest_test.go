package dbtest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/dev"
)

// panics tells a copy of this test program to panic with a server running.
const panics = "CLS_DBTEST_PANICS"

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestDatabasesAreFreshAndApart(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "two", "three", "four", "five", "six"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, dbtest.New(t))
			defer conn.Close(t.Context())
			// The same table in each, which only databases of their own allow.
			if _, err := conn.Exec(t.Context(), "CREATE TABLE mine ()"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSchemaIsTheRealOne(t *testing.T) {
	t.Parallel()
	conn := connect(t, dbtest.New(t))
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELECT id, spec FROM clusters"); err != nil {
		t.Error(err)
	}
}

//nolint:tparallel // the subtest has ended when its database is looked for
func TestDatabaseGoesWithItsTest(t *testing.T) {
	t.Parallel()
	admin := connect(t, dbtest.New(t))
	defer admin.Close(t.Context())
	var name string
	t.Run("leaves a session open", func(t *testing.T) {
		name = connect(t, dbtest.New(t)).Config().Database
	})
	var n int
	err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", name).Scan(&n)
	if err != nil || n != 0 {
		t.Errorf("%s: %d databases, %v", name, n, err)
	}
}

func TestServerOfItsOwn(t *testing.T) {
	t.Parallel()
	pg := dbtest.NewServer(t)
	if err := pg.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := dev.StartPostgres(t.Context(), pg.Options())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Kill()
	if err := connect(t, pg.URL()).Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPanics is for the copy that TestAPanicLeavesNoServer runs.
func TestPanics(t *testing.T) {
	t.Parallel()
	if os.Getenv(panics) == "" {
		return
	}
	dbtest.New(t)
	panic("as told to")
}

func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	tmp := tempDir(t)
	out, err := runCopy(t, "TestDatabasesAreFreshAndApart", "TMPDIR="+tmp)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	expectEmpty(t, tmp)
}

func TestAPanicLeavesNoServer(t *testing.T) {
	t.Parallel()
	tmp := tempDir(t)
	out, err := runCopy(t, "TestPanics", "TMPDIR="+tmp, panics+"=1")
	if err == nil {
		t.Fatalf("the copy did not panic: %s", out)
	}
	if left, err := filepath.Glob(tmp + "/*"); err != nil || len(left) != 1 {
		t.Errorf("left: %v; a folder and no more was expected", left)
	}
	awaitNoServer(t, tmp)
	if out, err := runCopy(t, "TestDatabasesAreFreshAndApart", "TMPDIR="+tmp); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	expectEmpty(t, tmp) // the next run removed what the dead one left
}

func TestGivenServerIsUsedAndLeftClean(t *testing.T) {
	t.Parallel()
	tmp := tempDir(t)
	pg := dbtest.NewServer(t)
	out, err := runCopy(t, "TestDatabasesAreFreshAndApart", "TMPDIR="+tmp, "CLS_TEST_DATABASE_URL="+pg.URL())
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	expectEmpty(t, tmp)
	conn := connect(t, pg.URL())
	defer conn.Close(t.Context())
	var names string
	err = conn.QueryRow(t.Context(), "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database").Scan(&names)
	if err != nil || names != "cls postgres template0 template1" {
		t.Errorf("databases %q, %v", names, err)
	}
}

func TestMissingPostgresFails(t *testing.T) {
	t.Parallel()
	out, err := runCopy(t, "TestDatabasesAreFreshAndApart", "TMPDIR="+tempDir(t), "CLS_POSTGRES_BIN=/nowhere")
	if err == nil || !strings.Contains(out, "--- FAIL") || !strings.Contains(out, "make setup") {
		t.Errorf("got %v: %s", err, out)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// runCopy runs one test of this program in a process of its own.
func runCopy(t *testing.T, test string, env ...string) (string, error) {
	t.Helper()
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tempDir is a folder that the account of a server reaches too.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(dev.ScratchDir(), "dbtest-copy-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func expectEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := filepath.Glob(dir + "/*"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// awaitNoServer waits until nothing holds the lock of any server below dir.
func awaitNoServer(t *testing.T, dir string) {
	t.Helper()
	locks, err := filepath.Glob(dir + "/*/lock")
	if err != nil || len(locks) == 0 {
		t.Fatalf("no server ever ran: %v", err)
	}
	for _, name := range locks {
		lock, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // waits
			t.Error(err)
		}
		lock.Close()
	}
}

// BenchmarkNew is the price of a test's database.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		dbtest.New(b)
	}
}
