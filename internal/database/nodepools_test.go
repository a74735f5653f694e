package database_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/database"
)

// A node pool has what a cluster has, under other names. Nothing makes a migration of clusters
// change node pools as well, but these tests.

// tablesOfClusters are the tables that have a counterpart.
const tablesOfClusters = `ARRAY['clusters', 'controller_status', 'reconciliation_schedule', 'stale_statuses', 'cluster_labels']`

// describe is the schema of some tables, a line for each thing in it, and of all functions that
// are made from those of clusters. Neither the order of columns nor the names of indexes and
// constraints matter; those that do are in the text of a statement and found by its tests.
const describe = `
	WITH t AS (SELECT c.* FROM pg_class c WHERE c.relnamespace = current_schema::regnamespace AND c.relname = ANY ($1)),
	lines AS (
		SELECT relname, concat_ws(' ', 'table', relpersistence, relreplident, relrowsecurity, array_to_string(reloptions, ', ')) AS line FROM t
		UNION ALL
		SELECT t.relname, concat_ws(' ', 'column', a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
			CASE a.attgenerated WHEN '' THEN 'DEFAULT' ELSE 'GENERATED' END || ' ' || pg_get_expr(d.adbin, d.adrelid),
			nullif(a.attidentity::text, ''), 'storage ' || a.attstorage::text, nullif(a.attcompression::text, ''), array_to_string(a.attoptions, ', '),
			'collation ' || nullif(a.attcollation, 0::oid)::regcollation)
		FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
		UNION ALL
		SELECT t.relname, 'constraint ' || pg_get_constraintdef(c.oid) FROM t JOIN pg_constraint c ON c.conrelid = t.oid WHERE c.contype <> 'n'
		UNION ALL
		SELECT t.relname, regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX \S+ ON ', ' INDEX ON ') FROM t JOIN pg_index i ON i.indrelid = t.oid
		UNION ALL
		SELECT t.relname, concat_ws(' ', pg_get_triggerdef(g.oid), 'enabled', g.tgenabled) FROM t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal
	)
	SELECT relname || ': ' || regexp_replace(line, current_schema || '\.', '', 'g') AS line FROM lines`

