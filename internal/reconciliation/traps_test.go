package reconciliation_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// TestTrap13_AFailureThatNobodyReads must not keep its five minutes: the scheduler
// decides on the cached phase, so a pass brings that up to date first.
func TestTrap13_AFailureThatNobodyReads(t *testing.T) {
	t.Parallel()
	f, id := newQuiet(t)
	_, err := f.replicas[0].Report(t.Context(), robot, id, v1.StatusReport{
		ControllerName: "dns", Conditions: []v1.ReportedCondition{{Type: v1.ConditionFailed, Status: v1.ConditionTrue}},
	})
	must(t, err)
	if n := f.replicas[0].pass(t); n != 0 {
		t.Errorf("%d events; the next is pulled forward, not sent", n)
	}
	f.checkPulled(t)
}

// TestTrap18_EveryReplicaSendsEveryEvent has three replicas meet on the same due times.
func TestTrap18_EveryReplicaSendsEveryEvent(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	f.addStable(t, "c", 100)
	for round := range 20 {
		f.makeDue(t)
		claimed := f.step(t, 0)
		events := sorted(f.takeEvents(t))
		if claimed != 100 || len(slices.Compact(events)) != 100 {
			t.Fatalf("round %d: %d due times of 100 clusters were claimed, for %d events", round, claimed, len(events))
		}
	}
}

// TestTrap18_TwelveHoursWithoutPubSub leave one wake-up a cluster, and a change goes before them.
func TestTrap18_TwelveHoursWithoutPubSub(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	f.addFailed(t, "c", 20)
	woken := 0
	for offset := time.Duration(0); offset <= 12*time.Hour; offset += attentionEvery * 2 {
		woken += f.step(t, offset)
	}
	if woken < 20*12*60 {
		t.Fatalf("%d wake-ups came due; want at least one a minute for each of 20 clusters", woken)
	}
	id := value[string](t, f, `SELECT id::text FROM clusters WHERE name = 'c7'`)
	_, err := f.replicas[0].Update(t.Context(), alice, id, models.Edit{Spec: v1.Object(`{"changed":true}`)}, "")
	must(t, err)
	if n := value[int](t, f, `SELECT count(*)::int FROM outbox WHERE published_at IS NULL`); n != 21 {
		t.Errorf("%d events wait; want one wake-up for each of 20 clusters, and the change", n)
	}
	first, err := f.replicas[0].db.ClaimEvents(t.Context(), id, time.Second, 1)
	must(t, err)
	if len(first) != 1 || first[0].Event.Type != v1.ClusterUpdated {
		t.Errorf("first comes %+v; want the change", first)
	}
}

// TestTrap19_NobodyStarves has more clusters due than a batch holds.
func TestTrap19_NobodyStarves(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	f.addStable(t, "c", 1200)
	f.makeDue(t)
	res, err := f.replicas[0].RunOnce(t.Context())
	must(t, err)
	if events := len(slices.Compact(sorted(f.takeEvents(t)))); len(res.Lateness) != 1200 || events != 1200 {
		t.Errorf("%d due times were served by events of %d clusters; want 1200", len(res.Lateness), events)
	}
	if batches := slices.Collect(slices.Chunk(res.Lateness, 500)); len(batches) == 3 {
		for i := range batches[1:] {
			if slices.Min(batches[i]) < slices.Max(batches[i+1]) {
				t.Errorf("batch %d holds a place that is more overdue than one of the batch before", i+2)
			}
		}
	}
}

// TestTrap19_TheTickIsNotTheInterval watches the fleet of that trap for ten minutes: no
// gap is longer than its interval by more than a pass.
func TestTrap19_TheTickIsNotTheInterval(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	f.addFailed(t, "c", 121)
	l := &lane{interval: attentionEvery, name: "30s", clusters: map[[16]byte]*history{}}
	began := time.Now()
	before := began
	for second := range 600 {
		now := time.Now()
		offset := time.Duration(second)*tick - now.Sub(began)
		f.step(t, offset)
		wakes := f.takeWakes(t, offset)
		pass := tick + time.Since(before)
		before = now
		for _, w := range wakes {
			l.add(t, w, pass)
		}
	}
	for id, h := range l.clusters {
		if h.count < 17 { // 600 s / 34 s
			t.Errorf("cluster %x was woken %d times in ten minutes", id, h.count)
		}
	}
	if len(l.clusters) != 121 {
		t.Errorf("%d of 121 clusters were woken", len(l.clusters))
	}
}

// TestTrap21_TimesKnowTheirZone finds columns in which a time depends on who reads it.
func TestTrap21_TimesKnowTheirZone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 0)
	naive := value[[]string](t, f, `
		SELECT coalesce(array_agg(table_name || '.' || column_name ORDER BY 1), '{}') FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'goose_db_version'
		  AND data_type IN ('timestamp without time zone', 'time without time zone', 'date')`)
	if diff := cmp.Diff([]string{}, naive); diff != "" {
		t.Errorf("columns without a zone (-want +got):\n%s", diff)
	}
}

// TestTrap21_TheDatabasesClockDecides puts the database's clock far from this process's:
// what is due, how late it is, and when it is due next follow the database. Its sessions
// are in a zone of their own, which changes nothing.
func TestTrap21_TheDatabasesClockDecides(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 0)
	f.exec(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Pacific/Kiritimati''', current_database()); END $$`)
	f.replicas = append(f.replicas, newReplica(t, f.url))
	f.addStable(t, "c", 1)
	for _, away := range []time.Duration{10 * time.Hour, 1000 * time.Hour} {
		const late = 10 * time.Second
		f.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = now() + $1::interval`, away)
		f.replicas[0].SetOffset(away - time.Minute)
		if n := f.replicas[0].pass(t); n != 0 {
			t.Fatalf("%d clusters were woken a minute before their time", n)
		}
		f.replicas[0].SetOffset(away + late)
		res, err := f.replicas[0].RunOnce(t.Context())
		must(t, err)
		if len(res.Lateness) != 1 || res.Lateness[0] < late || res.Lateness[0] > late+patience {
			t.Errorf("lateness %v, want %v and what the test took", res.Lateness, late)
		}
		next := value[time.Duration](t, f, `SELECT next_reconcile_at - updated_at FROM reconciliation_schedule`) - away - late
		if next < stableEvery*9/10 || next > stableEvery*11/10 {
			t.Errorf("the next wake-up is %v after the last; want about %v", next, stableEvery)
		}
	}
}
