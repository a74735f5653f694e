package service_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// simulation lets the seconds of one cluster pass without waiting: each tick moves all
// that is scheduled a second nearer, lets the pass run, and publishes what it left.
type simulation struct {
	world
	id string
	// second is how many have passed.
	second int
	woken  []wake
}

// wake is a reconcile event, with the second at which it was published.
type wake struct {
	second int
	reason string
}

func newSimulation(t *testing.T, w world) *simulation {
	t.Helper()
	s := &simulation{world: w, id: w.create(t, "one").ID}
	w.publish(t)
	return s
}

// settleDown makes the cluster Ready and three hours old: in the stable lane.
func (s *simulation) settleDown(t *testing.T, r v1.StatusReport) {
	t.Helper()
	s.report(t, s.id, r)
	s.exec(t, `UPDATE clusters SET generation_started_at = now() - interval '3 h'`)
	s.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = now() + interval '5 min', reactive = false, reactive_wakes = 0`)
	if _, status := s.get(t, s.id); status.Phase != v1.PhaseReady {
		t.Fatalf("settled at %+v", status)
	}
}

// tick lets a second pass and returns the events published in it.
func (s *simulation) tick(t *testing.T) []models.QueuedEvent {
	t.Helper()
	s.second++
	s.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = next_reconcile_at - interval '1 s'`)
	_, err := s.WakeDue(t.Context(), 0, 100)
	must(t, err)
	events := s.publish(t)
	for _, e := range events {
		if e.Wake {
			s.woken = append(s.woken, wake{s.second, e.Event.Reason})
		}
	}
	return events
}

// since returns how far apart the wake-ups after a second lie, and how many are reactive.
func (s *simulation) since(second int) (gaps []int, reactive int) {
	last := -1
	for _, w := range s.woken {
		if w.second <= second {
			continue
		}
		if w.reason == v1.ReasonReactive {
			reactive++
		}
		if last >= 0 {
			gaps = append(gaps, w.second-last)
		}
		last = w.second
	}
	return gaps, reactive
}

// wantPeriodic expects nothing but the lane's wake-ups after a second.
func (s *simulation) wantPeriodic(t *testing.T, second int, lane time.Duration) {
	t.Helper()
	if _, reactive := s.since(second); reactive > 0 {
		t.Errorf("%d reactive wake-ups after second %d: %v", reactive, second, s.woken)
	}
	s.wantGaps(t, second, lane)
}

// wantGaps expects every gap after a second to be within 10 % of the lane's interval and
// the pass's second.
func (s *simulation) wantGaps(t *testing.T, second int, lane time.Duration) {
	t.Helper()
	gaps, _ := s.since(second)
	if len(gaps) == 0 {
		t.Errorf("no periodic wake-ups after second %d: %v", second, s.woken)
	}
	for _, gap := range gaps {
		if got := time.Duration(gap) * time.Second; got < lane*9/10-time.Second || got > lane*11/10+time.Second {
			t.Errorf("a gap of %s in the lane of %s", got, lane)
		}
	}
}

// waiter is a controller that is not available until the other one is, and looks again
// whenever it is woken. It tells what it sees: nothing is scheduled by itself.
func waiter(t *testing.T, s *simulation) {
	t.Helper()
	_, reports, err := s.Status(t.Context(), robot, s.id)
	must(t, err)
	ready := slices.ContainsFunc(reports, func(r v1.ControllerStatus) bool {
		return r.ControllerName == "a" && r.Conditions[0].Status == v1.ConditionTrue
	})
	if ready {
		s.report(t, s.id, condition("b", v1.ConditionTrue, "Done", "", ""))
	} else {
		s.report(t, s.id, condition("b", v1.ConditionFalse, "WaitingForA", "", ""))
	}
}

// TestControllersThatWaitForEachOther move in seconds, and then it is quiet.
func TestControllersThatWaitForEachOther(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		s := newSimulation(t, w)
		const aDone = 45
		s.report(t, s.id, condition("a", v1.ConditionFalse, "Working", "", ""))
		waiter(t, s)
		a, readyAt := condition("a", v1.ConditionFalse, "Working", "", ""), 0
		for s.second < 300 {
			events := s.tick(t)
			if s.second == aDone {
				a = condition("a", v1.ConditionTrue, "Done", "", "")
				s.report(t, s.id, a)
			}
			if len(events) > 0 {
				s.report(t, s.id, a)
				waiter(t, s)
			}
			if _, status := s.get(t, s.id); readyAt == 0 && status.Phase == v1.PhaseReady {
				readyAt = s.second
			}
		}
		if readyAt == 0 || readyAt > aDone+5 {
			t.Errorf("Ready at second %d, a was done at %d: %v", readyAt, aDone, s.woken)
		}
		if _, reactive := s.since(readyAt); reactive != 1 {
			t.Errorf("%d reactive wake-ups after Ready, want one last: %v", reactive, s.woken)
		}
		s.wantPeriodic(t, readyAt+5, 30*time.Second)
	})
}

