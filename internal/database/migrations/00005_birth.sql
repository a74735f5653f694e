-- One trigger does what a new cluster needs, its place in the schedule and its labels, instead
-- of two that look for conflicts where there can be none: the id is new.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION clusters_born() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The service says with its INSERT when a new cluster is to be woken first; others need not.
    INSERT INTO reconciliation_schedule (cluster_id, next_reconcile_at, enabled)
    VALUES (NEW.id, now() + coalesce(nullif(current_setting('cls.first_wake', true), ''), '30 seconds')::interval, NOT NEW.paused);
    IF NEW.deleted_at IS NULL AND NEW.labels <> '{}' THEN
        INSERT INTO cluster_labels (key, value, created_at, cluster_id)
        SELECT n.key, n.value, NEW.created_at, NEW.id FROM jsonb_each_text(NEW.labels) n WHERE n.value IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

DROP TRIGGER clusters_schedule ON clusters;
DROP TRIGGER clusters_labelled ON clusters;
DROP FUNCTION clusters_schedule();

CREATE TRIGGER clusters_born
    AFTER INSERT ON clusters
    FOR EACH ROW EXECUTE FUNCTION clusters_born();

-- +goose Down

-- +goose StatementBegin
CREATE FUNCTION clusters_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reconciliation_schedule (cluster_id, next_reconcile_at, enabled)
    VALUES (NEW.id, now() + coalesce(nullif(current_setting('cls.first_wake', true), ''), '30 seconds')::interval, NOT NEW.paused)
    ON CONFLICT (cluster_id) DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

DROP TRIGGER clusters_born ON clusters;
DROP FUNCTION clusters_born();

CREATE TRIGGER clusters_schedule
    AFTER INSERT ON clusters
    FOR EACH ROW EXECUTE FUNCTION clusters_schedule();

CREATE TRIGGER clusters_labelled
    AFTER INSERT ON clusters
    FOR EACH ROW WHEN (NEW.labels <> '{}')
    EXECUTE FUNCTION clusters_label();
