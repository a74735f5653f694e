-- Node pools: what clusters have, under other names. The functions and triggers are made from
-- those of clusters; a migration that changes those calls like_clusters() again.

-- +goose Up

CREATE TABLE nodepools (LIKE clusters INCLUDING ALL EXCLUDING INDEXES);
ALTER TABLE nodepools DROP COLUMN target_project_id;
ALTER TABLE nodepools ADD PRIMARY KEY (id), ADD COLUMN cluster_id uuid NOT NULL REFERENCES clusters (id) ON DELETE CASCADE;
COMMENT ON COLUMN nodepools.created_by IS 'the owner of the cluster';

CREATE UNIQUE INDEX nodepools_name_key ON nodepools (cluster_id, name) WHERE deleted_at IS NULL;
-- Of tombstones too: they go with their cluster.
CREATE INDEX nodepools_cluster  ON nodepools (cluster_id, created_at DESC, id DESC);
CREATE INDEX nodepools_newest   ON nodepools (created_at DESC, id DESC)             WHERE deleted_at IS NULL;
CREATE INDEX nodepools_owner    ON nodepools (created_by, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX nodepools_phase    ON nodepools (phase, created_at DESC, id DESC)      WHERE deleted_at IS NULL;
CREATE INDEX nodepools_platform ON nodepools (platform, created_at DESC, id DESC)   WHERE deleted_at IS NULL;
CREATE INDEX nodepools_name     ON nodepools (name, created_at DESC, id DESC)       WHERE deleted_at IS NULL;
CREATE INDEX nodepools_labels   ON nodepools USING gin (labels)                     WHERE deleted_at IS NULL;
CREATE INDEX nodepools_recheck  ON nodepools (recheck_at) WHERE recheck_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX nodepools_deleted  ON nodepools (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE stale_nodepool_statuses (LIKE stale_statuses INCLUDING ALL);
ALTER TABLE stale_nodepool_statuses RENAME COLUMN cluster_id TO nodepool_id;

CREATE TABLE nodepool_labels (LIKE cluster_labels INCLUDING ALL);
ALTER TABLE nodepool_labels RENAME COLUMN cluster_id TO nodepool_id;

CREATE TABLE nodepool_controller_status (LIKE controller_status INCLUDING ALL);
ALTER TABLE nodepool_controller_status RENAME COLUMN cluster_id TO nodepool_id;
ALTER TABLE nodepool_controller_status ADD FOREIGN KEY (nodepool_id) REFERENCES nodepools (id) ON DELETE CASCADE;

CREATE TABLE nodepool_schedule (LIKE reconciliation_schedule INCLUDING ALL);
ALTER TABLE nodepool_schedule RENAME COLUMN cluster_id TO nodepool_id;
ALTER TABLE nodepool_schedule ADD FOREIGN KEY (nodepool_id) REFERENCES nodepools (id) ON DELETE CASCADE;

ALTER TABLE stale_nodepool_statuses SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE nodepools SET (fillfactor = 80);
ALTER TABLE nodepool_controller_status SET (fillfactor = 80);
ALTER TABLE nodepool_schedule SET (fillfactor = 80);

-- nodepool_names is the rule by which what node pools have is named after what clusters have. The
-- service names its statements by the same one.
CREATE FUNCTION nodepool_names(of_clusters text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(replace(replace(replace(replace(replace(replace(of_clusters,
        'clusters', 'nodepools'),
        'cluster_revisions', 'nodepool_revisions'),
        'cluster_id', 'nodepool_id'),
        'cluster_labels', 'nodepool_labels'),
        'controller_status', 'nodepool_controller_status'),
        'reconciliation_schedule', 'nodepool_schedule'),
        'stale_statuses', 'stale_nodepool_statuses'),
        'store_report', 'store_nodepool_report')
$$;

-- like_clusters makes the functions and triggers of node pools those of clusters.
-- +goose StatementBegin
CREATE FUNCTION like_clusters() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    definition text;
BEGIN
    FOR definition IN
        SELECT nodepool_names(pg_get_functiondef(p.oid)) FROM pg_proc p
        WHERE p.pronamespace = current_schema::regnamespace
          AND (p.proname = 'store_report' OR p.oid IN (
              SELECT tgfoid FROM pg_trigger WHERE tgrelid IN ('clusters'::regclass, 'controller_status'::regclass) AND NOT tgisinternal))
    LOOP
        EXECUTE definition;
    END LOOP;
    FOR definition IN
        SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger
        WHERE tgrelid IN ('nodepools'::regclass, 'nodepool_controller_status'::regclass) AND NOT tgisinternal
        UNION ALL
        SELECT nodepool_names(pg_get_triggerdef(oid)) FROM pg_trigger
        WHERE tgrelid IN ('clusters'::regclass, 'controller_status'::regclass) AND NOT tgisinternal
    LOOP
        EXECUTE definition;
    END LOOP;
END
$$;
-- +goose StatementEnd

SELECT like_clusters();

-- +goose Down

DROP TABLE nodepool_schedule;
DROP TABLE nodepool_controller_status;
DROP TABLE nodepool_labels;
DROP TABLE stale_nodepool_statuses;
DROP TABLE nodepools;
DROP FUNCTION store_nodepool_report;
DROP FUNCTION nodepool_controller_status_mark();
DROP FUNCTION nodepools_born();
DROP FUNCTION nodepools_label();
DROP FUNCTION nodepools_stale();
DROP FUNCTION nodepools_touch();
DROP FUNCTION like_clusters();
DROP FUNCTION nodepool_names(text);