// TestTrap23_WhatMovesNothingWakesNobody: a controller whose own report wakes it made 52
// events in 30 s with nobody doing anything.
func TestTrap23_WhatMovesNothingWakesNobody(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		s := newSimulation(t, w)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		for s.second < 200 {
			r := condition("dns", v1.ConditionTrue, "R", fmt.Sprintf("checked at second %d", s.second), "")
			at = at.Add(time.Second)
			r.Conditions[0].LastTransitionTime = &at
			s.report(t, s.id, r)
			s.tick(t)
		}
		s.wantPeriodic(t, 5, 30*time.Second) // The first report is news.
	})
}

// TestRestlessMetadata: a controller that always has news wakes the others ever less
// often, down to the lane's interval.
func TestRestlessMetadata(t *testing.T) {
	t.Parallel()
	restless := func(n int) v1.StatusReport {
		return condition("dns", v1.ConditionTrue, "R", "", fmt.Sprintf(`{"n":%d}`, n))
	}
	for name, row := range map[string]struct {
		kind       models.Kind
		stable     bool
		lane       time.Duration
		most, wait int // reactive wake-ups, and until when in seconds
		seconds    int
	}{
		"attention":              {models.KindCluster, false, 30 * time.Second, 5, 100, 1800},
		"attention, a node pool": {models.KindNodePool, false, 30 * time.Second, 5, 100, 900},
		"stable":                 {models.KindCluster, true, 5 * time.Minute, 8, 1200, 3600},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSimulation(t, newWorld(t).of(t, row.kind))
			if row.stable {
				s.settleDown(t, restless(0))
			}
			for s.second < row.seconds {
				s.report(t, s.id, restless(s.second+1))
				s.tick(t)
			}
			s.wantGaps(t, row.wait, row.lane) // A delay just below the jitter's 33 s is one of these.
			if _, reactive := s.since(0); reactive < 3 || reactive > row.most {
				t.Errorf("%d reactive wake-ups, want 3 to %d: %v", reactive, row.most, s.woken)
			}
		})
	}
}

// TestWhatResetsTheDelay: a change of the spec, and the first Available=True of a controller at a generation.
func TestWhatResetsTheDelay(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		tired := func() {
			w.exec(t, `UPDATE reconciliation_schedule SET reactive = false, reactive_wakes = 10, next_reconcile_at = now() + interval '1 h'`)
		}
		wait := func() time.Duration {
			return time.Duration(value[float64](t, w, `SELECT extract(epoch FROM next_reconcile_at - now())::float8 FROM reconciliation_schedule`) * float64(time.Second))
		}
		for i, row := range []struct {
			why string
			do  func()
			max time.Duration
		}{
			{"a report that moves waits 2 s * 2^10", func() { w.report(t, id, condition("dns", v1.ConditionFalse, "A", "", "")) }, time.Hour},
			{"the first Available", func() { w.report(t, id, condition("dns", v1.ConditionTrue, "A", "", "")) }, 2 * time.Second},
			{"not again", func() { w.report(t, id, condition("dns", v1.ConditionFalse, "B", "", "")) }, time.Hour},
			{"not the second Available", func() { w.report(t, id, condition("dns", v1.ConditionTrue, "C", "", "")) }, time.Hour},
			{"another controller's first", func() { w.report(t, id, condition("net", v1.ConditionTrue, "A", "", "")) }, 2 * time.Second},
			{"a new spec, by the attention interval", func() { w.put(t, id, `{"n":7}`) }, 30 * time.Second},
			{"the first Available at the new generation", func() { w.report(t, id, condition("dns", v1.ConditionTrue, "C", "", "")) }, 2 * time.Second},
		} {
			tired()
			row.do()
			got := wait()
			if got > row.max || row.max == time.Hour && got < 30*time.Minute {
				t.Errorf("%d, %s: waits %s", i, row.why, got)
			}
		}
		tired()
		w.put(t, id, `{"n":8}`)
		w.report(t, id, condition("net", v1.ConditionFalse, "D", "", ""))
		if got := wait(); got > 2*time.Second {
			t.Errorf("after a change of the spec a report waits %s", got)
		}
	})
}

