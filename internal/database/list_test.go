package database_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// listed is a cluster as the oracle of lists knows it.
type listed struct {
	id, name, owner, platform string
	phase                     v1.Phase
	labels                    map[string]string
	createdAt, updatedAt      time.Time
	deleted                   bool
}

var (
	listOwners    = []string{"alice@example.com", "bob@example.com", "o'hara@example.com"}
	listPlatforms = []string{"", "gcp", "aws"}
	listKeys      = []string{"env", "team", "example.com/tier"}
	listValues    = []string{"", "prod", "dev", "a.b_c-D"}
)

// plant stores n random clusters past the package, many of them created at the same
// moment, some deleted, and returns them. Their ids are not in the order of insertion.
func plant(t *testing.T, f fixture, n int) []listed {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	all := make([]listed, n)
	for i := range all {
		c := listed{
			id: uuid.NewString(), name: fmt.Sprintf("n%d", i%40), owner: pick(listOwners), platform: pick(listPlatforms),
			phase: v1.Phases()[rng.IntN(4)], labels: map[string]string{},
			createdAt: start.Add(time.Duration(rng.IntN(20)) * time.Second), deleted: rng.IntN(10) == 0,
			updatedAt: start.Add(time.Duration(rng.IntN(50)) * time.Microsecond),
		}
		for _, key := range listKeys {
			if rng.IntN(2) == 0 {
				c.labels[key] = pick(listValues)
			}
		}
		if i < 40*len(listOwners) {
			c.owner = listOwners[i/40] // A name is unique for its owner.
		} else {
			c.name = fmt.Sprintf("m%d", i)
		}
		all[i] = c
		labels, err := json.Marshal(c.labels)
		must(t, err)
		f.exec(t, `INSERT INTO clusters (id, name, created_by, labels, spec, status, status_dirty, created_at, deleted_at, updated_at)
			VALUES ($1, $2, $3, $4, jsonb_build_object('platform', jsonb_build_object('type', upper($5::text))), jsonb_build_object('phase', $6::text), false,
			$7, CASE WHEN $8 THEN now() END, $9)`, c.id, c.name, c.owner, labels, c.platform, string(c.phase), c.createdAt, c.deleted, c.updatedAt)
	}
	return all
}

// naiveList is what a query means.
func naiveList(all []listed, q models.ListQuery) (page []string, total int64) {
	var matching []listed
	for _, c := range all {
		if !c.deleted && (q.CreatedBy == "" || c.owner == q.CreatedBy) && (q.Platform == "" || c.platform == q.Platform) &&
			(q.Name == "" || c.name == q.Name) && (q.Phase == "" || c.phase == q.Phase) &&
			!slices.ContainsFunc(q.Labels, func(r models.Requirement) bool { return !r.Matches(c.labels) }) {
			matching = append(matching, c)
		}
	}
	slices.SortFunc(matching, func(a, b listed) int {
		if q.OrderBy == "" || q.OrderBy.Descending() {
			a, b = b, a
		}
		by := a.createdAt.Compare(b.createdAt)
		switch q.OrderBy.Field() {
		case "name":
			by = strings.Compare(a.name, b.name)
		case "updated_at":
			by = a.updatedAt.Compare(b.updatedAt)
		}
		return cmp.Or(by, strings.Compare(a.id, b.id))
	})
	for i, c := range matching {
		if i >= q.Offset && i < q.Offset+q.Limit {
			page = append(page, c.id)
		}
	}
	return page, int64(len(matching))
}

