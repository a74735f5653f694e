package proof

import "testing"

func TestFigures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f      Figure
		text   string
		missed bool
	}{
		{Measured("kills", 1234567, ""), "kills: 1,234,567", false},
		{Measured("took", 1.234, "s"), "took: 1.23 s", false},
		{Measured("memory", 101.7, "MiB"), "memory: 102 MiB", false},
		{AtMost("lost", 0, "", 0), "lost: 0 (at most 0)", false},
		{AtMost("lost", 1, "", 0), "lost: 1 (at most 0)", true},
		{AtLeast("drained", 5, "times", 5), "drained: 5 times (at least 5)", false},
		{AtLeast("drained", 4.99, "times", 5), "drained: 4.99 times (at least 5)", true},
		{Measured("off by", -1000, "ms"), "off by: -1,000 ms", false},
	} {
		if got := c.f.Text(); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
		if got := c.f.Missed(); got != c.missed {
			t.Errorf("%s: missed %v", c.text, got)
		}
	}
}
