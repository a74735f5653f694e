-- The labels of living clusters, a row each, in the order of lists. A list by a label reads
-- as many entries of this index as it shows, however many clusters have the label.

-- +goose Up

CREATE TABLE cluster_labels (
    key        text        NOT NULL,
    value      text        NOT NULL,
    created_at timestamptz NOT NULL,
    cluster_id uuid        NOT NULL,
    PRIMARY KEY (key, value, created_at, cluster_id)
);

-- Rows come with a cluster and go with its labels or its deletion, and are found by all of
-- their columns: a foreign key would need an index of its own.
-- +goose StatementBegin
CREATE FUNCTION clusters_label() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM cluster_labels l USING jsonb_each_text(OLD.labels) o
        WHERE l.key = o.key AND l.value = o.value AND l.created_at = OLD.created_at AND l.cluster_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
        INSERT INTO cluster_labels (key, value, created_at, cluster_id)
        SELECT n.key, n.value, NEW.created_at, NEW.id FROM jsonb_each_text(NEW.labels) n WHERE n.value IS NOT NULL
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER clusters_labelled
    AFTER INSERT ON clusters
    FOR EACH ROW WHEN (NEW.labels <> '{}')
    EXECUTE FUNCTION clusters_label();

CREATE TRIGGER clusters_relabelled
    AFTER UPDATE OF labels, created_at, deleted_at ON clusters
    FOR EACH ROW WHEN (OLD.labels <> NEW.labels OR OLD.created_at <> NEW.created_at
        OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL))
    EXECUTE FUNCTION clusters_label();

CREATE TRIGGER clusters_unlabelled
    AFTER DELETE ON clusters
    FOR EACH ROW WHEN (OLD.labels <> '{}')
    EXECUTE FUNCTION clusters_label();

-- +goose Down

DROP TRIGGER clusters_unlabelled ON clusters;
DROP TRIGGER clusters_relabelled ON clusters;
DROP TRIGGER clusters_labelled ON clusters;
DROP FUNCTION clusters_label();
DROP TABLE cluster_labels;
