package database_test

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// TestEveryPageCostsTheSame: among 100,000 clusters the last page by token reads what the first one
// does, in every order and under every filter. By offset it reads all that are before it.
func TestEveryPageCostsTheSame(t *testing.T) {
	t.Parallel()
	f, recorder := newRecorded(t)
	// No order is that of the table, and each owner and label is everywhere in all of them.
	f.exec(t, `ALTER TABLE clusters DISABLE TRIGGER clusters_born`) // Of its rows only labels matter here.
	f.exec(t, `
		INSERT INTO clusters (name, created_by, labels, spec, status, status_dirty, created_at, updated_at)
		SELECT 'c' || lpad(((i / 10 + i % 10 * 997) * 7919 % 10000)::text, 4, '0'), 'user' || i % 10 || '@example.com',
			jsonb_build_object('tier', (ARRAY['a', 'b', 'c'])[1 + i % 3]), '{"text":"x"}',
			'{"phase":"Ready"}', false, now() - make_interval(secs => i), now() - make_interval(secs => i * 7919 % 100000)
		FROM generate_series(0, 99999) AS i`)
	f.exec(t, `INSERT INTO cluster_labels (key, value, created_at, cluster_id) SELECT 'tier', labels ->> 'tier', created_at, id FROM clusters`)
	f.exec(t, `VACUUM ANALYZE clusters`)
	f.exec(t, `VACUUM ANALYZE cluster_labels`)

	const limit = 50
	tier := []models.Requirement{{Key: "tier", Op: models.OpIn, Values: []string{"b"}}}
	for _, filter := range []struct {
		what string
		q    models.ListQuery
	}{
		{"no filter", models.ListQuery{}},
		{"an owner", models.ListQuery{CreatedBy: "user3@example.com"}},
		{"a label", models.ListQuery{Labels: tier}},
		{"an owner and a label", models.ListQuery{CreatedBy: "user3@example.com", Labels: tier}},
	} {
		for _, order := range models.Orders() {
			q := filter.q
			q.OrderBy, q.Limit, q.ExactTotal = order, limit, true
			first, total, _ := f.costOf(t, recorder, q)

			q.OrderBy, q.Limit = opposite(order), limit+1
			list, err := f.List(t.Context(), q, 0)
			must(t, err)
			at := order.PositionOf(list.Page[limit].Resource)
			q.OrderBy, q.Limit, q.After = order, limit, &at
			last, _, rows := f.costOf(t, recorder, q)
			q.After, q.Offset = nil, int(total)-limit
			byOffset, _, _ := f.costOf(t, recorder, q)

			t.Logf("%-20s by %-11s the first page reads %5d buffers, the last one %5d, by offset %6d", filter.what, order, first, last, byOffset)
			if ratio := float64(last) / float64(first); rows != limit || math.Max(ratio, 1/ratio) > 1.5 {
				t.Errorf("%s by %s: the first page reads %d buffers, the last one, of %d, %d", filter.what, order, first, rows, last)
			}
			if float64(byOffset) < 1.5*float64(first) {
				t.Errorf("%s by %s: %d buffers by offset, %d for the first page: this test tells nothing", filter.what, order, byOffset, first)
			}
		}
	}
}

// TestPagesOfNodePoolsHaveTheirIndexes: their statements are those of clusters, and their indexes are
// made apart.
func TestPagesOfNodePoolsHaveTheirIndexes(t *testing.T) {
	t.Parallel()
	f, recorder := newRecorded(t)
	f.grow(t, 20)
	f.exec(t, `
		INSERT INTO nodepools (name, cluster_id, created_by, labels, status_dirty, created_at, updated_at)
		SELECT 'p' || i, c.id, c.created_by, '{"tier":"a"}', false, now() - make_interval(secs => i * 7919 % 1000), now() - make_interval(secs => i * 31 % 1000)
		FROM clusters c, generate_series(1, 1000) AS i`)
	f.exec(t, `VACUUM ANALYZE nodepools`)
	f.exec(t, `VACUUM ANALYZE nodepool_labels`)
	cluster := value[string](t, f, `SELECT id::text FROM clusters LIMIT 1`)
	f.Resources = f.DB.Resources(models.KindNodePool)
	tier := []models.Requirement{{Key: "tier", Op: models.OpIn, Values: []string{"a"}}}
	for _, row := range []struct {
		q       models.ListQuery
		buffers int // of 20,000 node pools, a page of 50
	}{
		{models.ListQuery{OrderBy: "-created_at"}, 120},
		{models.ListQuery{OrderBy: "name"}, 120},
		{models.ListQuery{OrderBy: "-updated_at"}, 120},
		{models.ListQuery{OrderBy: "created_at", Labels: tier}, 300},
		{models.ListQuery{OrderBy: "-created_at", ClusterID: cluster}, 120},
		{models.ListQuery{OrderBy: "name", ClusterID: cluster}, 120},
		{models.ListQuery{OrderBy: "updated_at", ClusterID: cluster}, 600},
	} {
		row.q.Limit = 50
		list, err := f.List(t.Context(), row.q, 0)
		must(t, err)
		at := row.q.OrderBy.PositionOf(list.Page[49].Resource)
		row.q.After = &at
		if buffers, _, n := f.costOf(t, recorder, row.q); buffers > row.buffers || n != 50 {
			t.Errorf("%+v: %d buffers for %d rows, at most %d", row.q, buffers, n, row.buffers)
		} else {
			t.Logf("by %s, cluster %q: %d buffers", row.q.OrderBy, row.q.ClusterID, buffers)
		}
	}
}

