package database

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cls-backend/cls-backend/internal/models"
)

// selection is the FROM and WHERE of a list under construction. Values only ever become arguments.
type selection struct {
	// labels is where the clusters of a label come from, in their order; "" if that is not asked for.
	labels string
	terms  []string
	args   []any
}

// bind returns SQL in which each $? stands for the next of the values.
func (s *selection) bind(sql string, values ...any) string {
	for _, v := range values {
		s.args = append(s.args, v)
		sql = strings.Replace(sql, "$?", fmt.Sprintf("$%d", len(s.args)), 1)
	}
	return sql
}

// add appends a condition on a cluster, c.
func (s *selection) add(term string, values ...any) {
	s.terms = append(s.terms, s.bind(term, values...))
}

func (s *selection) where() string {
	if len(s.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(s.terms, " AND ")
}

func (s *selection) from() string {
	if s.labels == "" {
		return " FROM clusters c"
	}
	return " FROM " + s.labels + " JOIN clusters c ON c.id = l.cluster_id"
}

// page returns what a page is taken from: newest first, ties broken by id.
func (s *selection) page() string {
	order := " ORDER BY c.created_at DESC, c.id DESC"
	if s.labels != "" {
		order = " ORDER BY l.created_at DESC, l.cluster_id DESC"
	}
	return s.from() + s.where() + order
}

// matches returns what is counted: the same clusters in any order. The index of labels knows
// them all if nothing else is asked.
func (s *selection) matches() string {
	if s.labels != "" && len(s.terms) == 0 {
		return " FROM " + s.labels
	}
	return s.from() + s.where()
}

// scope selects what a query covers but for its phase, which a status has part in. lead is the
// label whose clusters are taken from the index of labels; -1 for none.
func scope(q models.ListQuery, lead int) *selection {
	s := &selection{}
	if lead < 0 {
		s.add("c.deleted_at IS NULL")
	} else {
		s.followLabel(q.Labels[lead])
	}
	if q.CreatedBy != "" {
		s.add("c.created_by = $?", q.CreatedBy)
	}
	if q.ClusterID != "" {
		s.add("c.target_project_id = $?", q.ClusterID) // which is, of node pools, the cluster
	}
	if q.Platform != "" {
		s.add("c.platform = $?", q.Platform)
	}
	if q.Name != "" {
		s.add("c.name = $?", q.Name)
	}
	for i, r := range q.Labels {
		if i != lead {
			s.addRequirement(r)
		}
	}
	return s
}

// selected selects what a query asks for, with the first label that has a value as the way to it.
// An owner's clusters are fewer than those of a common label: they are looked at one by one.
func selected(q models.ListQuery) *selection {
	lead := -1
	if q.CreatedBy == "" {
		lead = slices.IndexFunc(q.Labels, func(r models.Requirement) bool { return r.Op == models.OpIn })
	}
	s := scope(q, lead)
	if q.Phase != "" {
		s.add("c.phase = $?", string(q.Phase))
	}
	return s
}

// followLabel takes the clusters from the index of labels, which has living ones only. It has
// those of one value in order; those of several are merged.
func (s *selection) followLabel(r models.Requirement) {
	var branches []string
	for _, value := range slices.Compact(slices.Sorted(slices.Values(r.Values))) {
		branches = append(branches, s.bind("SELECT cluster_id, created_at FROM cluster_labels WHERE key = $? AND value = $?", r.Key, value))
	}
	s.labels = "(" + strings.Join(branches, " UNION ALL ") + ") l"
}

// addRequirement uses the operators that the index on clusters.labels serves: @> for a label
// with its value, ? for a key.
func (s *selection) addRequirement(r models.Requirement) {
	switch r.Op {
	case models.OpIn:
		s.add("("+strings.TrimSuffix(strings.Repeat("c.labels @> $? OR ", len(r.Values)), " OR ")+")", labelObjects(r)...)
	case models.OpNotIn:
		s.add("NOT coalesce(c.labels ->> $? = ANY($?), false)", r.Key, r.Values)
	case models.OpExists:
		s.add("c.labels ? $?", r.Key)
	case models.OpDoesNotExist:
		s.add("NOT c.labels ? $?", r.Key)
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

// plannedAnew has the rest of a batch planned for its very values. Of two filters only their
// values say which one finds less; and the plan for any label takes it for a common one, and
// walks all clusters from the newest, which for a rare one is most of the table.
const plannedAnew = `SELECT set_config('plan_cache_mode', 'force_custom_plan', true)`

// List is a page of snapshots, and what was read with it.
type List struct {
	Page []*Snapshot
	// Total is the number of matches, counted up to one beyond models.CountedUpTo unless
	// the query asks for all of them.
	Total int64
	// Stale are the resources that a query by phase covers whatever their phase is, and whose status
	// must be calculated before it can be told which it is.
	Stale []*Snapshot
}

// List returns a page, newest first, and up to staleLimit stale ones, in one round trip.
func (s *statements) List(ctx context.Context, q models.ListQuery, staleLimit int) (*List, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	var (
		list  List
		batch pgx.Batch
	)
	if q.Phase != "" {
		s.queueStale(&batch, q, staleLimit, &list.Stale)
	}
	sel := selected(q)
	if sel.labels == "" && len(q.Labels) > 0 || len(sel.terms) > 2 {
		batch.Queue(plannedAnew)
	}
	count := `SELECT count(*) FROM (SELECT` + sel.matches()
	if !q.ExactTotal {
		count += fmt.Sprintf(" LIMIT %d", models.CountedUpTo+1)
	}
	batch.Queue(s.sql(count+") m"), sel.args...).QueryRow(func(row pgx.Row) error { return row.Scan(&list.Total) })
	s.queueSnapshots(&batch, sel.page()+fmt.Sprintf(" LIMIT %d OFFSET %d", q.Limit, q.Offset), sel.args, &list.Page)
	if err := s.db.q.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, translate("list "+string(s.kind)+"s", err)
	}
	return &list, nil
}

func (s *statements) queueStale(batch *pgx.Batch, q models.ListQuery, limit int, into *[]*Snapshot) {
	stale := scope(q, -1)
	stale.add(`c.id = ANY (ARRAY(
		SELECT cluster_id FROM stale_statuses
		UNION ALL SELECT id FROM clusters WHERE recheck_at <= now() AND deleted_at IS NULL
		UNION ALL SELECT id FROM clusters WHERE registry_version > 0 AND registry_version < ` + registryVersion + ` AND deleted_at IS NULL))`)
	s.queueSnapshots(batch, stale.matches()+fmt.Sprintf(" LIMIT %d", limit), stale.args, into)
}

func (s *statements) queueSnapshots(batch *pgx.Batch, rest string, args []any, into *[]*Snapshot) {
	batch.Queue(s.sql(`SELECT `+snapshotColumns+rest), args...).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, s.scanSnapshot)
		return err
	})
}
