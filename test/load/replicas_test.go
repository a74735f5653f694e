package main

import (
	"testing"
	"time"
)

// TestOfReplicas: the middle round counts, and wake-ups of all.
func TestOfReplicas(t *testing.T) {
	t.Parallel()
	at := func(requests int, memory float64, wakes int) together {
		return together{
			result:  result{samples: make([]sample, requests), elapsed: time.Second},
			watched: watched{wakes: make([]woken, wakes), from: census{places: map[string]place{"": {}}}}, memory: []float64{10, memory},
		}
	}
	s := ofReplicas([][]together{{at(30, 90, 0), at(10, 80, 2), at(20, 70, 0)}, {at(5, 10, 0)}})
	want := map[string]float64{
		"1 of the service: requests": 20, "1 of the service: memory of the largest after the load": 90,
		"1 of the service: wake-ups that wrote no event or two": 2, "2 of the service: wake-ups that wrote no event or two": 0,
		"requests a second with three, by those with one": 0.25,
	}
	for _, f := range s.Figures {
		if v, ok := want[f.What]; ok && v != f.Value {
			t.Errorf("%s: %v, want %v", f.What, f.Value, v)
		}
		delete(want, f.What)
	}
	if len(want) > 0 {
		t.Errorf("no figures %v", want)
	}
}
