package deletions_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/outbox"
	"github.com/cls-backend/cls-backend/internal/pubsub"
	"github.com/cls-backend/cls-backend/internal/reconciliation"
)

// passes is how many passes of the scheduler may be needed to end what is only to be ended: one to
// let the retired go and bury the node pools, and one more for their clusters. What one pass leaves
// over of 500 others is for the next.
const passes = 4

// settle has a fresh scheduler and a fresh relay do what the dead ones have left.
func (w *world) settle(t *testing.T) {
	t.Helper()
	b := newBuilder(t, w.url)
	scheduler := reconciliation.NewScheduler(time.Second, discard{}, quiet(), b.clusters, b.nodePools)
	const living = `SELECT (SELECT count(*) FROM clusters WHERE deleted_at IS NULL) + (SELECT count(*) FROM nodepools WHERE deleted_at IS NULL)`
	for pass := range passes + 1 {
		left, err := one[int](w, living)
		must(t, err)
		if left == 0 {
			t.Logf("ended by %d passes", pass)
			break
		}
		if pass == passes {
			t.Errorf("%d deletions are stuck after %d passes", left, pass)
		}
		t.Logf("%d left before pass %d", left, pass+1)
		_, err = scheduler.RunOnce(t.Context())
		must(t, err)
	}
	w.drain(t)
}

// drain relays until nothing waits. The leases of the dead have to end first.
func (w *world) drain(t *testing.T) {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{URL: w.url})
	must(t, err)
	t.Cleanup(db.Close)
	p, err := pubsub.Open(t.Context(), pubsub.Options{ProjectID: "cls-local", EmulatorHost: w.pubsub.addr, Topics: map[models.Kind]string{
		models.KindCluster: "cluster-events", models.KindNodePool: "nodepool-events",
	}})
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	relay := outbox.New(db, p, discard{}, quiet(), outbox.Options{})
	await(t, "the outbox to be empty", func() bool {
		_, err := relay.RunOnce(t.Context())
		must(t, err)
		b, err := db.Backlog(t.Context())
		must(t, err)
		return b.Unpublished == 0
	})
}

// ended is a resource as the database has it.
type ended struct {
	ID        string
	DeletedAt *time.Time
	Holders   []string
	ForcedBy  string
}

// verify judges by what the database and Pub/Sub have on record.
func (w *world) verify(t *testing.T) {
	t.Helper()
	rows, err := w.raw.Query(t.Context(), `
		SELECT id::text, deleted_at, holders, forced_by FROM clusters UNION ALL SELECT id::text, deleted_at, holders, forced_by FROM nodepools`)
	must(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ended])
	must(t, err)
	found := map[string]ended{}
	for _, e := range list {
		found[e.ID] = e
	}
	if len(found) != w.fleet.n() {
		t.Errorf("%d rows are there of %d", len(found), w.fleet.n())
	}
	for _, c := range w.fleet.clusters {
		for _, r := range c.all() {
			w.verifyEnd(t, r, found)
		}
	}
	if n := w.orphans(); n > 0 {
		t.Errorf("%d node pools live on in clusters that are gone", n)
	}
	w.verifyEvents(t)
}

// verifyEnd checks that a resource is gone, and was there until all had let go.
func (w *world) verifyEnd(t *testing.T, r *resource, found map[string]ended) {
	t.Helper()
	e := found[r.id]
	if e.DeletedAt == nil || len(e.Holders) > 0 {
		t.Errorf("%s of platform %s is stuck: %+v", r.path(), r.platform.name, e)
		return
	}
	for _, holder := range append(r.holders(), "") {
		may := r.asked
		if holder != "" {
			may = w.mayLetGo(r, holder)
		}
		// PostgreSQL's clock counts microseconds.
		if may.IsZero() || e.DeletedAt.Before(may.Truncate(time.Microsecond)) {
			t.Errorf("%s of platform %s was gone at %v, and %q could let go at %v", r.path(), r.platform.name, e.DeletedAt, holder, may)
		}
	}
	if c := r.cluster; c != nil && found[c.id].DeletedAt != nil && found[c.id].DeletedAt.Before(*e.DeletedAt) {
		t.Errorf("%s was gone at %v, after its cluster, at %v", r.path(), e.DeletedAt, found[c.id].DeletedAt)
	}
	if forced := r.platform.silent && !r.platform.retired; forced != (e.ForcedBy == alice.Email) {
		t.Errorf("%s of platform %s was forced by %q", r.path(), r.platform.name, e.ForcedBy)
	}
}

// mayLetGo is when a holder may first have let go of a resource: the answer, the force or the
// retirement was sent.
func (w *world) mayLetGo(r *resource, holder string) time.Time {
	times := []time.Time{r.letGo[holder], r.forcedAt, w.fleet.retired[holder]}
	times = slices.DeleteFunc(times, time.Time.IsZero)
	if len(times) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(times, time.Time.Compare)
}

// queued is an event as the outbox has it.
type queued struct {
	ID, Resource, Type, Reason string
	Published                  bool
}

// verifyEvents checks that everything was published that was committed, the deletion of each
// resource after its creation, and that nobody was woken to build anew.
func (w *world) verifyEvents(t *testing.T) {
	t.Helper()
	rows, err := w.raw.Query(t.Context(), `SELECT id::text, resource_id::text, type, reason, published_at IS NOT NULL FROM outbox ORDER BY seq`)
	must(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[queued])
	must(t, err)
	published := w.pubsub.all()
	first := map[string]int{} // the place of the first publication, by event
	for i, e := range published {
		if _, again := first[e.ID]; !again {
			first[e.ID] = i
		}
	}
	created, deleted, pending := map[string]int{}, map[string]int{}, 0
	for _, e := range list {
		place, ok := first[e.ID]
		if !ok || !e.Published {
			t.Errorf("event %+v: on record %v", e, ok)
		}
		switch e.Reason {
		case v1.ReasonCreated:
			created[e.Resource] = place
		case v1.ReasonDeletionRequested:
			if _, again := deleted[e.Resource]; !again { // A force is another.
				deleted[e.Resource] = place
			}
		case v1.ReasonDeletionPending:
			pending++
		default:
			if _, over := deleted[e.Resource]; over {
				t.Errorf("event %+v after the deletion", e)
			}
		}
	}
	w.verifyEachDeleted(t, created, deleted)
	t.Logf("%d events, %d of them repeat a deletion; %d duplicates", len(list), pending, len(published)-len(first))
}

func (w *world) verifyEachDeleted(t *testing.T, created, deleted map[string]int) {
	t.Helper()
	forced := sync.OnceValue(func() map[string]bool {
		ids := map[string]bool{}
		for _, e := range w.pubsub.all() {
			if e.Metadata.ForceDelete {
				ids[e.ClusterID+e.NodePoolID] = true
			}
		}
		return ids
	})
	for _, c := range w.fleet.clusters {
		for _, r := range c.all() {
			before, made := created[r.id]
			place, gone := deleted[r.id]
			if !made || !gone || place < before {
				t.Errorf("%s: created is publication %d, %v; deleted %d, %v", r.path(), before, made, place, gone)
			}
			key := r.id
			if r.cluster != nil {
				key = r.cluster.id + r.id
			}
			if r.platform.silent && !r.platform.retired && !forced()[key] {
				t.Errorf("%s: no event says that the deletion was forced", r.path())
			}
		}
	}
}
