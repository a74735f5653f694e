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

// page returns what a page is taken from, in its order.
func (s *selection) page(o models.Order) string {
	value, id := column(o), "c.id"
	if s.labels != "" {
		value, id = "l.created_at", "l.cluster_id"
	}
	direction := ""
	if o.Descending() {
		direction = " DESC"
	}
	return s.from() + s.where() + " ORDER BY " + value + direction + ", " + id + direction
}

// column returns what an order is by.
func column(o models.Order) string {
	switch o.Field() {
	case "name":
		return "c.name"
	case "updated_at":
		return "c.updated_at"
	}
	return "c.created_at"
}

// behind returns the condition that a row stands behind a position. An index that has both columns
// in this order begins there.
func (s *selection) behind(o models.Order, at models.Position, value, id string) string {
	comparison := ">"
	if o.Descending() {
		comparison = "<"
	}
	var from any = at.At
	if o.Field() == "name" {
		from = at.Name
	}
	return s.bind("("+value+", "+id+") "+comparison+" ($?, $?)", from, at.ID)
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
		s.followLabel(q.Labels[lead], q)
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

// selected selects what a query asks for, from where its page begins, with the first label that has
// a value as the way to it. An owner's clusters are fewer than those of a common label: they are
// looked at one by one. So are all in an order that the index of labels does not have.
func selected(q models.ListQuery) *selection {
	lead := -1
	if q.CreatedBy == "" && q.OrderBy.Field() == models.NewestFirst.Field() {
		lead = slices.IndexFunc(q.Labels, func(r models.Requirement) bool { return r.Op == models.OpIn })
	}
	s := scope(q, lead)
	if q.Phase != "" {
		s.add("c.phase = $?", string(q.Phase))
	}
	if q.After != nil && lead < 0 {
		s.terms = append(s.terms, s.behind(q.OrderBy, *q.After, column(q.OrderBy), "c.id"))
	}
	return s
}

// followLabel takes the clusters from the index of labels, which has living ones only. It has
// those of one value in order; those of several are merged.
func (s *selection) followLabel(r models.Requirement, q models.ListQuery) {
	var branches []string
	for _, value := range slices.Compact(slices.Sorted(slices.Values(r.Values))) {
		branch := s.bind("SELECT cluster_id, created_at FROM cluster_labels WHERE key = $? AND value = $?", r.Key, value)
		if q.After != nil {
			branch += " AND " + s.behind(q.OrderBy, *q.After, "created_at", "cluster_id")
		}
		branches = append(branches, branch)
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
	// More says that there are matches behind the page.
	More bool
	// Total is the number of matches, counted up to one beyond models.CountedUpTo unless
	// the query asks for all of them.
	Total int64
	// Stale are the resources that a query by phase covers whatever their phase is, and whose status
	// must be calculated before it can be told which it is.
	Stale []*Snapshot
}

// List returns the page that begins behind q.After, and up to staleLimit stale ones, in one round trip.
func (s *statements) List(ctx context.Context, q models.ListQuery, staleLimit int) (*List, error) {
	ctx, cancel := s.db.bounded(ctx)
	defer cancel()
	if q.OrderBy == "" {
		q.OrderBy = models.NewestFirst
	}
	var (
		list  List
		batch pgx.Batch
	)
	if q.Phase != "" {
		s.queueStale(&batch, q, staleLimit, &list.Stale)
	}
	s.queuePage(&batch, q, &list)
	if err := s.db.q.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, translate("list "+string(s.kind)+"s", err)
	}
	if list.More = len(list.Page) > q.Limit; list.More {
		list.Page = list.Page[:q.Limit]
	}
	return &list, nil
}

// queuePage counts the matches of the whole query, which have no order, and reads one row more than
// the page has.
func (s *statements) queuePage(batch *pgx.Batch, q models.ListQuery, list *List) {
	whole := q
	whole.OrderBy, whole.After = models.NewestFirst, nil
	all, page := selected(whole), selected(q)
	anew := all.labels == "" && len(q.Labels) > 0 || len(all.terms) > 2
	if anew {
		batch.Queue(plannedAnew)
	}
	count := `SELECT count(*) FROM (SELECT` + all.matches()
	if !q.ExactTotal {
		count += fmt.Sprintf(" LIMIT %d", models.CountedUpTo+1)
	}
	batch.Queue(s.composed(count+") m"), all.args...).QueryRow(func(row pgx.Row) error { return row.Scan(&list.Total) })
	// The indexes of the filters have the newest first, and no other order.
	if filtered := all.labels != "" || len(all.terms) > 1; filtered && !anew && q.OrderBy.Field() != whole.OrderBy.Field() {
		batch.Queue(plannedAnew)
	}
	s.queueSnapshots(batch, page.page(q.OrderBy)+fmt.Sprintf(" LIMIT %d OFFSET %d", q.Limit+1, q.Offset), page.args, &list.Page)
}

// PageTokenKey returns the key by which the tokens of pages are signed.
func (db *DB) PageTokenKey(ctx context.Context) (models.TokenKey, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	var key []byte
	err := db.pool.QueryRow(ctx, `SELECT key FROM page_token_key WHERE only_one`).Scan(&key)
	return key, translate("read the key of page tokens", err)
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
	batch.Queue(s.composed(`SELECT `+snapshotColumns+rest), args...).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, s.scanSnapshot)
		return err
	})
}