// opposite is the order that begins where another ends.
func opposite(o models.Order) models.Order {
	if o.Descending() {
		return models.Order(o.Field())
	}
	return "-" + o
}

// costOf returns how many buffers the statement for a page reads, how many matches there are, and how
// many of them are on the page.
func (f fixture) costOf(t *testing.T, recorder *database.Recorder, q models.ListQuery) (buffers int, total int64, rows int) {
	t.Helper()
	recorder.Take()
	list, err := f.List(t.Context(), q, 0)
	must(t, err)
	mode := "force_generic_plan"
	for _, s := range recorder.Take() {
		if strings.HasPrefix(s.SQL, "SELECT set_config") {
			mode = "force_custom_plan"
		}
		if strings.Contains(s.SQL, " ORDER BY ") {
			return f.explain(t, s, mode).buffers(), list.Total, len(list.Page)
		}
	}
	t.Fatal("no page was read")
	return 0, 0, 0
}

// TestAScanMeetsWhatStoodStill exactly once, whatever comes and goes before and behind it.
func TestAScanMeetsWhatStoodStill(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.grow(t, 2000)
		f.exec(t, `UPDATE clusters SET labels = labels || '{"still":"yes"}', updated_at = now() - make_interval(secs => (random() * 100)::int)`)
		stop := make(chan struct{})
		var writers sync.WaitGroup
		for range 2 {
			writers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					f.comeAndGo(t, n)
				}
			})
		}
		for _, order := range models.Orders() {
			met := map[string]int{}
			q := models.ListQuery{OrderBy: order, Limit: 100}
			others, more := 0, true
			for more {
				list, err := f.List(t.Context(), q, 0)
				must(t, err)
				for _, s := range list.Page {
					if s.Resource.Labels["still"] == "yes" {
						met[s.Resource.ID]++
					} else {
						others++
					}
				}
				if more = list.More; more {
					at := order.PositionOf(list.Page[len(list.Page)-1].Resource)
					q.After = &at
				}
			}
			repeated := 0
			for _, n := range met {
				if n > 1 {
					repeated++
				}
			}
			if len(met) != 2000 || repeated > 0 || others == 0 {
				t.Errorf("by %s: met %d of 2000, %d of them more than once; %d came and went", order, len(met), repeated, others)
			}
		}
		close(stop)
		writers.Wait()
	})
}

// comeAndGo inserts resources all over the orders, and deletes as many that did not stand still.
func (f fixture) comeAndGo(t *testing.T, n int) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO clusters (name, created_by, created_at, updated_at)
		SELECT 'c' || gen_random_uuid(), 'user' || i % 10 || '@example.com', now() - make_interval(secs => 2000 * random()), now() - make_interval(secs => (100 * random())::int)
		FROM generate_series(1, 20) AS i WHERE $1 >= 0`,
		`UPDATE clusters SET deleted_at = now() WHERE id IN (
			SELECT id FROM clusters WHERE deleted_at IS NULL AND NOT labels ? 'still' ORDER BY md5(id::text || $1::int) LIMIT 15 FOR UPDATE SKIP LOCKED)`,
		`DELETE FROM clusters WHERE id IN (
			SELECT id FROM clusters WHERE NOT labels ? 'still' ORDER BY md5($1::int || id::text) LIMIT 15 FOR UPDATE SKIP LOCKED)`,
	} {
		if _, err := f.raw.Exec(context.Background(), f.sql(sql), n); err != nil {
			t.Error(err)
		}
	}
}
