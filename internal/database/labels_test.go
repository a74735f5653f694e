package database_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/cls-backend/cls-backend/internal/database"
)

// strayLabels counts the rows that the index of labels has too many or too few.
const strayLabels = `
	WITH wanted AS (
		SELECT l.key, l.value, c.created_at, c.id FROM clusters c, jsonb_each_text(c.labels) l
		WHERE c.deleted_at IS NULL AND l.value IS NOT NULL
	)
	SELECT (SELECT count(*) FROM (TABLE wanted EXCEPT ALL TABLE cluster_labels) few)
	     + (SELECT count(*) FROM (TABLE cluster_labels EXCEPT ALL TABLE wanted) many)`

// TestTheIndexOfLabelsFollows whatever is done to clusters, by whom ever.
func TestTheIndexOfLabelsFollows(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, f fixture) {
		rapid.Check(t, func(rt *rapid.T) {
			f.exec(t, `DELETE FROM clusters`)
			n := 0
			labels := func() string {
				return rapid.SampledFrom([]string{`{}`, `{"a":"1"}`, `{"a":"2"}`, `{"a":"1","b":"1"}`, `{"b":"","c":null}`}).Draw(rt, "labels")
			}
			some := `id = (SELECT id FROM clusters ORDER BY md5(id::text || $1) LIMIT 1)`
			rt.Repeat(map[string]func(*rapid.T){
				"insert": func(*rapid.T) {
					n++
					f.exec(t, `INSERT INTO clusters (name, created_by, labels, deleted_at) VALUES ($1, 'a', $2, CASE WHEN $3 THEN now() END)`,
						fmt.Sprint("c", n), labels(), rapid.Bool().Draw(rt, "deleted"))
				},
				"relabel": func(*rapid.T) { f.exec(t, `UPDATE clusters SET labels = $2 WHERE `+some, strconv.Itoa(n), labels()) },
				"date":    func(*rapid.T) { f.exec(t, `UPDATE clusters SET created_at = now() WHERE `+some, strconv.Itoa(n)) },
				"delete": func(*rapid.T) {
					f.exec(t, `UPDATE clusters SET deleted_at = now(), labels = $2 WHERE `+some, strconv.Itoa(n), labels())
				},
				"restore": func(*rapid.T) { f.exec(t, `UPDATE clusters SET deleted_at = NULL WHERE `+some, strconv.Itoa(n)) },
				"purge":   func(*rapid.T) { f.exec(t, `DELETE FROM clusters WHERE `+some, strconv.Itoa(n)) },
				"": func(rt *rapid.T) {
					if n := value[int64](t, f, strayLabels); n != 0 {
						rt.Fatalf("%d rows too many or too few", n)
					}
				},
			})
		})
	})
}

// TestLabelsAsTheyAre: whatever texts they are, and whatever else is in their place, they come as encoding/json reads what
// PostgreSQL writes.
func TestLabelsAsTheyAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	text := rapid.OneOf(rapid.StringMatching(`[a-z./-]{0,5}`), rapid.StringMatching(`[a":, {}\\é]{0,6}`))
	rapid.Check(t, func(rt *rapid.T) {
		drawn := rapid.MapOfN(text, rapid.OneOf(text.AsAny(), rapid.Just[any](nil)), 0, 4).Draw(rt, "labels")
		text, err := json.Marshal(drawn)
		must(t, err)
		written := value[string](t, f, `SELECT $1::jsonb::text`, string(text))
		var want map[string]string
		if err := json.Unmarshal([]byte(written), &want); err != nil {
			rt.Fatal(err)
		}
		if got, err := database.ScanLabels([]byte(written)); err != nil || !maps.Equal(got, want) {
			rt.Fatalf("%s: %v, %v", written, got, err)
		}
	})
	for _, text := range []string{``, `[]`, `{"a": 1}`, `{"a": "b"`} {
		if got, err := database.ScanLabels([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestLabelsOfOldClusters: those that were there before the index are in it after the
// migration, however many, and migrating twice adds nothing.
func TestLabelsOfOldClusters(t *testing.T) {
	t.Parallel()
	f := newEmpty(t)
	must(t, migrate(t.Context(), f))
	const index = 3 // the migration that makes it
	for version := database.NewestVersion(); version >= index; version-- {
		must(t, database.MigrateDown(t.Context(), f.url, slog.New(slog.DiscardHandler)))
	}
	f.grow(t, 2500)
	f.exec(t, `UPDATE clusters SET deleted_at = now() WHERE labels ->> 'n' = '7'`)
	must(t, migrate(t.Context(), f))
	rows := value[int64](t, f, `SELECT count(*) FROM cluster_labels`)
	if stray := value[int64](t, f, strayLabels); stray != 0 || rows != 2*2495 {
		t.Errorf("%d labels, of which %d too many or too few", rows, stray)
	}
	must(t, database.MigrateDown(t.Context(), f.url, slog.New(slog.DiscardHandler)))
	must(t, migrate(t.Context(), f))
	if again := value[int64](t, f, `SELECT count(*) FROM cluster_labels`); again != rows {
		t.Errorf("%d labels after the second time, %d after the first", again, rows)
	}
}
