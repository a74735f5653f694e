package controller_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/controller"
)

// alone has nobody woken but by a change or a user: what is tried again, a controller tries of itself.
const alone = "RECONCILIATION_ENABLED=false"

// TestFailures are reported for what they are, and tried again when that can help. What was there before stays in the report.
func TestFailures(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	broken := errors.New("no quota")
	for name, c := range map[string]struct {
		err  error
		want v1.ReportError
	}{
		"passing": {broken, v1.ReportError{ErrorType: v1.ErrorTransient, ErrorCode: "ReconcileFailed", Message: "no quota"}},
		"later": {controller.RetryAfter(5*time.Millisecond, broken), v1.ReportError{
			ErrorType: v1.ErrorTransient, ErrorCode: "ReconcileFailed", Message: "no quota", RetryAfter: []byte(`"5ms"`),
		}},
		"terminal": {fmt.Errorf("plan: %w", controller.Terminal("TooBig", broken)), v1.ReportError{
			ErrorType: v1.ErrorConfiguration, ErrorCode: "TooBig", Message: "plan: no quota", UserActionable: true,
		}},
		"own":        {&controller.Error{Type: v1.ErrorFatal, Code: "Lost", Err: broken}, v1.ReportError{ErrorType: v1.ErrorFatal, ErrorCode: "Lost", Message: "no quota"}},
		"no-cause":   {controller.RetryAfter(5*time.Millisecond, nil), v1.ReportError{ErrorType: v1.ErrorTransient, ErrorCode: "ReconcileFailed", Message: "Transient", RetryAfter: []byte(`"5ms"`)}},
		"code-alone": {controller.Terminal("TooBig", nil), v1.ReportError{ErrorType: v1.ErrorConfiguration, ErrorCode: "TooBig", Message: "TooBig", UserActionable: true}},
		"nothing":    {&controller.Error{}, v1.ReportError{ErrorType: v1.ErrorTransient, ErrorCode: "ReconcileFailed", Message: "failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := b.For(t)
			var mended atomic.Bool
			j := newJournal(func(_ context.Context, n int, req controller.Request) (controller.Result, error) {
				switch {
				case req.Generation() == 1 && req.Name() == name || mended.Load():
					return controller.Result{Metadata: map[string]int{"n": n}}, nil
				case req.Name() == name:
					return controller.Result{}, c.err
				case n < 4:
					return controller.Result{}, broken
				}
				return controller.Result{}, nil
			})
			b.Run(j, controller.Options{Name: name, Platforms: []string{name}, FirstRetry: 10 * time.Millisecond, LongestRetry: 20 * time.Millisecond})
			spec := `{"platform":{"type":"` + name + `"},"n":%d}`
			made := b.Create(name, fmt.Sprintf(spec, 1))
			b.WaitReady(made.ID)
			b.SetSpec(made.ID, fmt.Sprintf(spec, 2))

			r := b.WaitReport(made.ID, name, func(r v1.ControllerStatus) bool { return r.LastError != nil })
			e := *r.LastError
			if e.ErrorType != c.want.ErrorType || e.ErrorCode != c.want.ErrorCode || e.Message != c.want.Message ||
				e.UserActionable != c.want.UserActionable || string(e.RetryAfter) != string(c.want.RetryAfter) {
				t.Errorf("reported %+v, want %+v", e, c.want)
			}
			if r.ObservedGeneration != 2 || string(r.Metadata) != `{"n":1}` || r.Conditions[0].Status != v1.ConditionTrue || r.Conditions[0].Reason != c.want.ErrorCode {
				t.Errorf("reported %+v", r)
			}
			if c.want.ErrorType == v1.ErrorTransient {
				mended.Store(true)
				b.WaitReady(made.ID)
				return
			}
			// Another one fails and is tried again three times meanwhile.
			b.WaitReady(b.Create(name+"-another", fmt.Sprintf(spec, 1)).ID)
			if n := j.count(made.ID); n != 2 {
				t.Errorf("called %d times", n)
			}
			if c := b.WaitFor(made.ID, client.Condition{Type: v1.ConditionDegraded}); c.Status.Phase != v1.PhaseFailed {
				t.Errorf("it is %+v", c.Status)
			}
		})
	}
}

// TestCodeThatDoesNotReturn harms nobody else: a panic, the end of the goroutine as of a failed test, an error without words.
// Users are told what it was, and not where in the code.
func TestCodeThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	b.Run(newJournal(func(_ context.Context, n int, req controller.Request) (controller.Result, error) {
		if n > 1 {
			return controller.Result{}, nil
		}
		switch req.Name() {
		case "panic":
			panic("no such zone")
		case "exit":
			runtime.Goexit()
		case "nil":
			return controller.Result{}, (*controller.Error)(nil)
		case "metadata":
			return controller.Result{Metadata: mute{}}, nil
		}
		return controller.Result{}, nil
	}), controller.Options{Name: "p", Concurrency: 1, FirstRetry: 200 * time.Millisecond})
	var ids []string
	for name, code := range map[string]string{"panic": "Panic", "exit": "Exited", "nil": "Panic", "metadata": "InvalidResult"} {
		bad := b.Create(name, gcp)
		r := b.WaitReport(bad.ID, "p", func(r v1.ControllerStatus) bool { return r.LastError != nil })
		said := r.LastError.Message + r.Conditions[0].Message
		if r.LastError.ErrorCode != code || name == "panic" && !strings.Contains(said, "no such zone") || strings.Contains(said, ".go:") {
			t.Errorf("%s: reported %+v", name, r)
		}
		ids = append(ids, bad.ID)
	}
	for _, id := range append(ids, b.Create("good", gcp).ID) {
		b.WaitReady(id)
	}
}

