package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLoggerLevels(t *testing.T) {
	t.Parallel()
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	for i, level := range []string{"debug", "info", "warn", "error"} {
		var out bytes.Buffer
		log, err := NewLogger(&out, level, "json")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range levels {
			log.Log(context.Background(), l, "line")
		}
		if got, want := strings.Count(out.String(), "\n"), len(levels)-i; got != want {
			t.Errorf("level %s logged %d of 4 levels, want %d", level, got, want)
		}
	}
}

func TestLoggerFormats(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := NewLogger(&out, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("hello", "n", 1, "latency", 1500*time.Millisecond)
	var line struct {
		Msg     string
		N       int
		Latency float64
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "hello" || line.N != 1 || line.Latency != 1.5 {
		t.Errorf("not one JSON object: %v in %s", err, out.String())
	}
	out.Reset()
	if log, err = NewLogger(&out, "info", "text"); err != nil {
		t.Fatal(err)
	}
	log.Info("hello", "n", 1)
	if !strings.Contains(out.String(), "msg=hello n=1") {
		t.Errorf("not text: %s", out.String())
	}
}

func TestLoggerRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"loud", "json"}, {"", "json"}, {"info", "xml"}, {"info", ""}} {
		if log, err := NewLogger(&bytes.Buffer{}, c[0], c[1]); err == nil || log != nil {
			t.Errorf("level %q, format %q was accepted", c[0], c[1])
		}
	}
}