// likeClusters returns how what node pools have differs from what clusters have, under the names of node pools: "-" for what only
// clusters have, and "+" for what only node pools have.
func likeClusters(ctx context.Context, t *testing.T, tx pgx.Tx) []string {
	t.Helper()
	rows, err := tx.Query(ctx, `
		WITH tables AS (
			SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = current_schema::regnamespace AND c.relkind IN ('r', 'p')
		), own AS ( -- the tables that node pools should have a counterpart of, however new they are
			SELECT name FROM tables WHERE nodepool_names(name) <> name AND name NOT LIKE '%nodepool%'
		), functions AS (
			SELECT p.proname AS name, pg_get_functiondef(p.oid) AS line FROM pg_proc p
			WHERE p.pronamespace = current_schema::regnamespace AND p.proname NOT IN ('nodepool_names', 'like_clusters')
		), wanted AS (
			SELECT nodepool_names(line) AS line FROM pg_temp.describe((SELECT array_agg(name::text) FROM own)) line
			UNION ALL SELECT nodepool_names(line) FROM functions WHERE name NOT LIKE '%nodepool%' AND nodepool_names(line) <> line
		), had AS (
			SELECT line FROM pg_temp.describe((SELECT array_agg(nodepool_names(name)) FROM own)) line
			UNION ALL SELECT line FROM functions WHERE name LIKE '%nodepool%'
		)
		SELECT '- ' || line FROM (TABLE wanted EXCEPT ALL TABLE had) l
		UNION ALL SELECT '+ ' || line FROM (TABLE had EXCEPT ALL TABLE wanted) l
		ORDER BY 1`)
	must(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return lines
}

// knownDifferences are all that there are.
func knownDifferences() []string {
	return []string{
		// A node pool is of its cluster where a cluster is of a project, and goes with it.
		`- nodepools: column target_project_id text NOT NULL DEFAULT ''::text storage x collation "default"`,
		"+ nodepools: column cluster_id uuid NOT NULL storage p",
		"+ nodepools: constraint FOREIGN KEY (cluster_id) REFERENCES clusters(id) ON DELETE CASCADE",
		"+ nodepools: CREATE INDEX ON nodepools USING btree (cluster_id, created_at DESC, id DESC)",
		// Its name is unique in the cluster.
		"- nodepools: CREATE UNIQUE INDEX ON nodepools USING btree (created_by, name) WHERE (deleted_at IS NULL)",
		"+ nodepools: CREATE UNIQUE INDEX ON nodepools USING btree (cluster_id, name) WHERE (deleted_at IS NULL)",
	}
}

func newDifferences(ctx context.Context, t *testing.T, tx pgx.Tx) (unknown, gone []string) {
	t.Helper()
	found, known := likeClusters(ctx, t, tx), knownDifferences()
	unknown = slices.DeleteFunc(slices.Clone(found), func(line string) bool { return slices.Contains(known, line) })
	gone = slices.DeleteFunc(known, func(line string) bool { return slices.Contains(found, line) })
	return unknown, gone
}

// altered runs a test in a transaction on the schema after some statements, and undoes them.
func altered(t *testing.T, f fixture, statements []string, test func(ctx context.Context, tx pgx.Tx)) {
	t.Helper()
	tx, err := f.raw.Begin(t.Context())
	must(t, err)
	defer func() { must(t, tx.Rollback(context.Background())) }()
	_, err = tx.Exec(t.Context(), `CREATE FUNCTION pg_temp.describe(tables text[]) RETURNS SETOF text LANGUAGE sql AS $$`+describe+`$$`)
	must(t, err)
	for _, sql := range append(statements, `SET LOCAL search_path = public, pg_temp`) {
		_, err = tx.Exec(t.Context(), sql)
		must(t, err)
	}
	test(t.Context(), tx)
}

// TestNodePoolsAreLikeClusters compares all that the schema has of them.
func TestNodePoolsAreLikeClusters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	altered(t, f, nil, func(ctx context.Context, tx pgx.Tx) {
		unknown, gone := newDifferences(ctx, t, tx)
		for _, line := range unknown {
			t.Errorf("clusters and node pools differ: %s", line)
		}
		for _, line := range gone {
			t.Errorf("a known difference is none: %s", line)
		}
	})
	if missing := value[[]string](t, f, `SELECT coalesce(array_agg(n), '{}') FROM unnest(`+tablesOfClusters+`) n WHERE to_regclass(nodepool_names(n)) IS NULL`); len(missing) > 0 {
		t.Errorf("node pools have no counterpart of %v", missing)
	}
}

