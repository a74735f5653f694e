package reconciliation_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/reconciliation"
	"github.com/cls-backend/cls-backend/internal/service"
)

// pools returns the use cases of node pools on the replica's database.
func (r *replica) pools() *service.Resources {
	return service.NewResources(models.KindNodePool, r.db.DB, service.Settings{
		Secrets:          models.NewSecrets(nil),
		Cadence:          models.Cadence{Attention: attentionEvery, Stable: stableEvery, AttentionAge: 2 * time.Hour},
		ProgressDeadline: 30 * time.Minute,
	}, nil, discard{})
}

// TestOnePassServesEachKind: it brings the statuses of both up to date, and wakes both.
func TestOnePassServesEachKind(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	clusters, pools := f.replicas[0].Resources, f.replicas[0].pools()
	cluster, err := clusters.Create(t.Context(), alice, models.Draft{Name: "one", Spec: v1.Object(`{}`)})
	must(t, err)
	pool, err := pools.Create(t.Context(), alice, models.Draft{Name: "pool", ClusterID: cluster.ID, Spec: v1.Object(`{}`)})
	must(t, err)
	failed := v1.StatusReport{ControllerName: "dns", Conditions: []v1.ReportedCondition{{Type: v1.ConditionFailed, Status: v1.ConditionTrue}}}
	_, err = clusters.Report(t.Context(), robot, cluster.ID, failed)
	must(t, err)
	_, err = pools.Report(t.Context(), robot, pool.ID, failed)
	must(t, err)
	f.exec(t, `DELETE FROM outbox`)

	s := reconciliation.NewScheduler(tick, discard{}, slog.New(slog.DiscardHandler), clusters, pools)
	s.SetOffset(time.Hour)
	res, err := s.RunOnce(t.Context())
	if err != nil || res.Refreshed != 2 || len(res.Lateness) != 2 {
		t.Errorf("a pass refreshed %d and woke %d, %v; want a cluster and a node pool", res.Refreshed, len(res.Lateness), err)
	}
	woken := value[[]string](t, f, `SELECT array_agg(concat_ws(' ', type, cluster_id, resource_id) ORDER BY seq) FROM outbox WHERE wake`)
	want := []string{v1.ClusterReconcile + " " + cluster.ID + " " + cluster.ID, v1.NodePoolReconcile + " " + cluster.ID + " " + pool.ID}
	if diff := cmp.Diff(want, woken); diff != "" {
		t.Errorf("wake-ups (-want +got):\n%s", diff)
	}
	for _, table := range []string{"clusters", "nodepools"} {
		if p := value[v1.Phase](t, f, `SELECT phase FROM `+table); p != v1.PhaseFailed {
			t.Errorf("%s: phase %s after a pass", table, p)
		}
	}
}

// TestOneKindThatFailsKeepsNobodyOfTheOtherAsleep, whichever it is and whatever of it fails.
func TestOneKindThatFailsKeepsNobodyOfTheOtherAsleep(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, fails := range map[string]struct{ refresh, wake error }{
		"a status":  {broken, nil},
		"a wake-up": {nil, broken},
		"both":      {broken, broken},
	} {
		for _, first := range []bool{true, false} {
			bad, good := script{refreshErr: fails.refresh, wakeErr: fails.wake}, script{stale: 3, due: 4}
			services := []reconciliation.Service{&bad, &good}
			if !first {
				services = []reconciliation.Service{&good, &bad}
			}
			res, err := reconciliation.NewScheduler(tick, discard{}, slog.New(slog.DiscardHandler), services...).RunOnce(t.Context())
			if !errors.Is(err, broken) || res.Refreshed != 3 || len(res.Lateness) != 4 {
				t.Errorf("%s fails, first %t: refreshed %d and woke %d of the other, %v", name, first, res.Refreshed, len(res.Lateness), err)
			}
		}
	}
	// The same on a database in which the node pools' schedule is broken.
	f := newFleet(t, 1)
	f.addStable(t, "c", 3)
	f.makeDue(t)
	f.exec(t, `ALTER TABLE nodepool_schedule RENAME TO away`)
	clusters, pools := f.replicas[0].Resources, f.replicas[0].pools()
	res, err := reconciliation.NewScheduler(tick, discard{}, slog.New(slog.DiscardHandler), pools, clusters).RunOnce(t.Context())
	if models.CodeOf(err) != v1.CodeUnavailable || len(res.Lateness) != 3 {
		t.Errorf("woke %d clusters of 3, %v", len(res.Lateness), err)
	}
}
