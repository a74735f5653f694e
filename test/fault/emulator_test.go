//go:build emulator

package main

import "testing"

func TestShortDosesOnTheEmulator(t *testing.T) {
	t.Parallel()
	playShort(t, func(s scenario) bool { return s.emulator })
}
