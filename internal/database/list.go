package database

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/models"
)

// conditions is a WHERE clause under construction. Values only ever become arguments.
type conditions struct {
	terms []string
	args  []any
}

// add appends a term in which each $? stands for the next of the values.
func (c *conditions) add(term string, values ...any) {
	for _, v := range values {
		c.args = append(c.args, v)
		term = strings.Replace(term, "$?", fmt.Sprintf("$%d", len(c.args)), 1)
	}
	c.terms = append(c.terms, term)
}

func (c *conditions) where() string { return " WHERE " + strings.Join(c.terms, " AND ") }

// scope is a query without its phase: what a status has no part in.
func scope(q models.ListQuery) *conditions {
	c := &conditions{}
	c.add("c.deleted_at IS NULL")
	if q.CreatedBy != "" {
		c.add("c.created_by = $?", q.CreatedBy)
	}
	if q.Platform != "" {
		c.add("c.platform = $?", q.Platform)
	}
	if q.Name != "" {
		c.add("c.name = $?", q.Name)
	}
	for _, r := range q.Labels {
		c.addRequirement(r)
	}
	return c
}

// addRequirement uses the operators that the index on labels serves: @> for a label with
// its value, ? for a key.
func (c *conditions) addRequirement(r models.Requirement) {
	switch r.Op {
	case models.OpIn:
		c.add("("+strings.TrimSuffix(strings.Repeat("c.labels @> $? OR ", len(r.Values)), " OR ")+")", labelObjects(r)...)
	case models.OpNotIn:
		c.add("NOT coalesce(c.labels ->> $? = ANY($?), false)", r.Key, r.Values)
	case models.OpExists:
		c.add("c.labels ? $?", r.Key)
	case models.OpDoesNotExist:
		c.add("NOT c.labels ? $?", r.Key)
	}
}

func labelObjects(r models.Requirement) []any {
	objects := make([]any, len(r.Values))
	for i, value := range r.Values {
		text, err := json.Marshal(map[string]string{r.Key: value})
		if err != nil { // Strings only.
			panic("database: encode a label: " + err.Error())
		}
		objects[i] = text
	}
	return objects
}

// plannedAnew has the rest of a batch planned for its very values. The plan for any value
// takes a platform, a phase or a label for a common one and walks all clusters from the
// newest; for a rare one that is most of the table.
const plannedAnew = `SELECT set_config('plan_cache_mode', 'force_custom_plan', true)`

// ListClusters returns a page of snapshots, newest first, and the number of matches,
// counted up to one beyond models.CountedUpTo unless the query asks for all of them.
// Both travel in one round trip.
func (db *DB) ListClusters(ctx context.Context, q models.ListQuery) ([]*Snapshot, int64, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	matches := scope(q)
	if q.Phase != "" {
		matches.add("c.phase = $?", string(q.Phase))
	}
	count := `SELECT count(*) FROM (SELECT FROM clusters c` + matches.where()
	if !q.ExactTotal {
		count += fmt.Sprintf(" LIMIT %d", models.CountedUpTo+1)
	}
	var (
		total int64
		page  []*Snapshot
		batch pgx.Batch
	)
	if q.Phase != "" || q.Platform != "" || len(q.Labels) > 0 {
		batch.Queue(plannedAnew)
	}
	batch.Queue(count+") m", matches.args...).QueryRow(func(row pgx.Row) error { return row.Scan(&total) })
	batch.Queue(`SELECT `+snapshotColumns+` FROM clusters c`+matches.where()+
		fmt.Sprintf(" ORDER BY c.created_at DESC, c.id DESC LIMIT %d OFFSET %d", q.Limit, q.Offset), matches.args...).
		Query(func(rows pgx.Rows) (err error) {
			page, err = pgx.CollectRows(rows, scanSnapshot)
			return err
		})
	if err := db.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, 0, translate("list clusters", err)
	}
	return page, total, nil
}

// StaleInScope returns up to limit clusters that a query covers, whatever its phase, and
// whose status must be calculated before it can be told which phase they are in.
func (db *DB) StaleInScope(ctx context.Context, q models.ListQuery, limit int) ([]*Snapshot, error) {
	stale := scope(q)
	stale.add(`c.id IN (
		SELECT cluster_id FROM stale_statuses
		UNION ALL SELECT id FROM clusters WHERE recheck_at <= now() AND deleted_at IS NULL)`)
	return db.snapshots(ctx, "find stale statuses", `SELECT `+snapshotColumns+` FROM clusters c`+stale.where()+
		fmt.Sprintf(" LIMIT %d", limit), stale.args...)
}

func (db *DB) snapshots(ctx context.Context, what, sql string, args ...any) ([]*Snapshot, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	list, err := collect(ctx, db.pool, scanSnapshot, sql, args...)
	return list, translate(what, err)
}
