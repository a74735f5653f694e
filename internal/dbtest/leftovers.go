package dbtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cls-backend/cls-backend/internal/dev"
)

const dirPrefix = "cls-dbtest-"

// newDir makes a folder for one server. Its name carries our pid, by which a
// later run tells that its maker is dead.
func newDir() (string, error) {
	dir, err := os.MkdirTemp(dev.ScratchDir(), fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("make a folder for the test server: %w", err)
	}
	return dir, nil
}

// removeLeftovers deletes the folders of runs that died. What cannot be removed,
// such as another user's, is left: it hinders nobody.
func removeLeftovers(ctx context.Context) {
	dirs, err := filepath.Glob(filepath.Join(dev.ScratchDir(), dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		if !makerLives(dir) {
			_ = dev.RemovePostgres(ctx, dir)
		}
	}
}

// makerLives says whether the process that made the folder may still run.
func makerLives(dir string) bool {
	text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
	pid, err := strconv.Atoi(text)
	return err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
