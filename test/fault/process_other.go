//go:build unix && !linux

package main

import (
	"os/exec"
	"strconv"
	"strings"
)

// stopped reports whether a process stands still.
func stopped(pid int) bool {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx // it is over at once
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(out)), "T")
}
