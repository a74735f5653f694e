package reconciliation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cls-backend/cls-backend/internal/reconciliation"
)

// script is a Service and an Observer that does as it is told and writes down what it is asked.
type script struct {
	// stale and due are what is left to do; endless has both never grow less.
	stale, due int
	endless    bool
	// refreshErr and wakeErr are returned, the work of the call being done; outage has the
	// refreshes of some passes, counted from 0, return refreshErr and the others nil.
	refreshErr, wakeErr error
	outage              func(pass int) bool
	// pass is how long each refresh takes.
	pass time.Duration

	mu     sync.Mutex
	calls  []string
	passes []int // how many were due in each pass
	at     []time.Duration
	began  time.Time
}

func (s *script) Refresh(_ context.Context, limit int) (int, error) {
	s.calls = append(s.calls, "refresh")
	s.at = append(s.at, time.Since(s.began))
	time.Sleep(s.pass) //nolint:forbidigo // in a synctest bubble; it takes no time
	if s.outage != nil && !s.outage(len(s.passes)) {
		return 0, nil
	}
	return take(&s.stale, limit, s.endless), s.refreshErr
}

func (s *script) WakeDue(_ context.Context, _ time.Duration, limit int) ([]time.Duration, error) {
	s.mu.Lock() // Of a crowd, two batches are asked for at a time.
	defer s.mu.Unlock()
	s.calls = append(s.calls, "wake")
	return make([]time.Duration, take(&s.due, limit, s.endless)), s.wakeErr
}

func take(from *int, limit int, endless bool) int {
	n := min(*from, limit)
	if !endless {
		*from -= n
	}
	return n
}

func (s *script) PassDone(_ time.Duration, due int, lateness []time.Duration) {
	if due != len(lateness) {
		panic("due and lateness are not of one pass")
	}
	s.passes = append(s.passes, due)
}

func TestRunOnce(t *testing.T) {
	t.Parallel()
	const b, most = reconciliation.Batch, reconciliation.MaxBatches
	broken := errors.New("broken")
	repeat := func(call string, n int) []string { return slices.Repeat([]string{call}, n) }
	tests := map[string]struct {
		why       string
		script    *script
		calls     []string
		refreshed int
		woken     int
		err       error
	}{
		"nothing to do":      {"one question each", &script{}, []string{"refresh", "wake"}, 0, 0, nil},
		"a few":              {"fewer than a batch are all there are", &script{stale: 3, due: 4}, []string{"refresh", "wake"}, 3, 4, nil},
		"a full batch":       {"there may be more", &script{due: b}, []string{"refresh", "wake", "wake", "wake"}, 0, b, nil},
		"several batches":    {"all that is due is served in its pass", &script{stale: b + 1, due: 2*b + 1}, []string{"refresh", "refresh", "wake", "wake", "wake", "wake"}, b + 1, 2*b + 1, nil},
		"no end of it":       {"neither half may hold up the other, or the end", &script{stale: b, due: b, endless: true}, append(repeat("refresh", most), repeat("wake", most)...), most * b, most * b, nil},
		"refreshing fails":   {"a status that cannot be calculated keeps nobody asleep", &script{due: 1, refreshErr: broken}, []string{"refresh", "wake"}, 0, 1, broken},
		"waking fails":       {"what was done before the error stands", &script{stale: 2, due: b, wakeErr: broken}, []string{"refresh", "wake"}, 2, b, broken},
		"refreshing in part": {"the same", &script{stale: 2, refreshErr: broken}, []string{"refresh", "wake"}, 2, 0, broken},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tt.script
			r, err := reconciliation.NewScheduler(tick, s, slog.New(slog.DiscardHandler), s).RunOnce(t.Context())
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.calls, s.calls); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.why, diff)
			}
			if r.Refreshed != tt.refreshed || len(r.Lateness) != tt.woken {
				t.Errorf("refreshed %d and woke %d, want %d and %d", r.Refreshed, len(r.Lateness), tt.refreshed, tt.woken)
			}
			if diff := cmp.Diff([]int{tt.woken}, s.passes); diff != "" {
				t.Errorf("the observer is told of each pass, a failed one too (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRunSaysOnceThatPassesFail has two outages of three passes each.
func TestRunSaysOnceThatPassesFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := script{refreshErr: errors.New("the database is away"), outage: func(pass int) bool { return pass/3%2 == 1 }}
		run := start(t, &s, slog.New(slog.NewTextHandler(&log, nil)))
		time.Sleep(12*tick + tick/2) //nolint:forbidigo // in a bubble
		run.end()
		failed, works := strings.Count(log.String(), "pass failed"), strings.Count(log.String(), "passes work again")
		if len(s.passes) < 13 || failed != 2 || works != 2 {
			t.Errorf("%d failures and %d recoveries are logged of two outages in %d passes:\n%s", failed, works, len(s.passes), &log)
		}
	})
}

func TestRunEndsWithoutAWordInTheMiddleOfAPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := script{pass: tick / 2, refreshErr: context.Canceled}
		run := start(t, &s, slog.New(slog.NewTextHandler(&log, nil)))
		synctest.Wait() // in the first pass
		run.end()
		if log.Len() > 0 {
			t.Errorf("the end of the process is logged as a failure: %s", &log)
		}
	})
}

func TestRunKeepsItsInterval(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		pass time.Duration
		want []time.Duration
	}{
		"short passes": {"at once, and then every second whatever a pass takes", tick / 2, []time.Duration{0, tick, 2 * tick, 3 * tick}},
		"long passes":  {"one follows the other; those missed are not made up for", tick * 5 / 2, []time.Duration{0, tick * 5 / 2, tick * 5, tick * 15 / 2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := script{pass: tt.pass, began: time.Now()}
				run := start(t, &s, slog.New(slog.DiscardHandler))
				time.Sleep(tt.want[3] + tick/4) //nolint:forbidigo // in a bubble
				run.end()
				if diff := cmp.Diff(tt.want, s.at); diff != "" {
					t.Errorf("passes begin %s (-want +got):\n%s", tt.why, diff)
				}
			})
		})
	}
}

// TestRunGoesOnAtOnceWhileMoreIsDue: a fleet that is due at once does not wait for the next second ten thousand at a time.
// What is stale and does not get less, because somebody holds it, waits.
func TestRunGoesOnAtOnceWhileMoreIsDue(t *testing.T) {
	t.Parallel()
	const full = reconciliation.Batch * reconciliation.MaxBatches
	tests := map[string]struct {
		script *script
		passes []int // in less than an interval
	}{
		"more is due":           {&script{due: 2*full + 1}, []int{full, full, 1}},
		"all is stale":          {&script{stale: full, endless: true}, []int{0}},
		"and waking has failed": {&script{due: 2*full + 1, wakeErr: errors.New("broken")}, []int{reconciliation.Batch}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := tt.script
				run := start(t, s, slog.New(slog.DiscardHandler))
				time.Sleep(tick / 2) //nolint:forbidigo // in a bubble
				run.end()
				if diff := cmp.Diff(tt.passes, s.passes); diff != "" {
					t.Errorf("woken by each pass (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// running is a scheduler that runs in a bubble.
type running struct {
	t     *testing.T
	stop  context.CancelFunc
	ended chan error
}

func start(t *testing.T, s *script, log *slog.Logger) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t, cancel, make(chan error, 1)}
	go func() { r.ended <- reconciliation.NewScheduler(tick, s, log, s).Run(ctx) }()
	return r
}

func (r *running) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run: %v", err)
	}
}
