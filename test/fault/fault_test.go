//go:build faults

package main

import (
	"bytes"
	"flag"
	"regexp"
	"runtime"
	"sync"
	"testing"
	"time"
)

// seed is what the short doses are drawn from; 0 draws another each time.
var seed = flag.Uint64("seed", 0, "what is drawn at random in short doses follows from it")

// atOnce is how many worlds there are at a time: most of the time each waits for something, such as the end of a lease.
const atOnce = 4

// playShort plays the short doses of some scenarios.
func playShort(t *testing.T, which func(scenario) bool) {
	t.Helper()
	r, err := newRig(t.Context(), options{only: regexp.MustCompile(""), short: true, seed: *seed, out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
		t.Logf("all short doses took %v on %d cores", time.Since(began).Round(time.Second), runtime.NumCPU())
	})
	results := map[string]chan result{}
	turns := make(chan struct{}, atOnce)
	var (
		others sync.WaitGroup
		solo   []func() // one after the other, when all others are through
	)
	for _, s := range scenarios() {
		if !which(s) {
			continue
		}
		if err := s.leftOut(t.Context()); err != nil {
			t.Logf("left out %s: %v", s.name, err)
			continue
		}
		done := make(chan result, 1)
		results[s.name] = done
		if s.alone {
			solo = append(solo, func() { done <- r.play(t.Context(), s) })
			continue
		}
		others.Go(func() { // Not t.Parallel, which has only as many at a time as there are cores.
			turns <- struct{}{}
			defer func() { <-turns }()
			done <- r.play(t.Context(), s)
		})
	}
	go func() {
		others.Wait()
		for _, play := range solo {
			play()
		}
	}()
	for name, done := range results {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			res := <-done
			r.say(&log, res)
			if t.Log(log.String()); !res.Passed {
				t.Fail()
			}
		})
	}
}