// TestListsMatchTheOracle: each filter alone and all in combination, the order and its
// ties, pages past the end.
func TestListsMatchTheOracle(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		all := plant(t, f, 300)
		// An index gives an order that nobody asked for: ask without any, too.
		scanning, err := database.Open(t.Context(), database.Options{URL: f.url + optionsOf(f.url) + "enable_indexscan=off&enable_bitmapscan=off"})
		must(t, err)
		t.Cleanup(scanning.Close)
		maybe := func(rt *rapid.T, name string, values []string) string {
			if !rapid.Bool().Draw(rt, "by "+name) {
				return ""
			}
			return rapid.SampledFrom(values).Draw(rt, name)
		}
		rapid.Check(t, func(rt *rapid.T) {
			q := models.ListQuery{
				OrderBy: rapid.SampledFrom(append(models.Orders(), "")).Draw(rt, "order"), CreatedBy: maybe(rt, "owner", append(listOwners, "' OR 1=1 --")), Platform: maybe(rt, "platform", listPlatforms),
				Name: maybe(rt, "name", []string{"n1", "n39", "m200", `n1"`, "$1"}), Phase: v1.Phase(maybe(rt, "phase", []string{"Ready", "Failed", "Deleting"})),
				ExactTotal: rapid.Bool().Draw(rt, "exact"),
			}
			for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(rt, "terms") {
				q.Labels = append(q.Labels, models.Requirement{
					Key:    rapid.SampledFrom(append(listKeys, "no'such\"key", "?")).Draw(rt, "key"),
					Op:     rapid.SampledFrom([]models.Operator{models.OpIn, models.OpNotIn, models.OpExists, models.OpDoesNotExist}).Draw(rt, "op"),
					Values: rapid.SliceOfN(rapid.SampledFrom(append(listValues, `"}' ?`)), 1, 3).Draw(rt, "values"),
				})
			}
			if rapid.Bool().Draw(rt, "led by a label") { // which other filters leave little of
				q = models.ListQuery{OrderBy: q.OrderBy, Labels: []models.Requirement{{
					Key: rapid.SampledFrom(listKeys).Draw(rt, "key"), Op: models.OpIn,
					Values: rapid.SliceOfN(rapid.SampledFrom(listValues), 1, 3).Draw(rt, "values"),
				}}}
			}
			db := rapid.SampledFrom([]*database.Resources{f.Resources, scanning.Resources(f.kind)}).Draw(rt, "database")
			byOffset := q
			byOffset.Limit = rapid.IntRange(1, 100).Draw(rt, "limit")
			byOffset.Offset = rapid.SampledFrom([]int{0, 0, 1, 7, 100, 1000}).Draw(rt, "offset")
			list, page := pageOf(rt, db, byOffset)
			wantPage, wantTotal := naiveList(all, byOffset)
			if list.Total != wantTotal || !slices.Equal(page, wantPage) || list.More != (int64(byOffset.Offset+len(page)) < wantTotal) {
				rt.Fatalf("%+v: total %d, want %d; more: %v; page\n%v, want\n%v", byOffset, list.Total, wantTotal, list.More, page, wantPage)
			}

			// The pages one after the other, of any size each, are the whole list.
			q.Limit = len(all)
			want, _ := naiveList(all, q)
			if got := walk(rt, db, q, wantTotal, rapid.IntRange(1, 100)); !slices.Equal(got, want) {
				rt.Fatalf("%+v: walked\n%v, want\n%v", q, got, want)
			}
		})
	})
}

func pageOf(t *rapid.T, db *database.Resources, q models.ListQuery) (*database.List, []string) {
	list, err := db.List(t.Context(), q, 0)
	if err != nil {
		t.Fatal(err)
	}
	var page []string
	for _, s := range list.Page {
		page = append(page, s.Resource.ID)
	}
	return list, page
}

// walk reads a list page by page, each from where the one before it ended.
func walk(t *rapid.T, db *database.Resources, q models.ListQuery, total int64, limits *rapid.Generator[int]) []string {
	var walked []string
	for {
		q.Limit = limits.Draw(t, "limit")
		list, page := pageOf(t, db, q)
		walked = append(walked, page...)
		if list.Total != total || list.More && len(page) != q.Limit {
			t.Fatalf("%+v: %d of %d on a page, %d in all, want %d; more: %v", q, len(page), q.Limit, list.Total, total, list.More)
		}
		if !list.More {
			return walked
		}
		order := cmp.Or(q.OrderBy, models.NewestFirst)
		last := order.PositionOf(list.Page[len(page)-1].Resource)
		q.After = &last
	}
}

// optionsOf returns what parts further parameters from a URL.
func optionsOf(url string) string {
	if strings.Contains(url, "?") {
		return "&"
	}
	return "?"
}

