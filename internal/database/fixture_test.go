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

// fixture is a database of its own: through the package, on one kind of resource, and past it.
// What a test says of clusters past the package is said of the kind.
type fixture struct {
	*database.Resources
	kind models.Kind
	url  string
	raw  *pgxpool.Pool
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
	return fixture{db.Resources(models.KindCluster), models.KindCluster, url, raw}
}

// of returns the same database, on another kind of resource. A node pool that is stored past the
// package without a cluster gets one of its owner's.
func (f fixture) of(t testing.TB, kind models.Kind) fixture {
	t.Helper()
	f.kind, f.Resources = kind, f.DB.Resources(kind)
	if kind == models.KindNodePool {
		for _, sql := range []string{
			`CREATE FUNCTION home(owner text) RETURNS uuid LANGUAGE sql AS $$
				INSERT INTO clusters (name, created_by) SELECT 'home', owner
				WHERE NOT EXISTS (SELECT FROM clusters WHERE created_by = owner AND name = 'home');
				SELECT id FROM clusters WHERE created_by = owner AND name = 'home' $$`,
			`CREATE FUNCTION at_home() RETURNS trigger LANGUAGE plpgsql AS $$
				BEGIN NEW.cluster_id := home(NEW.created_by); RETURN NEW; END $$`,
			`CREATE TRIGGER at_home BEFORE INSERT ON nodepools FOR EACH ROW WHEN (NEW.cluster_id IS NULL) EXECUTE FUNCTION at_home()`,
		} {
			_, err := f.raw.Exec(t.Context(), sql)
			must(t, err)
		}
	}
	return f
}

// eachKind runs a test on each kind of resource.
func eachKind(t *testing.T, test func(t *testing.T, f fixture)) {
	t.Helper()
	for _, kind := range models.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t).of(t, kind))
		})
	}
}

// sql is a statement on clusters as one on the kind of the fixture.
func (f fixture) sql(onClusters string) string {
	if f.kind == models.KindNodePool {
		return database.OfNodePools(onClusters)
	}
	return onClusters
}

// home is a cluster of the owner's for a node pool; "" for a cluster.
func (f fixture) home(t testing.TB, owner string) (id string) {
	t.Helper()
	if f.kind == models.KindNodePool {
		must(t, f.raw.QueryRow(t.Context(), `SELECT home($1)::text`, owner).Scan(&id))
	}
	return id
}

// event is an event of the kind, of an action by a user.
func (f fixture) event(a models.Action, reason string) models.NewEvent {
	return event(f.kind.Event(a), reason)
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
	_, err := f.raw.Exec(t.Context(), f.sql(sql), args...)
	must(t, err)
}

// value reads one value past the package.
func value[T any](t testing.TB, f fixture, sql string, args ...any) T {
	t.Helper()
	rows, err := f.raw.Query(t.Context(), f.sql(sql), args...)
	must(t, err)
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	must(t, err)
	return v
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func event(eventType, reason string) models.NewEvent {
	return models.UserEvent(newID(), eventType, reason, models.Actor{Email: "alice@example.com"})
}

// create stores a resource of the name and returns it.
func (f fixture) create(t testing.TB, name string) *models.Resource {
	t.Helper()
	c := &models.Resource{ID: newID(), ClusterID: f.home(t, "alice@example.com"), Name: name, CreatedBy: "alice@example.com", Spec: v1.Object(`{"n":0}`)}
	snap, err := f.Insert(t.Context(), c, pull, f.event(models.Created, v1.ReasonCreated))
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
