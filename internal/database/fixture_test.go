package database_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/models"
)

// debounce and pull are the settings of these tests where they do not matter.
const (
	debounce = 2 * time.Second
	pull     = 30 * time.Second
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// fixture is a database of its own: through the package, and past it.
type fixture struct {
	*database.Resources
	url string
	raw *pgxpool.Pool
}

func newFixture(t testing.TB) fixture {
	t.Helper()
	url := dbtest.New(t)
	db, err := database.Open(t.Context(), database.Options{URL: url})
	must(t, err)
	t.Cleanup(db.Close)
	raw, err := pgxpool.New(t.Context(), url)
	must(t, err)
	t.Cleanup(raw.Close)
	return fixture{db.Resources(models.KindCluster), url, raw}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exec runs a statement past the package.
func (f fixture) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := f.raw.Exec(t.Context(), sql, args...)
	must(t, err)
}

// value reads one value past the package.
func value[T any](t testing.TB, f fixture, sql string, args ...any) T {
	t.Helper()
	rows, err := f.raw.Query(t.Context(), sql, args...)
	must(t, err)
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	must(t, err)
	return v
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func event(eventType, reason string) models.NewEvent {
	return models.UserEvent(newID(), eventType, reason, models.Actor{Email: "alice@example.com"})
}

// create stores a cluster of the name and returns it.
func (f fixture) create(t testing.TB, name string) *models.Resource {
	t.Helper()
	c := &models.Resource{ID: newID(), Name: name, CreatedBy: "alice@example.com", Spec: v1.Object(`{"n":0}`)}
	snap, err := f.Insert(t.Context(), c, pull, event(v1.ClusterCreated, v1.ReasonCreated))
	must(t, err)
	return snap.Resource
}

// report is a report with one condition.
func report(name string, generation int64, available v1.ConditionStatus, reason, message string) v1.StatusReport {
	return v1.StatusReport{
		ControllerName: name, ObservedGeneration: generation,
		Conditions: []v1.ReportedCondition{{Type: v1.ConditionAvailable, Status: available, Reason: reason, Message: message}},
	}
}

// await polls until a query answers true: for what another process does, which sends no signal.
func await(t *testing.T, f fixture, sql string, args ...any) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(20 * time.Second)
	for !value[bool](t, f, sql, args...) {
		select {
		case <-limit:
			t.Fatalf("never true: %s", sql)
		case <-poll.C:
		}
	}
}
