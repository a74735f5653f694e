-- A report is one call of a function, and makes a status dirty only if the status depends
-- on what it changed. A new cluster is put on the schedule once, by its trigger.

-- +goose Up

-- When what a status is calculated from last differed: the observed generation, available,
-- failed, error_type. Null in a row that is older than this column, where stored_at stands for it.
ALTER TABLE controller_status ADD COLUMN counted_at timestamptz;

-- A report that says anything new is a new resource version. It makes the status dirty
-- if that is anything that the status is calculated from.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION controller_status_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- For a row that comes, all of OLD is null; for one that goes, all of NEW.
    UPDATE clusters
    SET resource_version = resource_version + 1,
        status_dirty = status_dirty OR
            (OLD.observed_generation, OLD.available, OLD.failed, OLD.error_type)
            IS DISTINCT FROM (NEW.observed_generation, NEW.available, NEW.failed, NEW.error_type)
    WHERE id = coalesce(NEW.cluster_id, OLD.cluster_id);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- store_report stores what a controller says of a cluster, or finds that there is nothing
-- to store. r_generation is 0 for the current one. The outcome is
--   stored    and observed is the generation that it was stored for
--   equal     the stored report says the same
--   stale     a report of a newer generation is stored
--   ahead     there is no such generation yet
--   deleted   the cluster is
--   missing   there never was such a cluster
-- +goose StatementBegin
CREATE FUNCTION store_report(
    r_cluster uuid, r_controller text, r_generation bigint, r_conditions jsonb, r_metadata jsonb, r_error jsonb,
    r_available text, r_failed boolean, r_error_type text, r_content bytea, r_signal bytea,
    heartbeat interval, debounce interval,
    OUT outcome text, OUT observed bigint
) LANGUAGE plpgsql AS $$
DECLARE
    seen   record;
    kept   record;
    moment timestamptz;
BEGIN
    -- Without a lock: most reports say nothing new.
    SELECT c.generation, c.deleted_at IS NOT NULL AS deleted, s.updated_at AS heard_at,
           coalesce(s.available_generation, 0) AS available_generation,
           coalesce(s.content = r_content AND s.metadata = r_metadata
               AND s.observed_generation = CASE r_generation WHEN 0 THEN c.generation ELSE r_generation END, false) AS equal
    INTO seen
    FROM clusters c LEFT JOIN controller_status s ON s.cluster_id = c.id AND s.controller_name = r_controller
    WHERE c.id = r_cluster;

    observed := CASE r_generation WHEN 0 THEN seen.generation ELSE r_generation END;
    outcome := CASE WHEN seen.generation IS NULL THEN 'missing' WHEN seen.deleted THEN 'deleted' WHEN seen.equal THEN 'equal' END;
    IF outcome = 'equal' AND seen.heard_at < now() - heartbeat THEN
        UPDATE controller_status SET updated_at = clock_timestamp()
        WHERE cluster_id = r_cluster AND controller_name = r_controller;
    END IF;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;

    -- The lock puts the reports on a cluster in order, with its changes and its deletion.
    SELECT c.generation INTO seen.generation FROM clusters c
    WHERE c.id = r_cluster AND c.deleted_at IS NULL FOR NO KEY UPDATE;
    observed := CASE r_generation WHEN 0 THEN seen.generation ELSE r_generation END;
    IF seen.generation IS NULL OR observed > seen.generation THEN
        outcome := CASE WHEN seen.generation IS NULL THEN 'deleted' ELSE 'ahead' END;
        RETURN;
    END IF;

    moment := clock_timestamp();
    INSERT INTO controller_status AS s (
        cluster_id, controller_name, observed_generation, conditions, metadata, last_error,
        available, failed, error_type, content, signal, available_generation,
        updated_at, stored_at, counted_at, moved_at, created_at, available_changed_at)
    VALUES (r_cluster, r_controller, observed, r_conditions, r_metadata, r_error,
        r_available, r_failed, r_error_type, r_content, r_signal, CASE r_available WHEN 'True' THEN observed ELSE 0 END,
        moment, moment, moment, moment, moment, moment)
    ON CONFLICT (cluster_id, controller_name) DO UPDATE SET
        observed_generation = excluded.observed_generation,
        conditions = excluded.conditions, metadata = excluded.metadata, last_error = excluded.last_error,
        available = excluded.available, failed = excluded.failed, error_type = excluded.error_type,
        content = excluded.content, signal = excluded.signal,
        available_generation = greatest(s.available_generation, excluded.available_generation),
        updated_at = moment, stored_at = moment,
        counted_at = CASE
            WHEN (s.observed_generation, s.available, s.failed, s.error_type)
                IS DISTINCT FROM (excluded.observed_generation, excluded.available, excluded.failed, excluded.error_type)
            THEN moment ELSE coalesce(s.counted_at, s.stored_at) END,
        moved_at = CASE
            WHEN s.signal = excluded.signal AND s.metadata = excluded.metadata
                AND s.observed_generation = excluded.observed_generation
            THEN s.moved_at ELSE moment END,
        available_changed_at = CASE s.available WHEN excluded.available THEN s.available_changed_at ELSE moment END
    WHERE s.observed_generation < excluded.observed_generation
       OR s.observed_generation = excluded.observed_generation
          AND NOT (s.content = excluded.content AND s.metadata = excluded.metadata)
    RETURNING s.moved_at = moment AS moved, s.available_generation INTO kept;
    IF NOT FOUND THEN
        SELECT CASE WHEN s.observed_generation > observed THEN 'stale' ELSE 'equal' END INTO outcome
        FROM controller_status s WHERE s.cluster_id = r_cluster AND s.controller_name = r_controller;
        RETURN;
    END IF;
    outcome := 'stored';

    -- A report that moved something pulls the next wake-up forward. Each such wake-up
    -- doubles the delay; a first Available=True at a generation resets it.
    IF kept.moved AND debounce > interval '0' THEN
        UPDATE reconciliation_schedule s
        SET reactive_wakes = p.wakes, next_reconcile_at = least(s.next_reconcile_at, p.at),
            reactive = s.reactive OR s.next_reconcile_at > p.at, updated_at = now()
        FROM (
            SELECT w.wakes, now() + debounce * power(2, least(w.wakes, 20)) AS at
            FROM reconciliation_schedule q,
                 LATERAL (SELECT CASE WHEN seen.available_generation < kept.available_generation
                          THEN 0 ELSE q.reactive_wakes END AS wakes) w
            WHERE q.cluster_id = r_cluster) p
        WHERE s.cluster_id = r_cluster;
    END IF;
END
$$;
-- +goose StatementEnd

-- The service says with its INSERT when a new cluster is to be woken first; others need not.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION clusters_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reconciliation_schedule (cluster_id, next_reconcile_at, enabled)
    VALUES (NEW.id, now() + coalesce(nullif(current_setting('cls.first_wake', true), ''), '30 seconds')::interval, NOT NEW.paused)
    ON CONFLICT (cluster_id) DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION clusters_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reconciliation_schedule (cluster_id, next_reconcile_at, enabled)
    VALUES (NEW.id, now() + interval '30 seconds', NOT NEW.paused)
    ON CONFLICT (cluster_id) DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

DROP FUNCTION store_report;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION controller_status_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE clusters SET status_dirty = true, resource_version = resource_version + 1
    WHERE id = coalesce(NEW.cluster_id, OLD.cluster_id);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

ALTER TABLE controller_status DROP COLUMN counted_at;
