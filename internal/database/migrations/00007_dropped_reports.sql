-- A controller's report can be dropped. That changes who is expected, which a status dates its
-- transitions and counts its deadline from.

-- +goose Up

-- When a report on the cluster was last dropped; null for never.
ALTER TABLE clusters ADD COLUMN report_dropped_at timestamptz;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION controller_status_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- For a row that comes, all of OLD is null; for one that goes, all of NEW.
    UPDATE clusters
    SET resource_version = resource_version + 1,
        status_dirty = status_dirty OR
            (OLD.observed_generation, OLD.available, OLD.failed, OLD.error_type)
            IS DISTINCT FROM (NEW.observed_generation, NEW.available, NEW.failed, NEW.error_type),
        report_dropped_at = CASE TG_OP WHEN 'DELETE' THEN clock_timestamp() ELSE report_dropped_at END
    WHERE id = coalesce(NEW.cluster_id, OLD.cluster_id);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose Down

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION controller_status_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
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

ALTER TABLE clusters DROP COLUMN report_dropped_at;
