package reconciliation_test

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/reconciliation"
	"github.com/cls-backend/cls-backend/internal/service"
)

const (
	attentionEvery = 30 * time.Second
	stableEvery    = 5 * time.Minute
	// tick is the interval between two passes.
	tick = time.Second
	// patience is how long a test waits for what another process does.
	patience = 10 * time.Second
)

// alice owns the clusters of the tests, and robot reports on them.
var (
	alice = models.Actor{Email: "alice@example.com"}
	robot = models.Actor{Email: "controller@system.local", Controller: true}
)

func TestMain(m *testing.M) {
	if url := os.Getenv(stalledReplicaEnv); url != "" {
		if err := stall(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // It should have been killed.
	}
	dbtest.Main(m)
}

// fleet is a database with replicas on it, and a way past them.
type fleet struct {
	url      string
	raw      *pgxpool.Pool
	replicas []*replica
}

// replica is what one process of the service has: a pool, the use cases and a scheduler.
type replica struct {
	*service.Resources
	*reconciliation.Scheduler

	db *database.Resources
}

func newFleet(t testing.TB, replicas int) *fleet {
	t.Helper()
	f := &fleet{url: dbtest.New(t)}
	cfg, err := pgxpool.ParseConfig(f.url)
	must(t, err)
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	f.raw, err = pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(f.raw.Close)
	for range replicas {
		f.replicas = append(f.replicas, newReplica(t, f.url))
	}
	return f
}

func newReplica(t testing.TB, url string) *replica {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{URL: url, MaxOpenConns: 4})
	must(t, err)
	t.Cleanup(db.Close)
	clusters := service.NewResources(models.KindCluster, db, service.Settings{
		Secrets: models.NewSecrets(nil),
		// Without a debounce reports wake nobody, so that every event is a pass's own.
		Cadence:          models.Cadence{Attention: attentionEvery, Stable: stableEvery, AttentionAge: 2 * time.Hour},
		ProgressDeadline: 30 * time.Minute,
	}, nil, discard{})
	return &replica{clusters, reconciliation.NewScheduler(tick, discard{}, slog.New(slog.DiscardHandler), clusters), db.Resources(models.KindCluster)}
}

// discard is told things and forgets them.
type discard struct{}

func (discard) AggregationDone(time.Duration, int)           {}
func (discard) PassDone(time.Duration, int, []time.Duration) {}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := f.raw.Exec(t.Context(), sql, args...)
	must(t, err)
}

// value reads one value past the service.
func value[T any](t testing.TB, f *fleet, sql string, args ...any) T {
	t.Helper()
	rows, err := f.raw.Query(t.Context(), sql, args...)
	must(t, err)
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	must(t, err)
	return v
}

// addStable adds n clusters that have been Ready for long, each due at a moment of its
// own within the next stable interval. They are named after prefix and their number.
func (f *fleet) addStable(t testing.TB, prefix string, n int) {
	t.Helper()
	f.add(t, prefix, n, v1.PhaseReady, stableEvery)
}

// addFailed is addStable for clusters that have failed, and so need attention.
func (f *fleet) addFailed(t testing.TB, prefix string, n int) {
	t.Helper()
	f.add(t, prefix, n, v1.PhaseFailed, attentionEvery)
}

func (f *fleet) add(t testing.TB, prefix string, n int, phase v1.Phase, interval time.Duration) {
	t.Helper()
	f.exec(t, `
		INSERT INTO clusters (name, created_by, spec, created_at, generation_started_at, status_dirty, status)
		SELECT $1 || i, $3, '{}', now() - interval '1 day', now() - interval '1 day', false,
		       jsonb_build_object('phase', $4::text, 'observedGeneration', 1)
		FROM generate_series(1, $2::int) i`, prefix, n, alice.Email, phase)
	f.exec(t, `
		UPDATE reconciliation_schedule s SET next_reconcile_at = now() + $2::interval * random()
		FROM clusters c WHERE c.id = s.cluster_id AND starts_with(c.name, $1)`, prefix, interval)
}

// makeDue makes every place in the schedule due, the first names the most overdue.
func (f *fleet) makeDue(t testing.TB) {
	t.Helper()
	f.exec(t, `
		UPDATE reconciliation_schedule s SET next_reconcile_at = now() - make_interval(secs => 10000 - c.place)
		FROM (SELECT id, row_number() OVER (ORDER BY length(name), name) AS place FROM clusters) c WHERE c.id = s.cluster_id`)
}

// takeEvents does the relay's work: it returns the names of the clusters with an event,
// and leaves none.
func (f *fleet) takeEvents(t testing.TB) []string {
	t.Helper()
	rows, err := f.raw.Query(t.Context(), `
		WITH gone AS (DELETE FROM outbox RETURNING seq, resource_id)
		SELECT c.name FROM gone JOIN clusters c ON c.id = gone.resource_id ORDER BY gone.seq`)
	must(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return names
}

// pass runs one pass of a replica and returns how many clusters it woke.
func (r *replica) pass(t testing.TB) int {
	t.Helper()
	res, err := r.RunOnce(t.Context())
	must(t, err)
	return len(res.Lateness)
}