// mute is metadata that cannot be put into words.
type mute struct{}

func (mute) MarshalJSON() ([]byte, error) { panic("no words") }

// TestAResultThatIsRefused is said to be wrong, instead of being sent for ever.
func TestAResultThatIsRefused(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	results := map[string]controller.Result{
		"no-object": {Metadata: []int{1}},
		"status":    {Conditions: []v1.ReportedCondition{{Type: "Backup"}}},
		"size":      {Metadata: map[string]string{"a": strings.Repeat("a", 1<<20)}},
	}
	j := newJournal(func(_ context.Context, _ int, req controller.Request) (controller.Result, error) {
		return results[req.Name()], nil
	})
	registry := prometheus.NewPedanticRegistry()
	b.Run(j, controller.Options{Name: "c", FirstRetry: time.Hour, Metrics: registry})
	for name := range results {
		c := b.Create(name, gcp)
		r := b.WaitReport(c.ID, "c", func(v1.ControllerStatus) bool { return true })
		if r.LastError == nil || r.LastError.ErrorCode != "InvalidResult" || r.LastError.ErrorType != v1.ErrorSystem || r.Conditions[0].Status != v1.ConditionFalse {
			t.Errorf("%s: reported %+v", name, r)
		}
		b.Await("its event to be settled", func() bool { return outcomes(t, registry)["done"] == len(j.seen()) })
		if n := j.count(c.ID); n != 1 {
			t.Errorf("%s: called %d times", name, n)
		}
	}
}

// TestPauses are kept to, and nobody else has to wake the controller.
func TestPauses(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	for name, row := range map[string]struct {
		first  time.Duration
		result controller.Result
		err    error
		calls  int // that end with these
		least  time.Duration
	}{
		"requeue": {time.Hour, controller.Result{Waiting: true, RequeueAfter: 10 * time.Millisecond}, nil, 3, 30 * time.Millisecond},
		"later":   {time.Hour, controller.Result{}, controller.RetryAfter(10*time.Millisecond, nil), 3, 30 * time.Millisecond},
		"doubles": {50 * time.Millisecond, controller.Result{}, errors.New("no"), 5, 1550 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := b.For(t)
			var began time.Time
			b.Run(newJournal(func(_ context.Context, n int, _ controller.Request) (controller.Result, error) {
				switch {
				case n == 1:
					began = time.Now()
				case n > row.calls:
					if took := time.Since(began); took < row.least {
						t.Errorf("came after %v", took)
					}
					return controller.Result{}, nil
				}
				return row.result, row.err
			}), controller.Options{Name: name, Platforms: []string{name}, FirstRetry: row.first})
			b.WaitReady(b.Create(name, `{"platform":{"type":"`+name+`"}}`).ID)
		})
	}
}

// TestRetryAfterHoldsAgainstWakeUps, which the failing report itself causes; a user or a change comes through.
func TestRetryAfterHoldsAgainstWakeUps(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t, alone)
	j := newJournal(func(context.Context, int, controller.Request) (controller.Result, error) {
		return controller.Result{}, controller.RetryAfter(time.Hour, errors.New("closed"))
	})
	registry := prometheus.NewPedanticRegistry()
	b.Run(j, controller.Options{Name: "c", FirstRetry: time.Millisecond, Metrics: registry})
	c := b.Create("one", gcp)
	b.Await("the failure", func() bool { return outcomes(t, registry)["done"] == 1 })
	created := b.Events()[0]
	b.Inject(anew(created, v1.ClusterReconcile, v1.TriggeredByScheduler), anew(created, v1.ClusterReconcile, v1.TriggeredByReactive))
	b.Await("the wake-ups", func() bool { return outcomes(t, registry)["early"] == 2 })
	if n := j.count(c.ID); n != 1 {
		t.Errorf("called %d times", n)
	}
	b.Wake(c.ID)
	b.Await("the user's wake-up", func() bool { return outcomes(t, registry)["done"] == 2 })
	b.SetSpec(c.ID, `{"platform":{"type":"gcp"},"n":2}`)
	b.Await("the change", func() bool { return outcomes(t, registry)["done"] == 3 })
	if n := j.count(c.ID); n != 3 {
		t.Errorf("called %d times", n)
	}
}
