package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// oldestMajor is the oldest PostgreSQL that the schema is written for.
const oldestMajor = 15

// ErrNoBinaries says that PostgreSQL's server programs are not installed. The
// error that wraps it carries the command that installs them.
var ErrNoBinaries = errors.New("PostgreSQL's server programs were not found")

// binaries is one installation of PostgreSQL.
type binaries struct {
	dir       string // holds initdb and postgres
	libraries string // LD_LIBRARY_PATH, for packages that were only unpacked
	major     int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// findBinaries returns the installation to use: of the version that the data
// was made by, or with 0 the first that is new enough. The order is
// $CLS_POSTGRES_BIN (alone, if set), PATH, then the usual places, newest first.
func findBinaries(ctx context.Context, dataMajor int) (binaries, error) {
	var found []string
	for _, dir := range candidateDirs() {
		b, err := inspect(ctx, dir)
		if err != nil {
			continue
		}
		if b.major == dataMajor || (dataMajor == 0 && b.major >= oldestMajor) {
			return b, nil
		}
		found = append(found, fmt.Sprintf("%s (version %d)", b.dir, b.major))
	}
	if ctx.Err() != nil {
		return binaries{}, fmt.Errorf("look for PostgreSQL's server programs: %w", ctx.Err()) // Nobody knows whether they are there.
	}
	return binaries{}, notFound(dataMajor, found)
}

// notFound explains what was looked for, what there is, and what to do.
func notFound(dataMajor int, found []string) error {
	wanted := fmt.Sprintf("version %d or later", oldestMajor)
	if dataMajor != 0 {
		wanted = fmt.Sprintf("version %d, which made the data", dataMajor)
	}
	others := ""
	if len(found) > 0 {
		others = "; found only " + strings.Join(found, ", ")
	}
	return fmt.Errorf("%w (%s%s). Install them with\n\n    %s\n\nor run `make setup`, or set DATABASE_URL to a server that runs already",
		ErrNoBinaries, wanted, others, installCommand(runtime.GOOS, os.Geteuid() == 0, exec.LookPath))
}

// candidateDirs lists the folders that may hold the programs, best first.
func candidateDirs() []string {
	if dir := os.Getenv("CLS_POSTGRES_BIN"); dir != "" {
		return []string{dir}
	}
	var dirs []string
	if file, err := exec.LookPath("postgres"); err == nil {
		if file, err = filepath.EvalSymlinks(file); err == nil {
			dirs = append(dirs, filepath.Dir(file))
		}
	}
	patterns := []string{
		"/usr/lib/postgresql/*/bin",         // Debian
		"/usr/pgsql-*/bin",                  // PostgreSQL's own RPMs
		"/usr/libexec/postgresql*",          // Alpine
		"/opt/homebrew/opt/postgresql*/bin", // Homebrew on ARM
		"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	}
	if home, err := os.UserHomeDir(); err == nil {
		// Where `make setup` unpacks Debian's packages for a user without root.
		cache := filepath.Join(home, ".cache/cls-backend/postgresql")
		patterns = append(patterns, cache+"/usr/lib/postgresql/*/bin", cache+"/*/usr/lib/postgresql/*/bin")
	}
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		slices.SortFunc(matches, func(a, b string) int { return cmp.Compare(numberIn(b), numberIn(a)) })
		dirs = append(dirs, matches...)
	}
	return dirs
}

// numberIn is the last whole number of a path: the version in all those places.
func numberIn(path string) int {
	digits := regexp.MustCompile(`[0-9]+`).FindAllString(path, -1)
	if len(digits) == 0 {
		return 0
	}
	n, err := strconv.Atoi(digits[len(digits)-1])
	if err != nil {
		return 0
	}
	return n
}

// inspect asks the programs in dir for their version; an error means that they
// are incomplete or do not run here.
func inspect(ctx context.Context, dir string) (binaries, error) {
	b := binaries{dir: dir, libraries: unpackedLibraries(dir)}
	if _, err := os.Stat(b.path("initdb")); err != nil {
		return b, fmt.Errorf("look for initdb: %w", err)
	}
	cmd := exec.CommandContext(ctx, b.path("postgres"), "--version")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if b.libraries != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+b.libraries)
	}
	out, err := cmd.Output()
	if err != nil {
		return b, fmt.Errorf("ask postgres for its version: %w", err)
	}
	match := regexp.MustCompile(`\(PostgreSQL\) ([0-9]+)`).FindSubmatch(out)
	if match == nil {
		return b, fmt.Errorf("%s does not say its version", b.path("postgres"))
	}
	b.major, err = strconv.Atoi(string(match[1]))
	return b, err
}

// unpackedLibraries is the library path of Debian packages that were unpacked
// below some folder instead of installed: PostgreSQL finds its own files by its
// place, but the loader does not find libpq and its kin. "" for all others.
func unpackedLibraries(dir string) string {
	root, _, ok := strings.Cut(filepath.ToSlash(dir), "/usr/lib/postgresql/")
	if !ok || root == "" {
		return ""
	}
	var libs []string
	for _, pattern := range []string{"/usr/lib/*-linux-gnu*", "/lib/*-linux-gnu*"} {
		matches, err := filepath.Glob(root + pattern)
		if err == nil {
			libs = append(libs, matches...)
		}
	}
	return strings.Join(libs, ":")
}

// installCommand is the line that installs the server on this platform.
func installCommand(goos string, root bool, lookPath func(string) (string, error)) string {
	if goos == "darwin" {
		return "brew install postgresql@16"
	}
	sudo := "sudo "
	if root {
		sudo = ""
	}
	for _, m := range []struct{ tool, args string }{
		{"apt-get", "apt-get install -y postgresql"},
		{"dnf", "dnf install -y postgresql-server"},
		{"apk", "apk add postgresql"},
		{"pacman", "pacman -S postgresql"},
		{"zypper", "zypper install postgresql-server"},
	} {
		if _, err := lookPath(m.tool); err == nil {
			return sudo + m.args
		}
	}
	return "the package manager of your system: the PostgreSQL server, version 15 or later"
}
