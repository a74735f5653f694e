//go:build unix && !linux

package dev

import "os"

// ScratchDir is where data that is thrown away belongs.
func ScratchDir() string { return os.TempDir() }
