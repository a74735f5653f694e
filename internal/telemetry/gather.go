package telemetry

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// RequestLine is the message of the one line of a request, the only one that is gathered, unless
// it is of a failure.
const RequestLine = "request"

const (
	// gatherFor is how long the line of a request may wait for others, and so how much of the
	// log is lost when the process is killed.
	gatherFor = 20 * time.Millisecond
	// gatherUpTo is how many bytes are written at once at the latest.
	gatherUpTo = 32 << 10
)

// gatherer is a handler that writes the lines of requests many at a time: writing each by itself
// was, with its formatting, a twelfth of the CPU of a get. Any other record is written at once, behind those
// that came before it.
type gatherer struct {
	slog.Handler // writes to lines
	lines        *lines
}

func newGatherer(w io.Writer, formatted func(io.Writer) slog.Handler) slog.Handler {
	l := &lines{w: w}
	return gatherer{formatted(l), l}
}

// Handle implements [slog.Handler].
func (g gatherer) Handle(ctx context.Context, r slog.Record) error {
	err := g.Handler.Handle(ctx, r)
	if r.Message != RequestLine || r.Level > slog.LevelInfo {
		g.lines.flush()
	}
	return err
}

// WithAttrs implements [slog.Handler].
func (g gatherer) WithAttrs(attrs []slog.Attr) slog.Handler {
	return gatherer{g.Handler.WithAttrs(attrs), g.lines}
}

// WithGroup implements [slog.Handler].
func (g gatherer) WithGroup(name string) slog.Handler {
	return gatherer{g.Handler.WithGroup(name), g.lines}
}

// lines keeps what is written to it for a moment. It is safe for concurrent use.
type lines struct {
	w io.Writer

	mu      sync.Mutex
	waiting []byte
	timed   bool
}

// Write implements [io.Writer]. It does not fail: nobody can be told that the log is gone.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, line...)
	switch {
	case len(l.waiting) >= gatherUpTo:
		l.write()
	case !l.timed:
		l.timed = true
		time.AfterFunc(gatherFor, l.flush)
	}
	return len(line), nil
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write()
}

// write is called under the lock.
func (l *lines) write() {
	if len(l.waiting) > 0 {
		_, _ = l.w.Write(l.waiting)
	}
	l.waiting, l.timed = l.waiting[:0], false
}