// TestABurstOfReportsIsScheduledOnce: the place in the schedule is written by the first report that moves,
// and not again by those for which a wake-up is as near already.
func TestABurstOfReportsIsScheduledOnce(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		s := newSimulation(t, w)
		for i := range 5 { // A controller's first Available=True would reset the delay.
			s.report(t, s.id, condition("c"+strconv.Itoa(i), v1.ConditionFalse, "", "", ""))
		}
		s.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = now() + interval '5 min', reactive = false, reactive_wakes = 1`)
		const version = `SELECT xmin::text || ' ' || ctid FROM reconciliation_schedule WHERE cluster_id = $1`
		before := value[string](t, w, version, s.id)
		s.report(t, s.id, condition("c0", v1.ConditionFalse, "moved", "", ""))
		first := value[string](t, w, version, s.id)
		for i := range 5 {
			s.report(t, s.id, condition("c"+strconv.Itoa(i), v1.ConditionFalse, "moved", "on", ""))
		}
		if last := value[string](t, w, version, s.id); first == before || last != first {
			t.Errorf("before %s, after the first report %s, after all %s", before, first, last)
		}
	})
}

// TestReactiveDisabled: without a debounce no report wakes anybody.
func TestReactiveDisabled(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		s := newSimulation(t, w)
		for s.second < 100 {
			s.report(t, s.id, condition("dns", v1.ConditionTrue, strconv.Itoa(s.second), "", ""))
			s.tick(t)
		}
		s.wantPeriodic(t, 0, 30*time.Second)
	}, func(set *service.Settings) { set.Cadence.Debounce = 0 })
}

// TestPausedClusters sleep through what would wake them, but for somebody who asks.
func TestPausedClusters(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		s := newSimulation(t, w)
		pause := func(yes bool) {
			_, err := s.Update(t.Context(), alice, s.id, models.Edit{Common: models.Common{Paused: &yes}, Spec: spec(0)}, "")
			must(t, err)
		}
		pause(true)
		for s.second < 90 {
			s.report(t, s.id, condition("dns", v1.ConditionTrue, strconv.Itoa(s.second), "", ""))
			s.tick(t)
		}
		if len(s.woken) > 0 {
			t.Errorf("woken while paused: %v", s.woken)
		}
		_, err := s.Reconcile(t.Context(), alice, s.id)
		must(t, err)
		if s.tick(t); len(s.woken) != 1 || s.woken[0].reason != v1.ReasonManual {
			t.Errorf("asked while paused: %v", s.woken)
		}
		pause(false)
		if s.tick(t); len(s.woken) != 2 {
			t.Errorf("what was missed is not made up for: %v", s.woken)
		}
	})
}

// TestTrap13_ADeadlineThatNobodyReads: the pass finds the passing of time, too, once.
func TestTrap13_ADeadlineThatNobodyReads(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		id := w.create(t, "one").ID
		w.report(t, id, available("dns", v1.ConditionFalse))
		w.get(t, id)
		w.age(t, "31 min")
		for _, want := range []int{1, 0} {
			if n, err := w.Refresh(t.Context(), 100); n != want || err != nil {
				t.Errorf("refreshed %d, %v, want %d", n, err, want)
			}
		}
		if phase := value[string](t, w, `SELECT phase FROM clusters`); phase != string(v1.PhaseFailed) {
			t.Errorf("stored phase %s", phase)
		}
	})
}

// TestTrap13_AFailureThatNobodyReads kept its five minutes: the pass decides on what it
// has calculated itself, and the calculation pulls the next event.
func TestTrap13_AFailureThatNobodyReads(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w world) {
		s := newSimulation(t, w)
		s.settleDown(t, available("dns", v1.ConditionTrue))
		failed := available("dns", v1.ConditionFalse)
		failed.LastError = &v1.ReportError{ErrorType: v1.ErrorFatal}
		s.report(t, s.id, failed)
		if n, err := s.Refresh(t.Context(), 100); n != 1 || err != nil {
			t.Fatalf("refreshed %d, %v", n, err)
		}
		var stored v1.Status
		must(t, json.Unmarshal(value[[]byte](t, s.world, `SELECT status FROM clusters`), &stored))
		if stored.Phase != v1.PhaseFailed {
			t.Errorf("stored phase %s", stored.Phase)
		}
		for range 30 {
			s.tick(t)
		}
		if len(s.woken) != 1 || s.woken[0].reason != v1.ReasonAttention {
			t.Errorf("woken in the first 30 s of the failure: %v", s.woken)
		}
	}, func(set *service.Settings) { set.Cadence.Debounce = 0 })
}
