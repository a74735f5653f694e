package service_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
)

var (
	bob   = models.Actor{Email: "bob@example.com"}
	admin = models.Actor{Email: "root@example.com", Admin: true}
)

// world is an installation: the use cases of one kind, its database, and a way past both.
// What tests say to it of clusters it says of its kind: their SQL is renamed, and a node pool
// that they create is in a cluster of its creator's.
type world struct {
	*service.Resources
	kind     models.Kind
	settings service.Settings
	db       *database.Resources
	url      string
	raw      *pgxpool.Pool
	// homes are the clusters of the node pools, by the addresses of their owners; nil for clusters.
	homes map[string]string
}

// newWorld returns an installation of clusters, with the settings changed as a test wants them.
func newWorld(t testing.TB, change ...func(*service.Settings)) world {
	t.Helper()
	url := dbtest.New(t)
	db, err := database.Open(t.Context(), database.Options{URL: url})
	must(t, err)
	t.Cleanup(db.Close)
	raw, err := pgxpool.New(t.Context(), url)
	must(t, err)
	t.Cleanup(raw.Close)
	s := settings()
	for _, c := range change {
		c(&s)
	}
	return world{
		Resources: service.NewResources(models.KindCluster, db, s, nil, noObserver{}),
		kind:      models.KindCluster, settings: s, db: db.Resources(models.KindCluster), url: url, raw: raw,
	}
}

// of returns the same installation with the use cases of another kind. The clusters that node
// pools are created in are made past the service, and leave no events.
func (w world) of(t testing.TB, kind models.Kind) world {
	t.Helper()
	w.Resources = service.NewResources(kind, w.db.DB, w.settings, nil, noObserver{})
	w.kind, w.db, w.homes = kind, w.db.Resources(kind), nil
	if kind == models.KindNodePool {
		w.homes = map[string]string{}
		for _, by := range []models.Actor{alice, bob, admin} {
			var id string
			must(t, w.raw.QueryRow(t.Context(), `INSERT INTO clusters (name, created_by) VALUES ('home', $1) RETURNING id::text`, by.Email).Scan(&id))
			w.homes[by.Email] = id
		}
	}
	return w
}

// eachKind runs a test in an installation of each kind.
func eachKind(t *testing.T, test func(t *testing.T, w world), change ...func(*service.Settings)) {
	t.Helper()
	for _, kind := range models.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, change...).of(t, kind))
		})
	}
}

// event is the type of the kind's events of an action.
func (w world) event(a models.Action) string { return w.kind.Event(a) }

// nameExists is the code of a name that is taken.
func (w world) nameExists() v1.Code { return models.CodeOf(w.kind.NameExists(nil)) }

// notAppliedDeleted is the reason of a report on a deleted resource.
func (w world) notAppliedDeleted() string {
	if w.kind == models.KindNodePool {
		return v1.NotAppliedNodePoolDeleted
	}
	return v1.NotAppliedDeleted
}

// home is the cluster that a node pool of an actor's is created in; "" for a cluster.
func (w world) home(by models.Actor) string {
	if home, ok := w.homes[by.Email]; ok {
		return home
	}
	return w.homes[alice.Email]
}

// Create declares a resource, a node pool in the actor's cluster unless the draft names one.
func (w world) Create(ctx context.Context, by models.Actor, in models.Draft) (*models.Resource, error) {
	if in.ClusterID == "" {
		in.ClusterID = w.home(by)
	}
	return w.Resources.Create(ctx, by, in)
}

// nodePoolNames are statements on clusters as those on node pools.
var nodePoolNames sync.Map

// sql names the tables of the kind in a statement on clusters, by the rule of the schema.
func (w world) sql(t testing.TB, onClusters string) string {
	t.Helper()
	if w.kind == models.KindCluster {
		return onClusters
	}
	if sql, known := nodePoolNames.Load(onClusters); known {
		return sql.(string)
	}
	var sql string
	must(t, w.raw.QueryRow(t.Context(), `SELECT nodepool_names($1)`, onClusters).Scan(&sql))
	nodePoolNames.Store(onClusters, sql)
	return sql
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exec runs a statement past the service.
func (w world) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := w.raw.Exec(t.Context(), w.sql(t, sql), args...)
	must(t, err)
}

