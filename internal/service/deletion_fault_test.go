package service_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

// replica is the use cases of both kinds over connections of its own.
type replica struct {
	clusters, nodePools *service.Resources
	controllers         *service.Controllers
}

func newReplica(t *testing.T, url string, conns int32) replica {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{URL: url, MaxOpenConns: conns})
	must(t, err)
	t.Cleanup(db.Close)
	return replica{
		service.NewResources(models.KindCluster, db, settings(), nil, noObserver{}),
		service.NewResources(models.KindNodePool, db, settings(), nil, noObserver{}), service.NewControllers(db),
	}
}

// pass is a pass of the scheduler.
func (r replica) pass(ctx context.Context) error {
	if _, err := r.clusters.Refresh(ctx, 100); err != nil {
		return err
	}
	_, err := r.nodePools.Refresh(ctx, 100)
	return err
}

// TestADeletionThatIsCutOff ends the connection to the database at every round trip of whatever takes
// a deletion further, one after the other. Whoever was not answered asks again, as a client and a
// controller do; the rest is for the next passes, of another replica.
func TestADeletionThatIsCutOff(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]struct {
		// held says that a controller holds the cluster and the node pool.
		held bool
		// call is what is cut off. What it is about has been deleted before, if before is not nil.
		before, call func(ctx context.Context, r replica, cluster, pool, holder string) error
	}{
		"the DELETE of a cluster": {call: deleteCluster},
		"the DELETE of a node pool, the last": {
			held: true,
			call: func(ctx context.Context, r replica, _, pool, _ string) error {
				_, err := r.nodePools.Delete(ctx, alice, pool, models.DeleteRequest{Force: true})
				return err
			},
			before: func(ctx context.Context, r replica, cluster, _, holder string) error {
				if err := deleteCluster(ctx, r, cluster, "", ""); err != nil {
					return err
				}
				_, err := r.clusters.Report(ctx, robot, cluster, letsGo(holder))
				return err
			},
		},
		"the last report": {
			held: true, before: deleteCluster,
			call: func(ctx context.Context, r replica, cluster, pool, holder string) error {
				if _, err := r.clusters.Report(ctx, robot, cluster, letsGo(holder)); err != nil {
					return err
				}
				_, err := r.nodePools.Report(ctx, robot, pool, letsGo(holder))
				return err
			},
		},
		"a force": {
			held: true, before: deleteCluster,
			call: func(ctx context.Context, r replica, cluster, _, _ string) error {
				_, err := r.clusters.Delete(ctx, alice, cluster, models.DeleteRequest{Force: true, Reason: "cut off"})
				return err
			},
		},
		"a retirement": {
			held: true, before: deleteCluster,
			call: func(ctx context.Context, r replica, _, _, holder string) error {
				return r.controllers.Retire(ctx, robot, holder)
			},
		},
		"the passes after a retirement": {
			held: true,
			before: func(ctx context.Context, r replica, cluster, _, holder string) error {
				if err := deleteCluster(ctx, r, cluster, "", ""); err != nil {
					return err
				}
				return r.controllers.Retire(ctx, robot, holder)
			},
			call: func(ctx context.Context, r replica, _, _, _ string) error {
				_, _ = r.clusters.Refresh(ctx, 100) // Nobody repeats a pass: the next is another.
				_, _ = r.nodePools.Refresh(ctx, 100)
				return nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			m := startMeter(t, w.url)
			frail, other := newReplica(t, m.url, 1), newReplica(t, w.url, 4)
			for at := 1; ; at++ {
				cluster, pool, holder := held(t, other, at, step.held)
				if step.before != nil {
					must(t, step.before(t.Context(), other, cluster, pool, holder))
				}
				var err error
				cut := m.cut(at, func() { err = step.call(t.Context(), frail, cluster, pool, holder) })
				if err != nil {
					if code := models.CodeOf(err); code != v1.CodeUnavailable {
						t.Errorf("cut off at round trip %d: %v", at, err)
					}
					if err = step.call(t.Context(), other, cluster, pool, holder); err != nil && models.CodeOf(err) != v1.CodeNotFound {
						t.Errorf("again, after it was cut off at round trip %d: %v", at, err)
					}
				}
				checkEnded(t, w, other, cluster, pool, fmt.Sprintf("cut off at round trip %d", at))
				if !cut {
					t.Logf("%d round trips", at-1)
					return
				}
			}
		})
	}
}

func deleteCluster(ctx context.Context, r replica, cluster, _, _ string) error {
	_, err := r.clusters.Delete(ctx, alice, cluster, models.DeleteRequest{})
	return err
}

func letsGo(holder string) v1.StatusReport {
	return v1.StatusReport{ControllerName: holder, Conditions: []v1.ReportedCondition{{Type: v1.ConditionFinalized, Status: v1.ConditionTrue}}}
}

// held makes a cluster with a node pool, and a controller that holds both if it is asked for.
func held(t *testing.T, r replica, n int, isHeld bool) (cluster, pool, holder string) {
	t.Helper()
	holder = fmt.Sprintf("finalizer-%d", n)
	if isHeld {
		_, err := r.controllers.Register(t.Context(), robot, holder, v1.RegisterController{Platforms: []string{holder}, Finalizes: true})
		must(t, err)
	}
	spec := v1.Object(`{"platform":{"type":"` + holder + `"}}`)
	c, err := r.clusters.Create(t.Context(), alice, models.Draft{Name: "c-" + uuid.NewString()[:8], Spec: spec})
	must(t, err)
	p, err := r.nodePools.Create(t.Context(), alice, models.Draft{Name: "workers", ClusterID: c.ID, Spec: spec})
	must(t, err)
	return c.ID, p.ID, holder
}

// checkEnded checks that the next two passes end the deletion, and that it left one event of each.
func checkEnded(t *testing.T, w world, r replica, cluster, pool, why string) {
	t.Helper()
	for range 2 {
		must(t, r.pass(t.Context()))
	}
	if n := value[int](t, w, `SELECT (SELECT count(*) FROM clusters WHERE id = $1 AND deleted_at IS NULL)
		+ (SELECT count(*) FROM nodepools WHERE id = $2 AND deleted_at IS NULL)`, cluster, pool); n != 0 {
		t.Errorf("%s: %d of the cluster and its node pool are still there", why, n)
	}
	events := values[string](t, w, `SELECT type FROM outbox WHERE resource_id IN ($1, $2) AND reason = 'deletion_requested'
		AND metadata ->> 'force_delete' IS NULL ORDER BY seq`, cluster, pool)
	if fmt.Sprint(events) != "[nodepool.deleted cluster.deleted]" {
		t.Errorf("%s: events %v", why, events)
	}
}
