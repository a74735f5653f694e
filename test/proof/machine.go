package proof

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// Machine is what a run was made on.
type Machine struct {
	CPUs     int    `json:"cpus"`
	Memory   int64  `json:"memory_bytes"` // 0 where nobody says
	System   string `json:"system"`
	Go       string `json:"go"`
	Postgres string `json:"postgres"`
}

// LookAtMachine says what this machine is. The version of PostgreSQL is for whoever starts one to add.
func LookAtMachine() Machine {
	return Machine{CPUs: runtime.NumCPU(), Memory: memory(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
}

// Text is the machine in words.
func (m Machine) Text() string {
	gib := Number(float64(m.Memory) / (1 << 30))
	return fmt.Sprintf("%d cores, %s GiB of memory, %s, %s, PostgreSQL %s", m.CPUs, gib, m.System, m.Go, m.Postgres)
}

// On says on which machines results were obtained, a line each.
func On(machines []Machine) string {
	var b strings.Builder
	for i, m := range machines {
		if !slices.Contains(machines[:i], m) {
			b.WriteString("On " + m.Text() + ".\n")
		}
	}
	return b.String()
}

// Commit is that of the sources, with a mark when they differ from it; "unknown" outside a repository. What has been
// proved so far is no source.
func Commit(ctx context.Context) string {
	commit, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ":/", ":(top,exclude)docs/proof").Output()
	if err != nil || len(changed) > 0 {
		return strings.TrimSpace(string(commit)) + "-dirty"
	}
	return strings.TrimSpace(string(commit))
}
