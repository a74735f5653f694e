package dev

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestMissingPostgresSaysHowToInstallIt(t *testing.T) {
	t.Setenv("CLS_POSTGRES_BIN", t.TempDir())
	_, err := StartPostgres(t.Context(), PostgresOptions{Dir: newFolder(t)})
	if !errors.Is(err, ErrNoBinaries) {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{installCommand(runtime.GOOS, os.Geteuid() == 0, exec.LookPath), "make setup", "DATABASE_URL"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

// program writes a postgres that says its version, and an initdb beside it.
func installFake(t *testing.T, dir, version string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "initdb"), nil, 0o755))
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
	must(t, os.WriteFile(filepath.Join(dir, "postgres"), []byte(script), 0o755))
}

func TestFindBinaries(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("CLS_POSTGRES_BIN", bin)
	for _, tc := range []struct {
		why, version    string
		data, wantMajor int
		wantErr         string
	}{
		{"new enough", "15.18 (Debian 15.18-0+deb12u1)", 0, 15, ""},
		{"a beta counts", "19beta1", 0, 19, ""},
		{"too old for a new folder", "14.2", 0, 0, "found only " + bin + " (version 14)"},
		{"data need their own version", "17.1", 15, 0, "version 15, which made the data"},
		{"data of its version", "17.1", 17, 17, ""},
		{"not PostgreSQL at all", "none", 0, 0, "version 15 or later"},
	} {
		installFake(t, bin, tc.version)
		got, err := findBinaries(t.Context(), tc.data)
		if tc.wantErr != "" {
			if !errors.Is(err, ErrNoBinaries) || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("%s: got %v", tc.why, err)
			}
			continue
		}
		if err != nil || got.major != tc.wantMajor || got.dir != bin {
			t.Errorf("%s: got %+v, %v", tc.why, got, err)
		}
	}
}

func TestSearchOrder(t *testing.T) {
	path, home := t.TempDir(), t.TempDir()
	t.Setenv("CLS_POSTGRES_BIN", "")
	t.Setenv("HOME", home)
	t.Setenv("PATH", path)
	installed := filepath.Join(home, "real", "bin")
	installFake(t, installed, "16.1")
	must(t, os.Symlink(filepath.Join(installed, "postgres"), filepath.Join(path, "postgres")))
	cache := filepath.Join(home, ".cache/cls-backend/postgresql/usr/lib/postgresql")
	installFake(t, filepath.Join(cache, "9/bin"), "9.6.1")
	installFake(t, filepath.Join(cache, "17/bin"), "17.1")

	got := candidateDirs()
	if got[0] != installed {
		t.Errorf("PATH's, with its links resolved, comes first: %v", got)
	}
	seventeen, nine := slices.Index(got, filepath.Join(cache, "17/bin")), slices.Index(got, filepath.Join(cache, "9/bin"))
	if seventeen < 0 || nine < seventeen {
		t.Errorf("the unpacked ones come newest first: %v", got)
	}
}

func TestUnpackedLibraries(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"usr/lib/postgresql/17/bin", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	want := root + "/usr/lib/x86_64-linux-gnu:" + root + "/lib/x86_64-linux-gnu"
	if got := unpackedLibraries(root + "/usr/lib/postgresql/17/bin"); got != want {
		t.Errorf("unpacked: got %q, want %q", got, want)
	}
	for _, dir := range []string{"/usr/lib/postgresql/15/bin", "/opt/homebrew/opt/postgresql@16/bin"} {
		if got := unpackedLibraries(dir); got != "" {
			t.Errorf("%s is installed, got %q", dir, got)
		}
	}
}

func TestInstallCommand(t *testing.T) {
	t.Parallel()
	only := func(tool string) func(string) (string, error) {
		return func(name string) (string, error) {
			if name == tool {
				return "/usr/bin/" + name, nil
			}
			return "", exec.ErrNotFound
		}
	}
	for _, tc := range []struct {
		goos, tool string
		root       bool
		want       string
	}{
		{"darwin", "", false, "brew install postgresql@16"},
		{"linux", "apt-get", false, "sudo apt-get install -y postgresql"},
		{"linux", "apt-get", true, "apt-get install -y postgresql"},
		{"linux", "dnf", true, "dnf install -y postgresql-server"},
		{"linux", "nothing", true, "the package manager of your system: the PostgreSQL server, version 15 or later"},
	} {
		if got := installCommand(tc.goos, tc.root, only(tc.tool)); got != tc.want {
			t.Errorf("%s with %s: got %q, want %q", tc.goos, tc.tool, got, tc.want)
		}
	}
}

func TestEnters(t *testing.T) {
	t.Parallel()
	a := &account{uid: 5, gid: 6}
	for _, tc := range []struct {
		why      string
		mode     os.FileMode
		uid, gid uint32
		want     bool
	}{
		{"open to all", 0o755, 0, 0, true},
		{"another's home", 0o700, 0, 0, false},
		{"its own", 0o700, 5, 0, true},
		{"its group's", 0o710, 0, 6, true},
		{"the owner's class decides, not the rest", 0o077, 5, 6, false},
		{"readable is not enough", 0o744, 0, 0, false},
	} {
		if got := a.enters(tc.mode, tc.uid, tc.gid); got != tc.want {
			t.Errorf("%s: got %v", tc.why, got)
		}
	}
}
