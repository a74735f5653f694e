package models

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// usual is the cadence of an installation that sets nothing.
var usual = Cadence{Attention: 30 * time.Second, Stable: 5 * time.Minute, AttentionAge: 2 * time.Hour, Debounce: 2 * time.Second}

// settled is a resource that needs no attention at minute 180.
var settled = Attention{GenerationStartedAt: start, Phase: v1.PhaseReady, Generation: 3, ObservedGeneration: 3}

func TestNeedsAttention(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why    string
		change func(*Attention)
		now    time.Time
		want   bool
	}{
		{"Ready, observed and old", func(*Attention) {}, minute(180), false},
		{"just created", func(*Attention) {}, start, true},
		{"a moment younger than two hours", func(*Attention) {}, minute(120).Add(-1), true},
		{"two hours old", func(*Attention) {}, minute(120), false},
		{"the spec has just changed", func(a *Attention) { a.GenerationStartedAt = minute(179) }, minute(180), true},
		{"failed", func(a *Attention) { a.Phase = v1.PhaseFailed }, minute(180), true},
		{"failed, in older writing", func(a *Attention) { a.Phase = "Error" }, minute(180), true},
		{"somebody has not observed the generation", func(a *Attention) { a.ObservedGeneration = 2 }, minute(180), true},
		{"nobody has", func(a *Attention) { a.ObservedGeneration, a.Phase = 0, v1.PhasePending }, minute(180), true},
		{"being deleted", func(a *Attention) { a.Deleting = true }, minute(180), true},
		{"Progressing alone is no reason", func(a *Attention) { a.Phase = v1.PhaseProgressing }, minute(180), false},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			a := settled
			row.change(&a)
			if got := NeedsAttention(a, row.now, usual.AttentionAge); got != row.want {
				t.Errorf("%v, want %v", got, row.want)
			}
			want := Lane{Reason: v1.ReasonStable, Interval: 5 * time.Minute}
			if row.want {
				want = Lane{Reason: v1.ReasonAttention, Interval: 30 * time.Second}
			}
			if diff := cmp.Diff(want, usual.Lane(a, row.now)); diff != "" {
				t.Errorf("lane, -want +got:\n%s", diff)
			}
		})
	}
}

// TestAttentionOnlyFades: time takes a resource out of the attention lane, never into it.
func TestAttentionOnlyFades(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := Attention{
			GenerationStartedAt: start,
			Phase:               rapid.SampledFrom(v1.Phases()).Draw(t, "phase"),
			Generation:          rapid.Int64Range(1, 3).Draw(t, "generation"),
			ObservedGeneration:  rapid.Int64Range(0, 3).Draw(t, "observed"),
			Deleting:            rapid.Bool().Draw(t, "deleting"),
		}
		now := start.Add(time.Duration(rapid.Int64Range(0, int64(4*time.Hour)).Draw(t, "now")))
		after := now.Add(time.Duration(rapid.Int64Range(0, int64(4*time.Hour)).Draw(t, "later")))
		if !NeedsAttention(a, now, usual.AttentionAge) && NeedsAttention(a, after, usual.AttentionAge) {
			t.Fatalf("%+v needs attention at %v and not at %v", a, after, now)
		}
	})
}

func TestJitterStaysWithinATenth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lane := Lane{Interval: time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "interval"))}
		u := rapid.Float64Range(0, 0.9999999).Draw(t, "u")
		part := float64(lane.Jittered(u)) / float64(lane.Interval)
		if part < 0.9-1e-9 || part > 1.1+1e-9 {
			t.Fatalf("Jittered(%v) is %v of the interval, want 0.9 to 1.1", u, part)
		}
		pulled := float64(Cadence{Attention: lane.Interval}.Pull(u)) / float64(lane.Interval)
		if pulled < 0.9-1e-9 || pulled > 1+1e-9 {
			t.Fatalf("Pull(%v) is %v of the interval, want 0.9 to 1", u, pulled)
		}
	})
}

// TestJitterReachesItsBounds fails when the jitter is lost, which staying within bounds does not.
func TestJitterReachesItsBounds(t *testing.T) {
	t.Parallel()
	lane := Lane{Interval: 100 * time.Second}
	cadence := Cadence{Attention: 100 * time.Second}
	got := []time.Duration{lane.Jittered(0), lane.Jittered(0.5), lane.Jittered(0.75), cadence.Pull(0), cadence.Pull(0.5), cadence.Pull(0.75)}
	want := []time.Duration{90 * time.Second, 100 * time.Second, 105 * time.Second, 100 * time.Second, 95 * time.Second, 92500 * time.Millisecond}
	for i := range got {
		if off := (got[i] - want[i]).Abs(); off > time.Microsecond {
			t.Errorf("%d: %v, want %v", i, got[i], want[i])
		}
	}
}

func TestIntervalName(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		30 * time.Second: "30s", 5 * time.Minute: "5m", 10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		time.Hour + 5*time.Second: "1h0m5s", 90 * time.Second: "1m30s", 100 * time.Hour: "100h", 1500 * time.Millisecond: "1.5s", 0: "0s",
	} {
		if got := IntervalName(d); got != want {
			t.Errorf("IntervalName(%v) = %q, want %q", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "d"))
		if rapid.Bool().Draw(t, "whole") {
			d = d.Truncate(time.Minute)
		}
		if back, err := time.ParseDuration(IntervalName(d)); err != nil || back != d {
			t.Fatalf("IntervalName(%v) = %q, which reads as %v, %v", d, IntervalName(d), back, err)
		}
	})
}
