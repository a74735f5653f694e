//go:build faults

package main

import "testing"

// Everything that make fault plays for hours, for some seconds. It has bounds of time, so that it is played by itself: make
// test-faults. What wants Google's emulator is played by make fault alone.
func TestShortDoses(t *testing.T) {
	t.Parallel()
	playShort(t, func(s scenario) bool { return !s.emulator })
}
