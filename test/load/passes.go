package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cls-backend/cls-backend/test/proof"
)

// stableEvery is how often a cluster that is stable is woken by default.
const stableEvery = 5 * time.Minute

// passes are how long the scheduler's take in a large fleet: when nothing is due, and when the usual share of a second is.
func (l *lab) passes(ctx context.Context, r *rig, s *section) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	r.options.env = []string{"RECONCILIATION_ATTENTION_INTERVAL=1h", "METRICS_PORT=" + port}
	if err := errors.Join(r.service.stop(), r.startService(ctx)); err != nil {
		return err
	}
	metrics := "http://" + net.JoinHostPort("127.0.0.1", port) + "/metrics"
	for _, part := range []struct {
		what string
		sql  string
	}{
		{"nothing due", `UPDATE reconciliation_schedule SET next_reconcile_at = now() + interval '5 h'`},
		{"the share of a second due", `UPDATE reconciliation_schedule
			SET next_reconcile_at = now() + random() * interval '` + stableEvery.String() + `'`},
	} {
		fmt.Fprintln(l.out, "passes,", part.what)
		for _, sql := range []string{part.sql, `VACUUM (ANALYZE) reconciliation_schedule`} {
			if _, err := r.db.Exec(ctx, sql); err != nil {
				return fmt.Errorf("spread the wake-ups: %w", err)
			}
		}
		if err := wait(ctx, time.Second); err != nil { // What is on its way is over.
			return err
		}
		before, err := readPasses(ctx, metrics)
		if err != nil {
			return err
		}
		if err := wait(ctx, dosed(l, 1500*time.Millisecond, 20*time.Second)); err != nil {
			return err
		}
		after, err := readPasses(ctx, metrics)
		if err != nil {
			return err
		}
		n := after.count - before.count
		if n < 1 {
			return errors.New("there was no pass")
		}
		s.Figures = append(s.Figures,
			proof.Measured("a pass with "+part.what+", mean", (after.seconds-before.seconds)/n*1000, "ms"),
			proof.Measured("a pass with "+part.what+": clusters that were", (after.due-before.due)/n, ""))
	}
	return nil
}

// passTotals are what all passes so far have taken together.
type passTotals struct{ count, seconds, due float64 }

// readPasses reads the service's metrics.
func readPasses(ctx context.Context, url string) (t passTotals, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return t, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return t, fmt.Errorf("read the metrics: %w", err)
	}
	defer resp.Body.Close()
	wanted := map[string]*float64{
		"cls_scheduler_pass_duration_seconds_count": &t.count, "cls_scheduler_pass_duration_seconds_sum": &t.seconds,
		"cls_scheduler_batch_size_sum": &t.due,
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if wanted[name] == nil {
			continue
		}
		if *wanted[name], err = strconv.ParseFloat(value, 64); err != nil {
			return t, fmt.Errorf("read the metric %s: %w", name, err)
		}
		delete(wanted, name)
	}
	if err := lines.Err(); err != nil {
		return t, fmt.Errorf("read the metrics: %w", err)
	}
	if len(wanted) > 0 {
		return t, fmt.Errorf("%d metrics of the passes are missing", len(wanted))
	}
	return t, nil
}
