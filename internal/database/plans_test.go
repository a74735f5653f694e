package database_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// plan is a node of EXPLAIN (FORMAT JSON).
type plan struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Hit      int    `json:"Shared Hit Blocks"`
	Read     int    `json:"Shared Read Blocks"`
	Plans    []plan `json:"Plans"`
}

// walk calls visit for a node and all below it.
func (p plan) walk(visit func(plan)) {
	visit(p)
	for _, child := range p.Plans {
		child.walk(visit)
	}
}

// scanned returns the tables that are read from end to end, and the indexes used.
func (p plan) scanned() (tables, indexes []string) {
	p.walk(func(n plan) {
		if n.Type == "Seq Scan" && n.Relation != "" {
			tables = append(tables, n.Relation)
		}
		if n.Index != "" {
			indexes = append(indexes, n.Index)
		}
	})
	return tables, indexes
}

func (p plan) buffers() int { return p.Hit + p.Read }

// explain runs a recorded statement in a transaction that is rolled back, with the settings
// of the package's connections, and returns what it did. It is prepared, as the package does,
// so that it has its plan for any values, unless the mode says otherwise.
func (f fixture) explain(t *testing.T, s database.Statement, mode string) plan {
	t.Helper()
	tx, err := f.Pool().Begin(t.Context())
	must(t, err)
	defer func() {
		_, err := tx.Exec(context.Background(), "DEALLOCATE explained") // It outlives the transaction.
		must(t, errors.Join(err, tx.Rollback(context.Background())))
	}()
	for _, sql := range []string{"SET LOCAL plan_cache_mode = " + mode, "PREPARE explained AS " + s.SQL} {
		_, err = tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		must(t, err)
	}
	places := make([]string, len(s.Args))
	args := []any{pgx.QueryExecModeSimpleProtocol}
	for i, arg := range s.Args {
		places[i] = fmt.Sprintf("$%d", i+1)
		switch v := arg.(type) {
		case []byte:
			if json.Valid(v) { // It would be taken for a bytea.
				arg = string(v)
			}
		case v1.EventMetadata, map[string]string:
			text, err := json.Marshal(v)
			must(t, err)
			arg = string(text)
		case time.Duration:
			arg = fmt.Sprintf("%d us", v.Microseconds())
		}
		args = append(args, arg)
	}
	sql := "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained"
	if len(places) > 0 {
		sql += "(" + strings.Join(places, ", ") + ")"
	}
	rows, err := tx.Query(t.Context(), sql, args...)
	must(t, err)
	text, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatalf("explain %s: %v", s.SQL, err)
	}
	var plans []struct{ Plan plan }
	must(t, json.Unmarshal(text, &plans))
	return plans[0].Plan
}

// newRecorded returns a fixture whose statements are recorded.
func newRecorded(t *testing.T) (fixture, *database.Recorder) {
	t.Helper()
	return newFixture(t).recorded(t)
}

// recorded returns the same fixture with its statements recorded.
func (f fixture) recorded(t *testing.T) (fixture, *database.Recorder) {
	t.Helper()
	recorder := &database.Recorder{}
	db, err := database.OpenRecorded(t.Context(), database.Options{URL: f.url}, recorder)
	must(t, err)
	t.Cleanup(db.Close)
	f.Resources = db.Resources(f.kind)
	return f, recorder
}

// fleet is how many resources the plans are made for.
const fleet = 20_000

