package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestArrivals(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) []time.Duration {
		return arrivals(rand.New(rand.NewPCG(seed, 0)), 1000, 10*time.Second)
	}
	due := draw(1)
	if n := float64(len(due)); math.Abs(n-10_000) > 500 { // Five standard deviations.
		t.Errorf("%v arrivals in 10 s at 1,000 a second", n)
	}
	if !slices.IsSorted(due) || due[len(due)-1] >= 10*time.Second {
		t.Error("arrivals are out of order, or too late")
	}
	// Gaps of a Poisson process are as long as their standard deviation, those of a steady rate have none.
	var gaps, squares float64
	for i := 1; i < len(due); i++ {
		gap := (due[i] - due[i-1]).Seconds()
		gaps, squares = gaps+gap, squares+gap*gap
	}
	n := float64(len(due) - 1)
	if mean, deviation := gaps/n, math.Sqrt(squares/n-gaps/n*gaps/n); deviation < 0.9*mean || deviation > 1.1*mean {
		t.Errorf("gaps of %v with a deviation of %v", mean, deviation)
	}
	if diff := cmp.Diff(due, draw(1)); diff != "" {
		t.Error("a seed draws the same arrivals twice")
	}
	if slices.Equal(due, draw(2)) {
		t.Error("two seeds draw the same arrivals")
	}
}

// stalling answers at once, but for one moment in which it stands for all.
type stalling struct {
	from, lasts time.Duration
	began       time.Time
	standing    sync.Mutex
	over        atomic.Bool
}

func (s *stalling) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.standing.Lock()
	if time.Since(s.began) > s.from && s.over.CompareAndSwap(false, true) {
		<-time.After(s.lasts)
	}
	s.standing.Unlock()
	w.WriteHeader(http.StatusOK)
}

// TestTheOpenLoopCountsWaiting has a server stand for 200 ms once. Each connection has one request on its way then, which
// are too few to be the slowest hundredth: a closed loop does not see it. But a fifth of all requests is due meanwhile.
func TestTheOpenLoopCountsWaiting(t *testing.T) {
	t.Parallel()
	const stall, long = 200 * time.Millisecond, 100 * time.Millisecond
	stand := func() (addr string) {
		server := httptest.NewServer(&stalling{from: 300 * time.Millisecond, lasts: stall, began: time.Now()})
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	ask := newRequest(http.MethodGet, "/", admin, nil, http.StatusOK)
	closed, err := generate(t.Context(), stand(), 2, time.Second, one(func(*rand.Rand, int) request { return ask }))
	if err != nil {
		t.Fatal(err)
	}
	due := arrivals(rand.New(rand.NewPCG(1, 1)), 800, time.Second)
	open, err := generateOpen(t.Context(), stand(), 4, due, func(int) request { return ask })
	if err != nil {
		t.Fatal(err)
	}
	if got := percentile(closed, 1); got < stall {
		t.Errorf("the server did not stand: the slowest of the closed loop took %v", got)
	}
	if got := percentile(closed, 0.99); got > long {
		t.Errorf("99 %% of %d requests of the closed loop took up to %v", len(closed), got)
	}
	if got := percentile(open.samples, 0.99); got < long {
		t.Errorf("99 %% of the open loop's requests took up to %v: waiting did not count", got)
	}
	if got := percentile(open.samples, 0.5); got > long {
		t.Errorf("half of the open loop's requests took up to %v", got)
	}
	if len(open.samples) != len(due) {
		t.Errorf("%d of %d requests were answered", len(open.samples), len(due))
	}
}

func TestTheOpenLoopTellsRefusalsFromFailures(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusOK
		if count.Add(1)%2 == 0 {
			status = http.StatusServiceUnavailable
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	addr, due := strings.TrimPrefix(server.URL, "http://"), make([]time.Duration, 10)
	got, err := generateOpen(t.Context(), addr, 2, due, func(int) request { return newRequest(http.MethodGet, "/", admin, nil, http.StatusOK) })
	if err != nil || got.refused != 5 || len(got.samples) != 5 {
		t.Errorf("%d refused, %d answered: %v", got.refused, len(got.samples), err)
	}
	var wrong *answerError
	_, err = generateOpen(t.Context(), addr, 2, due, func(int) request { return newRequest(http.MethodGet, "/", admin, nil, http.StatusTeapot) })
	if !errors.As(err, &wrong) || wrong.status != http.StatusOK {
		t.Errorf("a wrong answer ended with %v", err)
	}
}

// An open loop that is interrupted does not wait for what is due in an hour.
func TestAnInterruptedOpenLoopEnds(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		asked <- struct{}{}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := generateOpen(ctx, strings.TrimPrefix(server.URL, "http://"), 2, []time.Duration{0, time.Hour, time.Hour}, func(int) request {
		return newRequest(http.MethodGet, "/", admin, nil, http.StatusOK)
	})
	if err == nil {
		t.Error("it said nothing")
	}
}

func TestTheAlarmIsInTime(t *testing.T) {
	t.Parallel()
	a, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		const d = 5 * time.Millisecond
		began := time.Now()
		if err := a.wait(d); err != nil || time.Since(began) < d || time.Since(began) > 10*time.Second {
			t.Errorf("%v for %v: %v", time.Since(began), d, err)
		}
	}
	if err := a.close(); err != nil {
		t.Error(err)
	}
	if err := a.wait(time.Hour); err == nil {
		t.Error("a closed alarm waits")
	}
}
