package database_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// addDue stores 100 resources that are due, the last of the table being the
// most overdue: its place is 100 seconds late, the first one's one second.
func (f fixture) addDue(t *testing.T) {
	t.Helper()
	f.exec(t, `
		INSERT INTO clusters (name, created_by, spec)
		SELECT 'c' || i, 'alice@example.com', '{}' FROM generate_series(1, 100) i`)
	f.exec(t, `
		UPDATE reconciliation_schedule s SET next_reconcile_at = now() - make_interval(secs => c.i)
		FROM (SELECT id, substr(name, 2)::int AS i FROM clusters) c WHERE c.id = s.cluster_id`)
}

// claimBeside claims up to 100 places while another transaction holds ten, as a replica
// does that stalled in the middle of its pass. It gives up on a lock after 200 ms.
func claimBeside(t *testing.T, f fixture, without string) (held, got []models.Due, err error) {
	t.Helper()
	must(t, f.InTx(t.Context(), func(ctx context.Context, stalled *database.Tx) error {
		var failed error
		if held, failed = stalled.ClaimDue(ctx, 0, 10); failed != nil {
			return failed
		}
		err = f.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
			if err := tx.Exec(ctx, `SET LOCAL lock_timeout = '200ms'`); err != nil {
				return err
			}
			var err error
			got, err = tx.ClaimDueLess(ctx, without, 0, 100)
			return err
		})
		return nil
	}))
	return held, got, err
}

func TestAStalledReplicaHoldsUpNobody(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.addDue(t)
		held, got, err := claimBeside(t, f, "")
		if err != nil || len(held) != 10 || len(got) != 90 {
			t.Fatalf("beside %d held places %d were claimed, %v; want 90 beside 10", len(held), len(got), err)
		}
		for _, d := range got {
			if slices.ContainsFunc(held, func(h models.Due) bool { return h.ID == d.ID }) {
				t.Errorf("cluster %s was claimed twice", d.ID)
			}
		}
	})
}

func TestWithoutSkipLockedAStalledReplicaHoldsUpEverybody(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.addDue(t)
		const lockNotAvailable = "55P03"
		_, got, err := claimBeside(t, f, "SKIP LOCKED")
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != lockNotAvailable {
			t.Errorf("claimed %d, %v; the mutant should have waited for the stalled replica's lock", len(got), err)
		}
	})
}

// claimTen claims ten of 100 due places and returns how late they are in whole seconds.
// Without an index scan, which a planner is free not to choose, rows come in the order
// of the table unless the statement asks for another.
func claimTen(t *testing.T, f fixture, without string) (late []int) {
	t.Helper()
	must(t, f.InTx(t.Context(), func(ctx context.Context, tx *database.Tx) error {
		for path, state := range map[string]string{
			"seqscan": "on", "indexscan": "off", "indexonlyscan": "off", "bitmapscan": "off", "hashjoin": "off", "mergejoin": "off",
		} {
			if err := tx.Exec(ctx, "SET LOCAL enable_"+path+" = "+state); err != nil {
				return err
			}
		}
		due, err := tx.ClaimDueLess(ctx, without, 0, 10)
		for _, d := range due {
			late = append(late, int(d.Now.Sub(d.DueAt)/time.Second))
		}
		return err
	}))
	return late
}

func inOrder(late []int) bool {
	return len(late) == 10 && late[9] >= 91 && slices.IsSortedFunc(late, func(a, b int) int { return b - a })
}

func TestTheMostOverdueAreServedFirst(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.addDue(t)
		if late := claimTen(t, f, ""); !inOrder(late) {
			t.Errorf("claimed places late by %v s; want the ten latest of 100, the latest first", late)
		}
	})
}

func TestWithoutTheOrderTheMostOverdueWait(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.addDue(t)
		if late := claimTen(t, f, "ORDER BY s.next_reconcile_at"); inOrder(late) {
			t.Errorf("claimed places late by %v s; the mutant should not have found the latest", late)
		}
	})
}