// value reads one value past the service.
func value[T any](t testing.TB, w world, sql string, args ...any) T {
	t.Helper()
	return values[T](t, w, sql, args...)[0]
}

// values reads a column past the service.
func values[T any](t testing.TB, w world, sql string, args ...any) []T {
	t.Helper()
	rows, err := w.raw.Query(t.Context(), w.sql(t, sql), args...)
	must(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	must(t, err)
	return list
}

// create declares a resource of alice's.
func (w world) create(t testing.TB, name string) *models.Resource {
	t.Helper()
	c, err := w.Create(t.Context(), alice, models.Draft{Name: name, Spec: v1.Object(`{"n":0}`)})
	must(t, err)
	return c
}

// put replaces the spec of a resource of alice's.
func (w world) put(t testing.TB, id, spec string) *models.Resource {
	t.Helper()
	c, err := w.Update(t.Context(), alice, id, models.Edit{Spec: v1.Object(spec)}, "")
	must(t, err)
	return c
}

// get reads a resource as alice, and its status.
func (w world) get(t testing.TB, id string) (*models.Resource, v1.Status) {
	t.Helper()
	c, err := w.Get(t.Context(), alice, id)
	must(t, err)
	return c, statusOf(t, c)
}

// report sends a report that must be taken.
func (w world) report(t testing.TB, id string, r v1.StatusReport) v1.ReportResult {
	t.Helper()
	result, err := w.Report(t.Context(), robot, id, r)
	must(t, err)
	return result
}

// publish does a relay's work: it claims what waits, marks it, and returns it.
func (w world) publish(t testing.TB) []models.QueuedEvent {
	t.Helper()
	events, err := w.db.ClaimEvents(t.Context(), uuid.NewString(), 10*time.Second, 1000)
	must(t, err)
	if len(events) > 0 {
		_, err = w.db.MarkPublished(t.Context(), events)
		must(t, err)
	}
	return events
}

// footprint is the versions of all rows of a resource: it stays exactly while nothing is written.
func (w world) footprint(t testing.TB, id string) string {
	t.Helper()
	return value[string](t, w, `
		SELECT concat_ws(' ',
			(SELECT xmin || '/' || ctid FROM clusters WHERE id = $1),
			(SELECT string_agg(xmin || '/' || ctid, ',' ORDER BY controller_name) FROM controller_status WHERE cluster_id = $1),
			(SELECT xmin || '/' || ctid FROM reconciliation_schedule WHERE cluster_id = $1),
			(SELECT string_agg(xmin || '/' || ctid, ',' ORDER BY seq) FROM outbox WHERE resource_id = $1))`, id)
}

func statusOf(t testing.TB, c *models.Resource) v1.Status {
	t.Helper()
	var s v1.Status
	if err := json.Unmarshal(c.Status, &s); err != nil {
		t.Fatalf("status of %s: %v", c.ID, err)
	}
	return s
}

func wantCode(t testing.TB, err error, code v1.Code) {
	t.Helper()
	if models.CodeOf(err) != code || err == nil {
		t.Fatalf("got error %v, want %s", err, code)
	}
}

// condition is a report with one condition and one piece of metadata.
func condition(name string, status v1.ConditionStatus, reason, message, metadata string) v1.StatusReport {
	return v1.StatusReport{
		ControllerName: name, Metadata: v1.Object(metadata),
		Conditions: []v1.ReportedCondition{{Type: v1.ConditionAvailable, Status: status, Reason: reason, Message: message}},
	}
}

func spec(n int) v1.Object { return fmt.Appendf(nil, `{"n":%d}`, n) }

// ahead is a clock offset at which every cluster is due at each call.
func ahead(call int) time.Duration { return time.Duration(call+1) * time.Hour }