// TestTotals are counted to one beyond the bound, and on request to the end.
func TestTotals(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.grow(t, 999)
		for _, want := range []struct {
			more         int
			cheap, exact int64
		}{{0, 999, 999}, {1, 1000, 1000}, {1, 1001, 1001}, {500, 1001, 1501}} {
			f.grow(t, want.more)
			for _, row := range []struct {
				q    models.ListQuery
				want int64
			}{
				{models.ListQuery{Limit: 1}, want.cheap},
				{models.ListQuery{Limit: 1, ExactTotal: true}, want.exact},
				{models.ListQuery{Limit: 1, ExactTotal: true, Offset: 5000}, want.exact},
				{models.ListQuery{Limit: 1, Name: "none", ExactTotal: true}, 0},
			} {
				if list, err := f.List(t.Context(), row.q, 0); err != nil || list.Total != row.want {
					t.Errorf("%+v: %+v, %v, want %d in all", row.q, list, err, row.want)
				}
			}
		}
	})
}

// grow stores n clusters, of ten owners, three platforms, four phases.
func (f fixture) grow(t *testing.T, n int) {
	t.Helper()
	f.exec(t, `
		INSERT INTO clusters (name, created_by, labels, spec, status, status_dirty, created_at, generation_started_at)
		SELECT 'c' || gen_random_uuid(), 'user' || i % 10 || '@example.com',
			jsonb_build_object('env', CASE WHEN i % 100 = 0 THEN 'prod' ELSE 'dev' END, 'n', (i % 500)::text),
			jsonb_build_object('platform', jsonb_build_object('type', (ARRAY['gcp', 'aws', 'azure'])[1 + i % 3]), 'text', repeat('x', 200)),
			jsonb_build_object('phase', CASE WHEN i % 50 = 0 THEN 'Failed' WHEN i % 50 = 1 THEN 'Pending' ELSE 'Ready' END, 'observedGeneration', 1),
			false, now() - make_interval(secs => i), now() - interval '1 day'
		FROM generate_series(1, $1::int) AS i`, n)
}

// TestTrap31_NoTextBecomesSQL: values with every kind of quote find nothing, break
// nothing, and are found again by those who stored them.
func TestTrap31_NoTextBecomesSQL(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		f.create(t, "bystander")
		for i, text := range []string{`' OR '1'='1`, `'; DROP TABLE clusters; --`, `"`, `\`, `$1`, `$$`, `?`, `%`, `{"a":1}`, "\u2019 é"} {
			for _, q := range []models.ListQuery{
				{CreatedBy: text},
				{Platform: text},
				{Name: text},
				{Phase: v1.Phase(text)},
				{Labels: []models.Requirement{{Key: text, Op: models.OpExists}}},
				{Labels: []models.Requirement{{Key: text, Op: models.OpIn, Values: []string{text}}}},
				{Labels: []models.Requirement{{Key: "k", Op: models.OpIn, Values: []string{text, text}}}},
				{Labels: []models.Requirement{{Key: text, Op: models.OpDoesNotExist}, {Key: "k", Op: models.OpIn, Values: []string{text}}}},
			} {
				q.Limit = 10
				if list, err := f.List(t.Context(), q, 0); err != nil || list.Total != 0 || len(list.Page) > 0 {
					t.Errorf("%+v: %+v, %v", q, list, err)
				}
			}
			c := &models.Resource{
				ID: newID(), ClusterID: f.home(t, text), Name: fmt.Sprintf("c%d", i), Description: text, CreatedBy: text, Labels: map[string]string{text: text},
				Spec: v1.Object(`{"a":` + quoted(text) + `}`),
			}
			snap, err := f.Insert(t.Context(), c, pull, f.event(models.Created, text))
			if err != nil || snap.Resource.Description != text {
				t.Errorf("stored %q: %v", text, err)
				continue
			}
			mine := models.ListQuery{Limit: 10, CreatedBy: text, Labels: []models.Requirement{{Key: text, Op: models.OpIn, Values: []string{text}}, {Key: text, Op: models.OpExists}}}
			if list, err := f.List(t.Context(), mine, 0); err != nil || list.Total != 1 || list.Page[0].Resource.ID != c.ID {
				t.Errorf("%q is not found again: %+v, %v", text, list, err)
			}
			if _, err := f.StoreReport(t.Context(), c.ID, report(text, 0, v1.ConditionTrue, text, text), debounce, ""); err != nil {
				t.Errorf("report of %q: %v", text, err)
			}
			if list, err := f.Reports(t.Context(), c.Ref()); err != nil || len(list) != 1 || list[0].ControllerName != text || list[0].Conditions[0].Reason != text {
				t.Errorf("report of %q came back as %+v, %v", text, list, err)
			}
		}
	})
}

func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(out)
}
