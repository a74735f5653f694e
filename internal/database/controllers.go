package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

const controllerColumns = `name, registered, platforms, kinds, finalizes, required, required_since, turns, retired_at, let_go_at, heard_at`

func scanController(row pgx.CollectableRow) (c models.Controller, err error) {
	r := &c.Registration
	err = row.Scan(&c.Name, &c.Registered, &r.Platforms, &r.Kinds, &r.Finalizes, &r.Required, &c.Required, &c.Turns,
		&c.RetiredAt, &c.LetGoAt, &c.HeardAt)
	return c, err
}

// Registry returns the controllers that are known, with the version of the registry.
func (db *DB) Registry(ctx context.Context) (*models.Registry, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	g := &models.Registry{Controllers: map[string]models.Controller{}}
	var batch pgx.Batch
	// The version first: one that is too old for the rest is asked for again, one that is too new is not.
	batch.Queue(`SELECT version FROM registry WHERE one`).QueryRow(func(row pgx.Row) error { return row.Scan(&g.Version) })
	batch.Queue(`SELECT ` + controllerColumns + ` FROM controllers`).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, scanController)
		for _, c := range list {
			g.Controllers[c.Name] = c
		}
		return err
	})
	return g, translate("read the registry", db.q.SendBatch(ctx, &batch).Close())
}

const storeController = `
	INSERT INTO controllers (` + controllerColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
	ON CONFLICT (name) DO UPDATE SET
		registered = excluded.registered, platforms = excluded.platforms, kinds = excluded.kinds, finalizes = excluded.finalizes,
		required = excluded.required, required_since = excluded.required_since, turns = excluded.turns,
		retired_at = excluded.retired_at, let_go_at = excluded.let_go_at, heard_at = excluded.heard_at`

// ChangeController stores what a rule makes of a controller's entry, which is a new one if there
// was none, at a time of the database's. One change of the registry is made at a time. The rule
// says whether it changes who is waited for: that is a new version of the registry.
func (db *DB) ChangeController(
	ctx context.Context, name string, rule func(stored *models.Controller, now time.Time) (next models.Controller, moved bool, err error),
) error {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	return translate("change the registry", db.transact(ctx, func(tx pgx.Tx) error {
		now, err := one(ctx, tx, pgx.RowTo[time.Time], `SELECT clock_timestamp() FROM registry WHERE one FOR UPDATE`)
		if err != nil {
			return err
		}
		entry, err := one(ctx, tx, scanController, `SELECT `+controllerColumns+` FROM controllers WHERE name = $1 FOR UPDATE`, name)
		stored := &entry
		if errors.Is(err, pgx.ErrNoRows) {
			stored, err = nil, nil
		}
		if err != nil {
			return err
		}
		next, moved, err := rule(stored, now)
		if err != nil {
			return err
		}
		if moved {
			if _, err = tx.Exec(ctx, `UPDATE registry SET version = version + 1 WHERE one`); err != nil {
				return err
			}
		}
		r := next.Registration
		_, err = tx.Exec(ctx, storeController, name, next.Registered, orEmpty(r.Platforms), orEmpty(r.Kinds), r.Finalizes, r.Required,
			orNone(next.Required), next.Turns, next.RetiredAt, next.LetGoAt, next.HeardAt)
		return err
	}))
}

// hearController writes down a registration that says nothing new, and no more often than a report.
const hearController = `
	WITH same AS (
		SELECT name, heard_at FROM controllers
		WHERE name = $1 AND registered AND retired_at IS NULL AND platforms = $2 AND kinds = $3 AND finalizes = $4 AND required = $5
	), heard AS (
		UPDATE controllers SET heard_at = clock_timestamp()
		WHERE name = (SELECT name FROM same WHERE coalesce(heard_at < now() - $6::interval, true)))
	SELECT EXISTS (SELECT FROM same)`

// HearController reports whether a controller is registered as it says, and counts that as a heartbeat. Nobody waits for
// the registry meanwhile.
func (db *DB) HearController(ctx context.Context, name string, r models.Registration) (registered bool, err error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	registered, err = one(ctx, db.q, pgx.RowTo[bool], hearController,
		name, orEmpty(r.Platforms), orEmpty(r.Kinds), r.Finalizes, r.Required, heartbeatEvery)
	return registered, translate("hear a controller", err)
}

func orEmpty[T ~string](list []T) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = string(v)
	}
	return texts
}

func orNone(q models.Required) models.Required {
	if q == nil {
		return models.Required{}
	}
	return q
}

// listControllers counts for each controller the living resources that it has reported on. $1 is
// a name; null for all.
const listControllers = `
	SELECT c.name, c.registered, c.platforms, c.kinds, c.finalizes, c.required, c.created_at, c.retired_at,
	       greatest(c.heard_at, k.heard_at, n.heard_at), k.total, n.total, k.behind + n.behind
	FROM controllers c,
	     LATERAL (
			SELECT max(s.updated_at) AS heard_at, count(*) AS total, count(*) FILTER (WHERE s.observed_generation < r.generation) AS behind
			FROM controller_status s JOIN clusters r ON r.id = s.cluster_id
			WHERE s.controller_name = c.name AND r.deleted_at IS NULL) k,
	     LATERAL (
			SELECT max(s.updated_at) AS heard_at, count(*) AS total, count(*) FILTER (WHERE s.observed_generation < r.generation) AS behind
			FROM nodepool_controller_status s JOIN nodepools r ON r.id = s.nodepool_id
			WHERE s.controller_name = c.name AND r.deleted_at IS NULL) n
	WHERE $1::text IS NULL OR c.name = $1
	ORDER BY c.name`

// Controllers returns the entry of a controller as it is answered, or all of them; in the order of their names.
func (db *DB) Controllers(ctx context.Context, name *string) ([]v1.Controller, error) {
	ctx, cancel := db.bounded(ctx)
	defer cancel()
	list, err := collect(ctx, db.q, func(row pgx.CollectableRow) (c v1.Controller, err error) {
		err = row.Scan(&c.Name, &c.Registered, &c.Platforms, &c.Kinds, &c.Finalizes, &c.Required, &c.FirstSeenAt, &c.RetiredAt,
			&c.LastHeartbeat, &c.Clusters, &c.NodePools, &c.Lag)
		return c, err
	}, listControllers, name)
	return list, translate("list controllers", err)
}