// TestPlans: at 20,000 resources no list, claim or purge reads a table from end to end,
// and each uses the index that was made for it.
func TestPlans(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f, recorder := f.recorded(t)
		f.grow(t, fleet)
		f.exec(t, `UPDATE clusters SET created_by = 'rare@example.com', spec = '{"platform":{"type":"moon"}}', name = 'rare-' || left(name, 20)
		WHERE labels ->> 'n' = '7'`)
		f.exec(t, `INSERT INTO controller_status (cluster_id, controller_name) SELECT id, 'dns' FROM clusters WHERE phase = 'Failed'`)
		f.exec(t, `UPDATE clusters SET deleted_at = CASE WHEN created_at < now() - interval '19000 s' THEN now() END,
		status_dirty = phase = 'Pending' AND created_at > now() - interval '5000 s',
		recheck_at = CASE phase WHEN 'Failed' THEN now() + interval '10 min' END`)
		f.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = now() + make_interval(secs => 1 + 300 * random())`)
		f.exec(t, `INSERT INTO outbox (id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by, metadata, published_at)
		SELECT gen_random_uuid(), 'cluster', id, id, 'cluster.created', 'created', false, 1, platform, created_by, '{}', now() - interval '1 h' FROM clusters`)
		f.exec(t, `VACUUM ANALYZE`)
		f.vacuum(t, "clusters")
		id := value[string](t, f, `SELECT id::text FROM clusters WHERE deleted_at IS NULL LIMIT 1`)
		ctx := t.Context()
		in := func(work func(context.Context, *database.Tx) error) func() error {
			return func() error { return f.InTx(ctx, work) }
		}
		list := func(q models.ListQuery) func() error {
			return func() error {
				q.Limit = 50
				_, err := f.List(ctx, q, 1000)
				return err
			}
		}
		purge := func(p func(context.Context, time.Duration, int) (int, error)) func() error {
			return func() error { _, err := p(ctx, 24*time.Hour, 100); return err }
		}
		const (
			all  = ""  // so many match that any index will do
			scan = "-" // no index knows what is not there: the table may be read until there are enough
		)
		type operation struct {
			what    string
			do      func() error
			index   string // any of these
			buffers int    // a table of clusters has some 1,700
		}
		operations := []operation{
			{"list", list(models.ListQuery{}), "clusters_newest clusters_by_change", 50},
			{"list of an owner of a tenth", list(models.ListQuery{CreatedBy: "user3@example.com"}), all, 100},
			{"list of an owner of few", list(models.ListQuery{CreatedBy: "rare@example.com"}), all, 100},
			{"list by phase", list(models.ListQuery{Phase: v1.PhaseFailed}), "clusters_phase", 400},
			{"list by the common phase", list(models.ListQuery{Phase: v1.PhaseReady}), all, 50},
			{"list by a phase that nobody is in", list(models.ListQuery{Phase: v1.PhaseDeleting}), "clusters_phase", 10},
			{"list by a common platform", list(models.ListQuery{Platform: "gcp"}), all, 50},
			{"list by a rare platform", list(models.ListQuery{Platform: "moon"}), "clusters_platform", 100},
			{"list by name", list(models.ListQuery{Name: "c1"}), "clusters_name clusters_by_name", 10},
			{"list by a rare label", list(models.ListQuery{Labels: []models.Requirement{{Key: "n", Op: models.OpIn, Values: []string{"8", "9"}}}}), "cluster_labels_pkey", 250},
			{"list by the commonest label", list(models.ListQuery{Labels: []models.Requirement{{Key: "env", Op: models.OpIn, Values: []string{"dev"}}}}), "cluster_labels_pkey", 300},
			{"list by a common label on a platform", list(models.ListQuery{Platform: "gcp", Labels: []models.Requirement{{Key: "env", Op: models.OpIn, Values: []string{"dev"}}}}), all, 15000},
			{"list of an owner by a label", list(models.ListQuery{CreatedBy: "rare@example.com", Labels: []models.Requirement{{Key: "env", Op: models.OpIn, Values: []string{"dev"}}}}), all, 100},
			{"list by a key that nobody has", list(models.ListQuery{Labels: []models.Requirement{{Key: "none", Op: models.OpExists}}}), "clusters_labels", 10},
			{"list by not a label", list(models.ListQuery{Labels: []models.Requirement{{Key: "env", Op: models.OpNotIn, Values: []string{"prod"}}}}), scan, 1100},
			{"list by name, of all", list(models.ListQuery{OrderBy: "name"}), all, 80},
			{"list by change", list(models.ListQuery{OrderBy: "-updated_at"}), all, 80},
			{"list by change of an owner of few", list(models.ListQuery{OrderBy: "updated_at", CreatedBy: "rare@example.com"}), all, 100},
			{"list by name of a rare label", list(models.ListQuery{OrderBy: "-name", Labels: []models.Requirement{{Key: "n", Op: models.OpIn, Values: []string{"8"}}}}), all, 200},
			{"list by change of a rare platform", list(models.ListQuery{OrderBy: "-updated_at", Platform: "moon"}), "clusters_platform clusters_by_change", 100},
			{"list of an owner by phase", list(models.ListQuery{CreatedBy: "user3@example.com", Phase: v1.PhaseFailed}), all, 500},
			{"stale statuses", func() error { _, err := f.StaleStatuses(ctx, 500); return err }, scan, 2500},
			{"get", func() error { _, err := f.Get(ctx, id, ""); return err }, "clusters_pkey", 10},
			{"report", func() error {
				_, err := f.StoreReport(ctx, id, report("dns", 0, v1.ConditionTrue, "R", ""), debounce, "")
				return err
			}, all, 50},
			{"reports", func() error { _, err := f.Reports(ctx, models.Ref{ID: id}); return err }, "controller_status_pkey", 10},
			{"explanation", func() error { _, _, err := f.Explain(ctx, id, ""); return err }, "clusters_pkey", 15},
			{"claim of events", func() error { _, err := f.ClaimEvents(ctx, newID(), time.Second, 100); return err }, "outbox_ready", 50},
			{"claim of due clusters", in(func(ctx context.Context, tx *database.Tx) error {
				_, err := tx.ClaimDue(ctx, time.Second, 100)
				return err
			}), "reconciliation_schedule_due", 1000},
			{"backlog", func() error { _, err := f.Backlog(ctx); return err }, "clusters_phase", 400},
			{"purge of tombstones", purge(f.PurgeTombstones), "clusters_deleted", 10},
			{"purge of published events", purge(f.PurgePublished), "outbox_published", 10},
		}
		byName := models.ListQuery{OrderBy: "name", CreatedBy: "user3@example.com"}
		if f.kind == models.KindCluster {
			operations = append(operations, operation{"list by name of an owner of a tenth", list(byName), "clusters_name_key clusters_owner", 150})
		} else { // Names are unique in their cluster: no index has those of an owner in order.
			operations = append(
				operations,
				operation{"list by name of an owner of a tenth", list(byName), all, 800},
				operation{"list by name of a cluster of many", list(models.ListQuery{OrderBy: "name", ClusterID: f.home(t, "user3@example.com")}), "nodepools_name_key", 150},
				operation{"list of a cluster of many", list(models.ListQuery{ClusterID: f.home(t, "user3@example.com")}), all, 100},
				operation{"list of a cluster of none", list(models.ListQuery{ClusterID: newID()}), all, 10},
				operation{"list of a cluster by phase", list(models.ListQuery{ClusterID: f.home(t, "user3@example.com"), Phase: v1.PhaseFailed}), all, 500},
				operation{"deletion of a cluster", in(func(ctx context.Context, tx *database.Tx) error {
					_, err := tx.LockWithin(ctx, f.home(t, "rare@example.com"))
					return err
				}), all, 1500},
			)
		}
		for _, row := range operations {
			recorder.Take()
			must(t, row.do())
			statements := slices.DeleteFunc(recorder.Take(), func(s database.Statement) bool { return s.SQL == "begin" || s.SQL == "commit" })
			if len(statements) == 0 {
				t.Fatalf("%s: nothing was recorded", row.what)
			}
			mode := "force_generic_plan"
			for i, s := range statements {
				if strings.HasPrefix(s.SQL, "SELECT set_config") {
					mode = "force_custom_plan"
					continue
				}
				row := row
				if strings.Contains(s.SQL, f.sql("FROM stale_statuses")) { // 400 are stale, in every list by phase
					row.index, row.buffers = scan, 2500
				}
				p := f.explain(t, s, mode)
				tables, indexes := p.scanned()
				t.Logf("%-34s statement %d: %4d buffers %v", row.what, i, p.buffers(), indexes)
				if len(tables) > 0 && row.index != scan {
					t.Errorf("%s, statement %d: reads all of %v", row.what, i, tables)
				}
				wanted := strings.Fields(row.index)
				if row.index != scan && len(wanted) > 0 && !slices.ContainsFunc(wanted, func(index string) bool { return slices.Contains(indexes, f.index(index)) }) {
					t.Errorf("%s, statement %d: uses %v, not %s", row.what, i, indexes, f.sql(row.index))
				}
				if p.buffers() > row.buffers {
					t.Errorf("%s, statement %d: %d buffers, at most %d", row.what, i, p.buffers(), row.buffers)
				}
			}
		}
	})
}

// index is the name of an index of clusters among those of the kind. What LIKE makes names itself.
func (f fixture) index(ofClusters string) string {
	if f.kind == models.KindNodePool && ofClusters == "reconciliation_schedule_due" {
		return "nodepool_schedule_next_reconcile_at_idx"
	}
	return f.sql(ofClusters)
}

// TestTrap18_ClaimsCostTheSameInABacklog: after an outage the outbox is long. A claim of 100
// events costs what it did before.
func TestTrap18_ClaimsCostTheSameInABacklog(t *testing.T) {
	t.Parallel()
	f, recorder := newRecorded(t)
	ctx := t.Context()
	cost := map[int]int{}
	waiting := 0
	for _, n := range []int{1000, 100_000} {
		// Ten changes of each resource, and a wake-up for every tenth event.
		f.exec(t, `
			WITH resources AS (SELECT gen_random_uuid() AS id, r FROM generate_series(1, $1::int / 10) AS r)
			INSERT INTO outbox (id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by, metadata)
			SELECT gen_random_uuid(), 'cluster', id, id, 'cluster.updated', 'spec_changed', i = 0, 1, '', 'a', '{}'
			FROM resources, generate_series(0, 9) AS i ORDER BY i, r`, n-waiting)
		waiting = n
		f.vacuum(t, "outbox")
		recorder.Take()
		events, err := f.ClaimEvents(ctx, newID(), 0, 100)
		must(t, err)
		if len(events) == 0 {
			t.Fatal("nothing to claim")
		}
		p := f.explain(t, recorder.Take()[0], "force_generic_plan")
		tables, _ := p.scanned()
		if len(tables) > 0 && n > 1000 { // A few pages are read from end to end, and should be.
			t.Errorf("with %d waiting: reads all of %v", n, tables)
		}
		cost[n] = p.buffers() / len(events)
		t.Logf("%d waiting: %d buffers for %d events", n, p.buffers(), len(events))
	}
	if cost[100_000] > 2*cost[1000] {
		t.Errorf("buffers an event: %v", cost)
	}
}

// TestTrap18_AClaimInAnOutageIsCheap: 20,000 changes of 2,000 resources wait, and the
// oldest of each has just failed. A relay that looks for work every moment must not read
// them all each time; and all come out again, in their order, once it is time.
func TestTrap18_AClaimInAnOutageIsCheap(t *testing.T) {
	t.Parallel()
	f, recorder := newRecorded(t)
	ctx := t.Context()
	f.exec(t, `
		WITH resources AS (SELECT gen_random_uuid() AS id FROM generate_series(1, 2000))
		INSERT INTO outbox (id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by, metadata)
		SELECT gen_random_uuid(), 'cluster', id, id, 'cluster.updated', 'spec_changed', false, i, '', 'a', '{}'
		FROM resources, generate_series(1, 10) AS i ORDER BY i`)
	f.vacuum(t, "outbox")
	var heads []models.QueuedEvent
	for range 4 { // batches of a relay
		claim := newID()
		events, err := f.ClaimEvents(ctx, claim, time.Minute, 500)
		must(t, err)
		failures := make([]models.FailedEvent, len(events))
		for i, e := range events {
			failures[i] = models.FailedEvent{Seq: e.Seq, RetryIn: time.Hour}
		}
		_, err = f.ReleaseEvents(ctx, claim, failures)
		must(t, err)
		heads = append(heads, events...)
	}
	f.vacuum(t, "outbox")

	recorder.Take()
	if events, err := f.ClaimEvents(ctx, newID(), 0, 100); err != nil || len(heads) != 2000 || len(events) != 0 {
		t.Fatalf("%d heads, then %d events, %v; want 2000, then none", len(heads), len(events), err)
	}
	if n := f.explain(t, recorder.Take()[0], "force_generic_plan").buffers(); n > 100 {
		t.Errorf("a claim of nothing reads %d buffers", n)
	}

	f.exec(t, `UPDATE outbox SET available_at = now() WHERE seq = $1`, heads[0].Seq)
	for generation := int64(1); generation <= 3; generation++ {
		events, err := f.ClaimEvents(ctx, newID(), 0, 100)
		if err != nil || len(events) != 1 || events[0].Event.Generation != generation || events[0].Event.ClusterID != heads[0].Event.ClusterID {
			t.Fatalf("claimed %v, %v; want generation %d of the one that is free", generations(events), err, generation)
		}
		f.mark(t, events)
	}
}

// TestTrap18_PlansMadeOnEmptyTables: a connection keeps its plans, and they may have been made
// when there was nothing. They must not walk the tables once these are full: a claim of ten
// events took 12 s with 10,000 waiting, which is more than a relay waits for.
func TestTrap18_PlansMadeOnEmptyTables(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		ctx := t.Context()
		fill := func() {
			f.grow(t, fleet/2)
			// Half is published, and four changes of each resource are put off with one that has failed.
			f.exec(t, `
			WITH resources AS (SELECT gen_random_uuid() AS id FROM generate_series(1, 2000))
			INSERT INTO outbox (id, kind, cluster_id, resource_id, type, reason, wake, generation, platform, created_by, metadata, published_at, available_at, claim)
			SELECT gen_random_uuid(), 'cluster', id, id, 'cluster.updated', 'spec_changed', false, i, '', 'a', '{}',
				CASE WHEN i <= 5 THEN now() END, now(), CASE WHEN i = 6 THEN $1::uuid END
			FROM resources, generate_series(1, 10) AS i ORDER BY i`, newID())
		}
		var ( // What the operations are about; one cluster and no event at first.
			clusters []string
			events   []models.QueuedEvent
			claim    = newID()
		)
		type operation struct {
			what string
			do   func(*database.Resources) error
		}
		operations := []operation{
			{"claim of events", func(db *database.Resources) error {
				_, err := db.ClaimEvents(ctx, newID(), 0, 10)
				return err
			}},
			{"mark", func(db *database.Resources) error {
				_, err := db.MarkPublished(ctx, events[:len(events)/2])
				return err
			}},
			{"release", func(db *database.Resources) error {
				var failures []models.FailedEvent
				for _, e := range events[len(events)/2:] {
					failures = append(failures, models.FailedEvent{Seq: e.Seq, Error: "no", RetryIn: time.Hour})
				}
				_, err := db.ReleaseEvents(ctx, claim, failures)
				return err
			}},
			{"wake-up", func(db *database.Resources) error {
				return db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
					due, err := tx.ClaimDue(ctx, 0, 10)
					if err != nil {
						return err
					}
					var wakes []models.Wake
					for _, d := range due {
						wakes = append(wakes, models.Wake{ID: d.ID, Next: d.DueAt.Add(time.Hour), Event: f.event(models.Reconcile, v1.ReasonStable)})
					}
					return tx.Wake(ctx, wakes)
				})
			}},
			{"statuses", func(db *database.Resources) error {
				var statuses []database.NewStatus
				for _, id := range clusters {
					statuses = append(statuses, database.NewStatus{ID: id, ResourceVersion: 1, Status: []byte("{}"), Attention: true, Pull: time.Minute})
				}
				_, err := db.StoreStatuses(ctx, statuses)
				return err
			}},
			{"stale statuses", func(db *database.Resources) error {
				_, err := db.StaleStatuses(ctx, 10)
				return err
			}},
			{"report", func(db *database.Resources) error {
				_, err := db.StoreReport(ctx, clusters[0], report("dns", 0, v1.ConditionTrue, "R", ""), debounce, "")
				return err
			}},
			{"get", func(db *database.Resources) error {
				_, err := db.Get(ctx, clusters[0], "")
				return err
			}},
			{"change", func(db *database.Resources) error {
				return db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
					c, err := tx.Lock(ctx, clusters[0], "")
					if err != nil {
						return err
					}
					_, err = tx.Update(ctx, c, models.Change{Spec: true}, pull, f.event(models.Updated, v1.ReasonSpecChanged))
					return err
				})
			}},
			{"creation", func(db *database.Resources) error {
				c := &models.Resource{ID: newID(), ClusterID: f.home(t, "alice@example.com"), Name: newID(), CreatedBy: "alice@example.com", Spec: v1.Object(`{}`)}
				_, err := db.Insert(ctx, c, pull, f.event(models.Created, v1.ReasonCreated))
				return err
			}},
			{"deletion", func(db *database.Resources) error {
				return db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
					_, err := tx.Delete(ctx, clusters[0], time.Minute, f.event(models.Deleted, v1.ReasonDeletionRequested))
					return err
				})
			}},
		}

		if f.kind == models.KindNodePool {
			operations = append(operations, operation{"deletion of a cluster", func(db *database.Resources) error {
				return db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
					_, err := tx.LockWithin(ctx, f.home(t, "alice@example.com"))
					return err
				})
			}})
		}

		// The indexes of what was full before are not small, and its statistics stay: what is empty has none to replace them.
		fill()
		f.exec(t, `ANALYZE`)
		f.exec(t, `TRUNCATE clusters CASCADE`)
		f.exec(t, `DELETE FROM outbox`)
		f.exec(t, `VACUUM ANALYZE`)
		pools := make([]*database.Resources, len(operations))
		for i, op := range operations {
			db, err := database.Open(ctx, database.Options{URL: f.url, MaxOpenConns: 1})
			must(t, err)
			t.Cleanup(db.Close)
			pools[i] = db.Resources(f.kind)
			if op.what == "claim of events" { // A relay asks before there is anything at all.
				must(t, op.do(pools[i]))
			}
		}
		clusters = []string{f.create(t, "first").ID}
		for i, op := range operations {
			must(t, op.do(pools[i]))
		}
		fill()
		f.exec(t, `UPDATE reconciliation_schedule SET next_reconcile_at = now() - interval '1 s' WHERE cluster_id IN (SELECT id FROM clusters LIMIT 100)`)
		f.exec(t, `UPDATE clusters SET status_dirty = true WHERE id IN (SELECT id FROM clusters LIMIT 10)`)
		clusters = value[[]string](t, f, `SELECT array_agg(id::text) FROM (SELECT id FROM clusters LIMIT 10) c`)
		claim = value[string](t, f, `SELECT claim::text FROM outbox WHERE generation = 6 LIMIT 1`)
		rows, err := f.raw.Query(ctx, `SELECT seq, id::text FROM outbox WHERE generation = 6 ORDER BY seq OFFSET 100 LIMIT 20`)
		must(t, err)
		events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e models.QueuedEvent, err error) {
			return e, row.Scan(&e.Seq, &e.Event.ID)
		})
		must(t, err)

		const read = `SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint`
		const flush = `SELECT pg_stat_force_next_flush()`
		f.exec(t, flush)
		for i, op := range operations {
			before := value[int64](t, f, read)
			must(t, op.do(pools[i]))
			_, err := pools[i].Pool().Exec(ctx, flush)
			must(t, err)
			n := value[int64](t, f, read) - before
			t.Logf("%-15s %6d rows and entries read", op.what, n)
			if n < 1 || n > 500 {
				t.Errorf("%s: %d rows and entries read, for ten at most", op.what, n)
			}
		}
	})
}

// vacuum leaves a table as autovacuum would in time: all visible, with statistics. A row
// whose commit is not on disk yet, and the test server does not wait for that, is not
// visible to all for a moment.
func (f fixture) vacuum(t *testing.T, table string) {
	t.Helper()
	const tries = 500
	for range tries {
		f.exec(t, `VACUUM ANALYZE `+table)
		if value[bool](t, f, `SELECT relallvisible >= 0.99 * relpages FROM pg_class WHERE relname = $1`, f.sql(table)) {
			return
		}
	}
	t.Fatalf("%s does not become all visible", table)
}

// TestARarePlatformIsFoundByItsIndex asks often enough for PostgreSQL to settle on one
// plan for all platforms, which would walk all clusters from the newest.
func TestARarePlatformIsFoundByItsIndex(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.grow(t, fleet)
		f.vacuum(t, "clusters")
		for _, platform := range []string{"gcp", "aws", "gcp", "aws", "gcp", "aws", "gcp", "moon", "moon"} {
			_, err := f.List(t.Context(), models.ListQuery{Platform: platform, Limit: 50}, 0)
			must(t, err)
		}
		f.Close() // Its connections hand in their statistics as they end.
		const read = `SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::bigint FROM pg_stat_user_tables WHERE relname = 'clusters'`
		if n := value[int64](t, f, read); n > 2*fleet { // Filling the table reads it once.
			t.Errorf("nine lists of 50, two of them of a platform that nobody is on, read %d rows", n)
		}
	})
}
