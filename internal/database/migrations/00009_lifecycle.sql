-- What the life of a resource needs: the registry of controllers; deletion as a process, in which a
-- resource stays until its holders have let go; what its spec was before, and what happened to it.

-- +goose Up

CREATE TABLE controllers (
    name           varchar(255) PRIMARY KEY,
    -- False for a controller that is known by its reports alone.
    registered     boolean      NOT NULL DEFAULT false,
    platforms      text[]       NOT NULL DEFAULT '{}',
    kinds          text[]       NOT NULL DEFAULT '{}',
    finalizes      boolean      NOT NULL DEFAULT false,
    required       boolean      NOT NULL DEFAULT false,
    -- By kind and platform: since when it is required, and when that and whether its reports count has changed.
    required_since jsonb        NOT NULL DEFAULT '{}',
    turns          jsonb        NOT NULL DEFAULT '{}',
    retired_at     timestamptz,
    -- When it was retired last, whether or not it has come back: deletions that it held go on.
    let_go_at      timestamptz,
    created_at     timestamptz  NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO controllers (name, created_at)
SELECT controller_name, min(created_at) FROM (
    SELECT controller_name, created_at FROM controller_status
    UNION ALL SELECT controller_name, created_at FROM nodepool_controller_status) s
GROUP BY controller_name;

-- The version of the registry moves when a change of it changes who is waited for. A status that
-- was calculated under an older one is stale.
CREATE TABLE registry (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint  NOT NULL DEFAULT 1
);

INSERT INTO registry DEFAULT VALUES;

-- The specs that were replaced; the present one is in the resource itself.
CREATE TABLE cluster_revisions (
    cluster_id  uuid        NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    generation  bigint      NOT NULL,
    spec        jsonb       NOT NULL,
    created_by  text        NOT NULL,
    request_id  text        NOT NULL,
    created_at  timestamptz NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (cluster_id, generation)
);

CREATE TABLE nodepool_revisions (LIKE cluster_revisions INCLUDING ALL);
ALTER TABLE nodepool_revisions RENAME COLUMN cluster_id TO nodepool_id;
ALTER TABLE nodepool_revisions ADD FOREIGN KEY (nodepool_id) REFERENCES nodepools (id) ON DELETE CASCADE;

CREATE INDEX cluster_revisions_age  ON cluster_revisions (replaced_at);
CREATE INDEX nodepool_revisions_age ON nodepool_revisions (replaced_at);

-- What happened to a resource of either kind: its changes and their publications, which are
-- written down as they are published (until then the outbox has them), and what reports moved.
CREATE TABLE timeline (
    resource_id uuid        NOT NULL,
    at          timestamptz NOT NULL,
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    what        text        NOT NULL,
    generation  bigint      NOT NULL,
    request_id  text        NOT NULL,
    details     jsonb       NOT NULL,
    PRIMARY KEY (resource_id, at, id)
);

-- Rows come in the order of time, more or less.
CREATE INDEX timeline_age ON timeline USING brin (at);

-- +goose StatementBegin
CREATE FUNCTION clusters_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM timeline WHERE resource_id = OLD.id;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER clusters_forget
    AFTER DELETE ON clusters
    FOR EACH ROW EXECUTE FUNCTION clusters_forget();

ALTER TABLE clusters
    -- Who began the present generation, and by which request.
    ADD COLUMN generation_by         text NOT NULL DEFAULT '',
    ADD COLUMN generation_request_id text NOT NULL DEFAULT '',
    ADD COLUMN registry_version bigint NOT NULL DEFAULT 1,
    -- Whom the deletion waits for, and who has ended the waiting by force, and why.
    ADD COLUMN holders      text[] NOT NULL DEFAULT '{}',
    ADD COLUMN forced_by    text   NOT NULL DEFAULT '',
    ADD COLUMN force_reason text   NOT NULL DEFAULT '';
ALTER TABLE nodepools
    ADD COLUMN generation_by         text NOT NULL DEFAULT '',
    ADD COLUMN generation_request_id text NOT NULL DEFAULT '',
    ADD COLUMN registry_version bigint NOT NULL DEFAULT 1,
    ADD COLUMN holders      text[] NOT NULL DEFAULT '{}',
    ADD COLUMN forced_by    text   NOT NULL DEFAULT '',
    ADD COLUMN force_reason text   NOT NULL DEFAULT '';

-- store_report as before, and: the report of a retired controller counts nowhere, the first one
-- of a controller makes it known, Finalized=True in one of the deletion's generation lets go, and
-- what moves is written down with the request's id. A further outcome is
--   retired   the controller is
-- +goose StatementBegin
CREATE FUNCTION store_report(
    r_cluster uuid, r_controller text, r_generation bigint, r_conditions jsonb, r_metadata jsonb, r_error jsonb,
    r_available text, r_failed boolean, r_error_type text, r_content bytea, r_signal bytea,
    heartbeat interval, debounce interval, r_request text,
    OUT outcome text, OUT observed bigint
) LANGUAGE plpgsql AS $$
DECLARE
    seen   record;
    kept   record;
    moment timestamptz;
BEGIN
    -- Without a lock: most reports say nothing new.
    SELECT c.generation, c.deleted_at IS NOT NULL AS deleted, s.updated_at AS heard_at,
           EXISTS (SELECT FROM controllers r WHERE r.name = r_controller AND r.retired_at IS NOT NULL) AS retired,
           coalesce(s.available_generation, 0) AS available_generation, s.signal, s.observed_generation AS observed,
           coalesce(s.content = r_content AND s.metadata = r_metadata
               AND s.observed_generation = CASE r_generation WHEN 0 THEN c.generation ELSE r_generation END, false) AS equal
    INTO seen
    FROM clusters c LEFT JOIN controller_status s ON s.cluster_id = c.id AND s.controller_name = r_controller
    WHERE c.id = r_cluster;

    observed := CASE r_generation WHEN 0 THEN seen.generation ELSE r_generation END;
    outcome := CASE WHEN seen.generation IS NULL THEN 'missing' WHEN seen.deleted THEN 'deleted'
        WHEN seen.retired THEN 'retired' WHEN seen.equal THEN 'equal' END;
    IF outcome = 'equal' AND seen.heard_at < now() - heartbeat THEN
        UPDATE controller_status SET updated_at = clock_timestamp()
        WHERE cluster_id = r_cluster AND controller_name = r_controller;
    END IF;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;

    -- The lock puts the reports on a cluster in order, with its changes and its deletion.
    SELECT c.generation, c.deletion_timestamp IS NOT NULL INTO seen.generation, seen.deleted FROM clusters c
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
    RETURNING s.moved_at = moment AS moved, s.created_at = moment AS first, s.available_generation INTO kept;
    IF NOT FOUND THEN
        SELECT CASE WHEN s.observed_generation > observed THEN 'stale' ELSE 'equal' END INTO outcome
        FROM controller_status s WHERE s.cluster_id = r_cluster AND s.controller_name = r_controller;
        RETURN;
    END IF;
    outcome := 'stored';

    IF kept.first THEN
        INSERT INTO controllers (name) VALUES (r_controller) ON CONFLICT DO NOTHING;
    END IF;
    IF seen.signal IS DISTINCT FROM r_signal OR seen.observed IS DISTINCT FROM observed THEN
        INSERT INTO timeline (resource_id, at, what, generation, request_id, details)
        VALUES (r_cluster, moment, 'report', observed, r_request, jsonb_build_object('controller_name', r_controller,
            'conditions', (SELECT coalesce(jsonb_agg(jsonb_build_object('type', e -> 'type', 'status', e -> 'status', 'reason', e -> 'reason')), '[]')
                           FROM jsonb_array_elements(r_conditions) e),
            'error_type', coalesce(r_error_type, ''), 'error_code', coalesce(r_error ->> 'error_code', '')));
    END IF;
    IF seen.deleted AND observed = seen.generation AND r_conditions @> '[{"type": "Finalized", "status": "True"}]' THEN
        UPDATE clusters SET holders = array_remove(holders, r_controller), status_dirty = true
        WHERE id = r_cluster AND r_controller = ANY (holders);
    END IF;

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

-- The previous version of the service calls it without the request's id.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION store_report(
    r_cluster uuid, r_controller text, r_generation bigint, r_conditions jsonb, r_metadata jsonb, r_error jsonb,
    r_available text, r_failed boolean, r_error_type text, r_content bytea, r_signal bytea,
    heartbeat interval, debounce interval,
    OUT outcome text, OUT observed bigint
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT s.outcome, s.observed INTO outcome, observed
    FROM store_report(r_cluster, r_controller, r_generation, r_conditions, r_metadata, r_error, r_available, r_failed, r_error_type,
        r_content, r_signal, heartbeat, debounce, '') s;
END
$$;
-- +goose StatementEnd

SELECT like_clusters();

CREATE INDEX nodepool_controller_status_name ON nodepool_controller_status (controller_name);
-- The second part of its predicate is for those alone who look for an older version: nobody else can walk it.
CREATE INDEX nodepools_registry ON nodepools (registry_version) WHERE deleted_at IS NULL AND registry_version > 0;
-- Deletions that wait for no controller any more.
CREATE INDEX nodepools_let_go ON nodepools (deletion_timestamp) WHERE deletion_timestamp IS NOT NULL AND deleted_at IS NULL AND holders = '{}';

-- +goose Down

DROP INDEX nodepools_let_go;
DROP INDEX nodepool_controller_status_name;
DROP INDEX nodepools_registry;

DROP TRIGGER clusters_forget ON clusters;
DROP FUNCTION store_report(uuid, text, bigint, jsonb, jsonb, jsonb, text, boolean, text, bytea, bytea, interval, interval, text);
DROP FUNCTION store_nodepool_report(uuid, text, bigint, jsonb, jsonb, jsonb, text, boolean, text, bytea, bytea, interval, interval, text);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION store_report(
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

SELECT like_clusters();

DROP FUNCTION clusters_forget();
DROP FUNCTION nodepools_forget();
DROP TABLE timeline;
DROP TABLE nodepool_revisions;
DROP TABLE cluster_revisions;
ALTER TABLE nodepools DROP COLUMN generation_by, DROP COLUMN generation_request_id, DROP COLUMN registry_version, DROP COLUMN holders, DROP COLUMN forced_by, DROP COLUMN force_reason;
ALTER TABLE clusters DROP COLUMN generation_by, DROP COLUMN generation_request_id, DROP COLUMN registry_version, DROP COLUMN holders, DROP COLUMN forced_by, DROP COLUMN force_reason;
DROP TABLE registry;
DROP TABLE controllers;
