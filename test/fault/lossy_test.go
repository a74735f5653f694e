//go:build faults

package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cls-backend/cls-backend/test/fault/checker"
)

// TestLossyFailOverIsSeen: a fail-over to a standby that nobody waits for, and that is behind, loses what was acknowledged,
// and the scenario fails of that.
func TestLossyFailOverIsSeen(t *testing.T) { //nolint:paralleltest // a world more at a time would be too many
	all := scenarios()
	s := all[slices.IndexFunc(all, func(s scenario) bool { return s.name == "postgres/fail-over" })]
	s.run = lossyFailOver
	r, err := newRig(t.Context(), options{short: true, seed: *seed, out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	res := r.play(t.Context(), s)
	if err := r.close(); err != nil {
		t.Error(err)
	}
	var log bytes.Buffer
	r.say(&log, res)
	t.Log(log.String())
	if res.Passed || !slices.ContainsFunc(res.Report.Results, func(i checker.Result) bool {
		return i.Invariant == checker.Acknowledged && i.Broken > 0
	}) {
		t.Error("nobody has seen what was lost")
	}
}

func lossyFailOver(ctx context.Context, w *world, _ dose) ([]figure, error) {
	const lost = 20 // operations, of which some are changes
	began := time.Now()
	l := w.startLoad(ctx, 8, 60)
	standby, err := w.startStandby(ctx, 1)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"} {
		if err := execute(ctx, standby.URL(), sql); err != nil {
			return nil, fmt.Errorf("cut off the standby: %w", err)
		}
	}
	err = until(ctx, "the standby to be cut off", patience, func() bool {
		return w.count(ctx, "SELECT count(*) FROM pg_stat_replication") == 0
	})
	if err != nil {
		return nil, err
	}
	before := l.done.Load()
	if err := until(ctx, "what is to be lost", patience, func() bool { return l.done.Load() > before+lost }); err != nil {
		return nil, err
	}
	if _, err := w.failOver(ctx, standby); err != nil {
		return nil, err
	}
	if _, err := w.allReady(ctx); err != nil {
		return nil, err
	}
	return w.over(ctx, l, "a lossy fail-over", began)
}