// TestAMigrationOfClustersAloneIsNoticed holds the comparison against what it is for.
func TestAMigrationOfClustersAloneIsNoticed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const touch = `CREATE OR REPLACE FUNCTION clusters_touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`
	for name, statements := range map[string][]string{
		"a column":                      {`ALTER TABLE clusters ADD COLUMN extra text`},
		"a column of node pools":        {`ALTER TABLE nodepools ADD COLUMN extra text`},
		"a column less":                 {`ALTER TABLE controller_status DROP COLUMN moved_at`},
		"a default":                     {`ALTER TABLE clusters ALTER COLUMN description SET DEFAULT 'none'`},
		"a type":                        {`ALTER TABLE controller_status ALTER COLUMN controller_name TYPE text`},
		"a null":                        {`ALTER TABLE clusters ALTER COLUMN description DROP NOT NULL`},
		"a generated column":            {`ALTER TABLE clusters DROP COLUMN phase`, `ALTER TABLE clusters ADD COLUMN phase text NOT NULL GENERATED ALWAYS AS (coalesce(status ->> 'phase', 'New')) STORED`},
		"how a column is stored":        {`ALTER TABLE clusters ALTER COLUMN spec SET STORAGE EXTERNAL`},
		"how a table is stored":         {`ALTER TABLE reconciliation_schedule SET (fillfactor = 50)`},
		"how a table is vacuumed":       {`ALTER TABLE stale_statuses RESET (autovacuum_vacuum_threshold)`},
		"an index":                      {`CREATE INDEX ON clusters (generation)`},
		"an index less":                 {`DROP INDEX reconciliation_schedule_due`},
		"another index":                 {`DROP INDEX clusters_newest`, `CREATE INDEX clusters_newest ON clusters (created_at, id) WHERE deleted_at IS NULL`},
		"a check":                       {`ALTER TABLE reconciliation_schedule ADD CHECK (reactive_wakes >= 0)`},
		"a key":                         {`ALTER TABLE cluster_labels ADD FOREIGN KEY (cluster_id) REFERENCES clusters (id)`},
		"a function":                    {touch},
		"the function of reports":       {`ALTER FUNCTION store_report(uuid, text, bigint, jsonb, jsonb, jsonb, text, boolean, text, bytea, bytea, interval, interval) RENAME TO was_store_report`},
		"a trigger less":                {`DROP TRIGGER clusters_stale ON clusters`},
		"a trigger that is off":         {`ALTER TABLE clusters DISABLE TRIGGER clusters_stale`},
		"a trigger on a lesser table":   {`CREATE TRIGGER labelled AFTER INSERT ON cluster_labels FOR EACH ROW EXECUTE FUNCTION clusters_touch()`},
		"a trigger and its function":    {`CREATE FUNCTION clusters_new() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`, `CREATE TRIGGER clusters_new AFTER INSERT ON clusters FOR EACH ROW EXECUTE FUNCTION clusters_new()`},
		"a table":                       {`CREATE TABLE clusters_seen (cluster_id uuid PRIMARY KEY)`},
		"a function called by a report": {`CREATE FUNCTION heard(r_cluster uuid) RETURNS void LANGUAGE sql AS $$ UPDATE clusters SET paused = paused WHERE id = r_cluster $$`},
	} {
		altered(t, f, statements, func(ctx context.Context, tx pgx.Tx) {
			if unknown, gone := newDifferences(ctx, t, tx); len(unknown)+len(gone) == 0 {
				t.Errorf("%s: nobody notices", name)
			}
		})
	}
	// What such a migration does about functions and triggers.
	altered(t, f, []string{
		touch,
		`CREATE TRIGGER clusters_touched AFTER UPDATE ON clusters FOR EACH ROW EXECUTE FUNCTION clusters_touch()`,
		`DROP TRIGGER clusters_stale ON clusters`,
		`SELECT like_clusters()`,
		`DROP FUNCTION clusters_stale()`,
		`DROP FUNCTION nodepools_stale()`,
	}, func(ctx context.Context, tx pgx.Tx) {
		if unknown, _ := newDifferences(ctx, t, tx); len(unknown) > 0 {
			t.Errorf("after like_clusters() they differ: %v", unknown)
		}
	})
}

// TestTheRuleOfNames is one, in the schema and in the service: statements that are named by the
// one find the tables and functions that are named by the other.
func TestTheRuleOfNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rows, err := f.raw.Query(t.Context(), `
		WITH texts AS (
			SELECT pg_get_functiondef(oid) AS text FROM pg_proc WHERE pronamespace = current_schema::regnamespace AND proname NOT LIKE '%nodepool%'
			UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = current_schema::regnamespace
			UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
			UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = ANY (`+tablesOfClusters+`::regclass[])
			UNION ALL SELECT relname FROM pg_class WHERE relnamespace = current_schema::regnamespace
			-- What only clusters have is the one name that the service has a rule of its own for.
			UNION ALL SELECT DISTINCT column_name FROM information_schema.columns WHERE table_schema = current_schema AND column_name <> 'target_project_id'
		)
		SELECT text, nodepool_names(text) FROM texts`)
	must(t, err)
	var ofClusters, bySchema string
	changed := 0
	_, err = pgx.ForEachRow(rows, []any{&ofClusters, &bySchema}, func() error {
		if diff := cmp.Diff(bySchema, database.OfNodePools(ofClusters)); diff != "" {
			t.Errorf("%s is named (-by the schema +by the service):\n%s", ofClusters, diff)
		}
		if ofClusters != bySchema {
			changed++
		}
		return nil
	})
	must(t, err)
	if changed < 50 {
		t.Errorf("%d texts of clusters were found", changed)
	}
}
