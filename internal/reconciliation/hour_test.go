package reconciliation_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// hour is how long the clusters of TestAnHourOfThreeSchedulers are watched.
const hour = time.Hour

// wake is an event of the hour, with the times of the database's clock and the offset.
type wake struct {
	cluster  [16]byte
	reason   string
	interval string
	// at is the time of the pass that sent it, and next when it says that the next is due.
	at, next time.Time
}

// history is what is known of the events of one cluster.
type history struct {
	last  wake
	count int
}

// TestAnHourOfThreeSchedulers steps the clock of three schedulers, which run at the same
// time on one database, through an hour a second at a time. An hour of 10,000 clusters
// takes about half a minute.
func TestAnHourOfThreeSchedulers(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute; it runs in full tests")
	}
	t.Parallel()
	const attention, stable = 1000, 9000
	f := newFleet(t, 3)
	f.addFailed(t, "attention-", attention)
	f.addStable(t, "stable-", stable)
	f.exec(t, `ANALYZE`)

	lanes := map[string]*lane{
		v1.ReasonAttention: {interval: attentionEvery, name: "30s", clusters: map[[16]byte]*history{}},
		v1.ReasonStable:    {interval: stableEvery, name: "5m", clusters: map[[16]byte]*history{}},
	}
	began := time.Now()
	before := began // the beginning of the step before
	for second := range int(hour / tick) {
		now := time.Now()
		offset := time.Duration(second)*tick - now.Sub(began) // the clock shows a whole second
		claimed := f.step(t, offset)
		wakes := f.takeWakes(t, offset)
		if claimed != len(wakes) {
			t.Fatalf("second %d: %d due times were claimed for %d events", second, claimed, len(wakes))
		}
		// Whatever came due after the beginning of the step before is served by the end of this one.
		pass := tick + time.Since(before)
		before = now
		for _, w := range wakes {
			lanes[w.reason].add(t, w, pass)
		}
	}
	lanes[v1.ReasonAttention].judge(t, attention)
	lanes[v1.ReasonStable].judge(t, stable)
}

// step runs a pass of each replica at once and returns how many due times they claimed.
func (f *fleet) step(t *testing.T, offset time.Duration) int {
	t.Helper()
	claimed := make([]int, len(f.replicas))
	var wg sync.WaitGroup
	for i, r := range f.replicas {
		r.SetOffset(offset)
		wg.Go(func() {
			res, err := r.RunOnce(t.Context())
			if err != nil {
				t.Errorf("pass: %v", err)
			}
			claimed[i] = len(res.Lateness)
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range claimed {
		sum += n
	}
	return sum
}

// takeWakes does the relay's work. The schedule was last written by the event's own pass.
func (f *fleet) takeWakes(t *testing.T, offset time.Duration) []wake {
	t.Helper()
	rows, err := f.raw.Query(t.Context(), `
		WITH gone AS (DELETE FROM outbox RETURNING resource_id, reason, metadata)
		SELECT g.resource_id, g.reason, g.metadata ->> 'interval', s.updated_at, s.next_reconcile_at
		FROM gone g JOIN reconciliation_schedule s ON s.cluster_id = g.resource_id`)
	must(t, err)
	wakes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w wake, err error) {
		err = row.Scan(&w.cluster, &w.reason, &w.interval, &w.at, &w.next)
		w.at = w.at.Add(offset)
		return w, err
	})
	must(t, err)
	return wakes
}

// lane is what was seen of the events of a lane.
type lane struct {
	interval time.Duration
	name     string
	clusters map[[16]byte]*history
	total    int
}

// micro is the database's resolution of a time.
const micro = time.Microsecond

// add holds an event against the one before of its cluster. pass is how long a due time
// may have waited.
func (l *lane) add(t *testing.T, w wake, pass time.Duration) {
	t.Helper()
	l.total++
	if w.interval != l.name {
		t.Errorf("an event of the lane %s names the interval %q", l.name, w.interval)
	}
	h := l.clusters[w.cluster]
	if h == nil {
		h = &history{}
		l.clusters[w.cluster] = h
	}
	if h.count++; h.count > 1 {
		low, high := l.interval*9/10-micro, l.interval*11/10+micro+pass
		if gap := w.at.Sub(h.last.at); gap < low || gap > high {
			t.Errorf("%s: a gap of %v; want %v to %v", l.name, gap, low, high)
		}
		if w.at.Before(h.last.next) {
			t.Errorf("%s: an event at %v, before its due time %v", l.name, w.at, h.last.next)
		}
	}
	h.last = w
}

func (l *lane) judge(t *testing.T, clusters int) {
	t.Helper()
	want := float64(clusters) * float64(hour) / float64(l.interval)
	off := (float64(l.total) - want) / want
	t.Logf("%s: %d events of %d clusters in an hour, %+.2f %% off", l.name, l.total, len(l.clusters), 100*off)
	if len(l.clusters) != clusters || math.Abs(off) > 0.02 {
		t.Errorf("%s: %d events of %d clusters; want %.0f of %d within 2 %%", l.name, l.total, len(l.clusters), want, clusters)
	}
}
