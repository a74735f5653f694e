package reconciliation_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// TestAStalledReplicaHoldsUpOnlyItsShare has one replica stop in the middle of its pass
// and give up; see the mutants in the tests of the database.
func TestAStalledReplicaHoldsUpOnlyItsShare(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	f.addStable(t, "c", 100)
	f.makeDue(t)
	claimed, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := f.replicas[0].db.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			_, err := tx.ClaimDue(ctx, 0, share)
			close(claimed)
			<-release
			return err
		})
		if err != nil {
			t.Errorf("the stalled replica: %v", err)
		}
	})
	<-claimed
	woken := f.replicas[1].pass(t) + f.replicas[2].pass(t)
	close(release)
	wg.Wait()
	if woken != 100-share {
		t.Errorf("the others woke %d of the %d clusters that it does not hold", woken, 100-share)
	}
	if n := f.replicas[1].pass(t); n != share {
		t.Errorf("%d of its %d clusters were woken after it gave up", n, share)
	}
}

func TestAPausedClusterIsLeftAlone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	r := f.replicas[0]
	yes, no, spec := true, false, v1.Object(`{"a":1}`)
	born, err := r.Create(t.Context(), alice, models.Draft{Name: "born-paused", Paused: true, Spec: spec})
	must(t, err)
	later, err := r.Create(t.Context(), alice, models.Draft{Name: "paused-later", Spec: spec})
	must(t, err)
	set := func(id string, paused *bool) {
		_, err := r.Update(t.Context(), alice, id, models.Edit{Common: models.Common{Paused: paused}, Spec: spec}, "")
		must(t, err)
	}
	r.SetOffset(time.Hour)
	if n := r.pass(t); n != 1 {
		t.Errorf("%d clusters were woken, one of two is paused", n)
	}
	set(later.ID, &yes)
	r.SetOffset(2 * time.Hour)
	if n := r.pass(t); n != 0 {
		t.Errorf("%d clusters were woken, both are paused", n)
	}
	set(later.ID, &no)
	set(born.ID, &no)
	f.takeEvents(t)
	if n := r.pass(t); n != 2 {
		t.Errorf("%d clusters were woken, neither is paused any more", n)
	}
	if diff := cmp.Diff([]string{"born-paused", "paused-later"}, sorted(f.takeEvents(t))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

// TestTheDeadlineThatNobodyReadIsSeenByAPass is about a failure that only time brings.
func TestTheDeadlineThatNobodyReadIsSeenByAPass(t *testing.T) {
	t.Parallel()
	f, id := newQuiet(t)
	_, err := f.replicas[0].Report(t.Context(), robot, id, v1.StatusReport{
		ControllerName: "dns", Conditions: []v1.ReportedCondition{{Type: v1.ConditionAvailable, Status: v1.ConditionFalse}},
	})
	must(t, err)
	f.exec(t, `UPDATE controller_status SET available_changed_at = now() - interval '29 minutes 59 seconds',
		created_at = now() - interval '1 hour', stored_at = now() - interval '1 hour', counted_at = now() - interval '1 hour'`)
	f.replicas[0].pass(t)
	if p := phase(t, f); p != v1.PhaseProgressing {
		t.Fatalf("phase %s a second before the deadline", p)
	}
	f.exec(t, `UPDATE controller_status SET available_changed_at = now() - interval '31 minutes'`)
	f.exec(t, `UPDATE clusters SET recheck_at = now() - interval '1 minute', status_dirty = false`)
	f.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = now() + interval '5 minutes'`)
	f.replicas[0].pass(t)
	f.checkPulled(t)
}

// newQuiet returns a fleet with one stable cluster whose next wake-up is five minutes away, and its id.
func newQuiet(t *testing.T) (f *fleet, id string) {
	t.Helper()
	f = newFleet(t, 1)
	f.addStable(t, "quiet-", 1)
	f.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = now() + interval '5 minutes'`)
	return f, value[string](t, f, `SELECT id::text FROM clusters`)
}

func phase(t *testing.T, f *fleet) v1.Phase {
	t.Helper()
	return value[v1.Phase](t, f, `SELECT phase FROM clusters`)
}

// checkPulled wants the one cluster Failed, and its next wake-up within the attention lane's interval.
func (f *fleet) checkPulled(t *testing.T) {
	t.Helper()
	if p := phase(t, f); p != v1.PhaseFailed {
		t.Errorf("phase %s after a pass; nobody has read it", p)
	}
	next := value[time.Duration](t, f, `SELECT next_reconcile_at - now() FROM reconciliation_schedule`)
	if next > attentionEvery || next < 0 {
		t.Errorf("the next wake-up is %v away; a failed cluster is woken every %v", next, attentionEvery)
	}
}
