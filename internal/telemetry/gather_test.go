package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// calls counts the writes that reach the log, and keeps what they write.
type calls struct {
	mu   sync.Mutex
	n    int
	text bytes.Buffer
}

func (c *calls) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.text.Write(p)
}

// state returns the number of writes and of lines so far.
func (c *calls) state() (writes, written int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n, strings.Count(c.text.String(), "\n")
}

func newGathered(t *testing.T) (*slog.Logger, *calls) {
	t.Helper()
	out := &calls{}
	log, err := NewLogger(out, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	return log, out
}

// TestRequestLinesAreGathered: a hundred of them are one write, a moment later.
func TestRequestLinesAreGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, out := newGathered(t)
		for i := range 100 {
			log.With("a", i).WithGroup("g").Info(RequestLine, "i", i)
		}
		if writes, written := out.state(); writes != 0 || written != 0 {
			t.Errorf("%d writes of %d lines at once", writes, written)
		}
		time.Sleep(gatherFor) //nolint:forbidigo // a bubble's own time
		synctest.Wait()
		if writes, written := out.state(); writes != 1 || written != 100 {
			t.Errorf("%d writes of %d lines, want one of 100", writes, written)
		}
		log.Info(RequestLine)
		time.Sleep(gatherFor) //nolint:forbidigo // a bubble's own time
		synctest.Wait()
		if writes, written := out.state(); writes != 2 || written != 101 {
			t.Errorf("the next line: %d writes of %d lines", writes, written)
		}
	})
}

// TestAnyOtherLineIsWrittenAtOnce, behind the requests before it: so is what a process says as it ends.
func TestAnyOtherLineIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	log, out := newGathered(t)
	log.Info(RequestLine)
	log.Info(RequestLine)
	log.Info("stopped")
	if text := out.text.String(); strings.Count(text, "\n") != 3 || !strings.HasSuffix(strings.TrimSpace(text), `"msg":"stopped"}`) {
		t.Errorf("written: %s", text)
	}
}

// TestAFailedRequestIsWrittenAtOnce: what went wrong is what is looked for after a crash.
func TestAFailedRequestIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	log, out := newGathered(t)
	log.Info(RequestLine)
	log.Error(RequestLine, "status", 500)
	if writes, written := out.state(); writes != 1 || written != 2 {
		t.Errorf("%d writes of %d lines, want both lines at once", writes, written)
	}
}

// TestGatheredLinesAreBounded: a flood does not wait for the moment to pass.
func TestGatheredLinesAreBounded(t *testing.T) {
	t.Parallel()
	log, out := newGathered(t)
	const line = 1 << 10
	for range 2 * gatherUpTo / line {
		log.Info(RequestLine, "pad", strings.Repeat("x", line))
	}
	if writes, _ := out.state(); writes < 2 {
		t.Errorf("%d writes of %d bytes, at most %d each", writes, 2*gatherUpTo, gatherUpTo)
	}
}
