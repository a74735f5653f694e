-- The complete schema of clusters, their reports, their schedule, and the outbox.

-- +goose Up

CREATE TABLE clusters (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name                  varchar(255) NOT NULL,
    target_project_id     text         NOT NULL DEFAULT '',
    description           text         NOT NULL DEFAULT '',
    paused                boolean      NOT NULL DEFAULT false,
    deletion_protection   boolean      NOT NULL DEFAULT false,
    labels                jsonb        NOT NULL DEFAULT '{}',
    spec                  jsonb        NOT NULL DEFAULT '{}',
    created_by            varchar(255) NOT NULL,
    generation            bigint       NOT NULL DEFAULT 1,
    generation_started_at timestamptz  NOT NULL DEFAULT now(),
    resource_version      bigint       NOT NULL DEFAULT 1,
    created_at            timestamptz  NOT NULL DEFAULT now(),
    updated_at            timestamptz  NOT NULL DEFAULT now(),
    deletion_timestamp    timestamptz,
    deleted_at            timestamptz,
    -- The cached status, and whether facts have come in since it was calculated.
    status                jsonb,
    status_dirty          boolean      NOT NULL DEFAULT true,
    -- When time alone changes the status; null when it does not.
    recheck_at            timestamptz,
    platform              text         NOT NULL GENERATED ALWAYS AS (lower(coalesce(spec #>> '{platform,type}', ''))) STORED,
    phase                 text         NOT NULL GENERATED ALWAYS AS (coalesce(status ->> 'phase', 'Pending')) STORED
);

COMMENT ON COLUMN clusters.resource_version IS
    'moves with every fact that counts; a calculated status is stored only while it stands';

-- A name is free again once its cluster is deleted.
CREATE UNIQUE INDEX clusters_name_key ON clusters (created_by, name) WHERE deleted_at IS NULL;
-- Lists: newest first, ties broken by id; alone and under each filter.
CREATE INDEX clusters_newest   ON clusters (created_at DESC, id DESC)             WHERE deleted_at IS NULL;
CREATE INDEX clusters_owner    ON clusters (created_by, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX clusters_phase    ON clusters (phase, created_at DESC, id DESC)      WHERE deleted_at IS NULL;
CREATE INDEX clusters_platform ON clusters (platform, created_at DESC, id DESC)   WHERE deleted_at IS NULL;
CREATE INDEX clusters_name     ON clusters (name, created_at DESC, id DESC)       WHERE deleted_at IS NULL;
CREATE INDEX clusters_labels   ON clusters USING gin (labels)                     WHERE deleted_at IS NULL;
-- What a pass looks for: deadlines that have passed, and tombstones to purge.
CREATE INDEX clusters_recheck  ON clusters (recheck_at) WHERE recheck_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX clusters_deleted  ON clusters (deleted_at) WHERE deleted_at IS NOT NULL;

-- The clusters whose facts have changed since their status was calculated: an index on
-- clusters.status_dirty, kept by hand. A real one would make every report and every
-- calculation write to all the indexes of clusters, where they are HOT updates now. A new
-- cluster is not in it: Pending, which its phase says, is right until somebody reports.
CREATE TABLE stale_statuses (
    cluster_id uuid PRIMARY KEY
);

CREATE TABLE controller_status (
    cluster_id           uuid         NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    controller_name      varchar(255) NOT NULL,
    observed_generation  bigint       NOT NULL DEFAULT 1,
    conditions           jsonb        NOT NULL DEFAULT '[]',
    metadata             jsonb        NOT NULL DEFAULT '{}',
    last_error           jsonb,
    -- When it was last heard of, when what it says last differed, and when that last woke others.
    updated_at           timestamptz  NOT NULL DEFAULT clock_timestamp(),
    stored_at            timestamptz  NOT NULL DEFAULT clock_timestamp(),
    moved_at             timestamptz  NOT NULL DEFAULT clock_timestamp(),
    created_at           timestamptz  NOT NULL DEFAULT clock_timestamp(),
    -- What a status is calculated from: whether it says Failed=True, the type of its error
    -- (null for none), the status of its Available condition ('' for none), when that last
    -- changed, and the newest generation at which it was True.
    failed               boolean      NOT NULL DEFAULT false,
    error_type           text,
    available            text         NOT NULL DEFAULT '',
    available_changed_at timestamptz  NOT NULL DEFAULT clock_timestamp(),
    available_generation bigint       NOT NULL DEFAULT 0,
    -- Digests by which the next report is compared (see models.Content, models.Signal).
    content              bytea        NOT NULL DEFAULT '',
    signal               bytea        NOT NULL DEFAULT '',
    PRIMARY KEY (cluster_id, controller_name)
);

CREATE TABLE reconciliation_schedule (
    cluster_id        uuid        PRIMARY KEY REFERENCES clusters (id) ON DELETE CASCADE,
    next_reconcile_at timestamptz NOT NULL,
    enabled           boolean     NOT NULL DEFAULT true,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The next event was pulled forward by a report; how many such came in a row.
    reactive          boolean     NOT NULL DEFAULT false,
    reactive_wakes    integer     NOT NULL DEFAULT 0
);

CREATE INDEX reconciliation_schedule_due ON reconciliation_schedule (next_reconcile_at) WHERE enabled;

CREATE TABLE outbox (
    seq           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            uuid        NOT NULL,
    kind          text        NOT NULL,
    cluster_id    uuid        NOT NULL,
    resource_id   uuid        NOT NULL,
    type          text        NOT NULL,
    reason        text        NOT NULL,
    -- A wake-up is level-triggered: no order, at most one waiting, after the changes.
    wake          boolean     NOT NULL,
    generation    bigint      NOT NULL,
    platform      text        NOT NULL,
    created_by    text        NOT NULL,
    metadata      jsonb       NOT NULL,
    request_id    text        NOT NULL DEFAULT '',
    traceparent   text        NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Not to be tried before: the end of the pause after a failure of this event, or of
    -- the one that it waits for.
    available_at  timestamptz NOT NULL DEFAULT '-infinity',
    -- Whose lease it is under, and until when. In no index, so that a claim is a HOT update.
    claim         uuid,
    leased_until  timestamptz NOT NULL DEFAULT '-infinity',
    attempts      integer     NOT NULL DEFAULT 0,
    last_error    text        NOT NULL DEFAULT '',
    published_at  timestamptz,
    set_aside_at  timestamptz
);

CREATE INDEX outbox_changes ON outbox (available_at, seq) WHERE published_at IS NULL AND set_aside_at IS NULL AND NOT wake;
CREATE INDEX outbox_wakes   ON outbox (available_at, seq) WHERE published_at IS NULL AND set_aside_at IS NULL AND wake;
CREATE INDEX outbox_queue   ON outbox (resource_id, seq)  WHERE published_at IS NULL AND set_aside_at IS NULL AND NOT wake;
CREATE UNIQUE INDEX outbox_one_wake ON outbox (resource_id) WHERE published_at IS NULL AND set_aside_at IS NULL AND wake;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_set_aside ON outbox (set_aside_at) WHERE set_aside_at IS NOT NULL;

-- Rows come and go all day: vacuum long before a fifth of the table is dead.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, fillfactor = 70);
ALTER TABLE stale_statuses SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE clusters SET (fillfactor = 80);
ALTER TABLE controller_status SET (fillfactor = 80);
ALTER TABLE reconciliation_schedule SET (fillfactor = 80);

-- A change by a user moves updated_at; a new generation begins then and makes the status dirty.
-- +goose StatementBegin
CREATE FUNCTION clusters_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    IF NEW.generation <> OLD.generation THEN
        NEW.generation_started_at := NEW.updated_at;
        NEW.status_dirty := true;
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER clusters_touch
    BEFORE UPDATE OF spec, labels, description, paused, deletion_protection, deletion_timestamp ON clusters
    FOR EACH ROW EXECUTE FUNCTION clusters_touch();

-- +goose StatementBegin
CREATE FUNCTION clusters_stale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stale_statuses VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER clusters_stale
    AFTER UPDATE ON clusters
    FOR EACH ROW WHEN (NEW.status_dirty AND NEW.deleted_at IS NULL AND (NOT OLD.status_dirty OR OLD.status IS NULL))
    EXECUTE FUNCTION clusters_stale();

-- Every cluster is on the schedule, however its row came about. The service's own
-- statement has put it there before this runs, at the interval of its settings.
-- +goose StatementBegin
CREATE FUNCTION clusters_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reconciliation_schedule (cluster_id, next_reconcile_at, enabled)
    VALUES (NEW.id, now() + interval '30 seconds', NOT NEW.paused)
    ON CONFLICT (cluster_id) DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER clusters_schedule
    AFTER INSERT ON clusters
    FOR EACH ROW EXECUTE FUNCTION clusters_schedule();

-- A report that says anything new makes the status dirty, and is a new resource version.
-- +goose StatementBegin
CREATE FUNCTION controller_status_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE clusters SET status_dirty = true, resource_version = resource_version + 1
    WHERE id = coalesce(NEW.cluster_id, OLD.cluster_id);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER controller_status_mark
    AFTER INSERT OR DELETE ON controller_status
    FOR EACH ROW EXECUTE FUNCTION controller_status_mark();

CREATE TRIGGER controller_status_mark_changed
    AFTER UPDATE ON controller_status
    FOR EACH ROW WHEN (OLD.stored_at IS DISTINCT FROM NEW.stored_at) EXECUTE FUNCTION controller_status_mark();

-- +goose Down

DROP TABLE outbox;
DROP TABLE reconciliation_schedule;
DROP TABLE controller_status;
DROP TABLE stale_statuses;
DROP TABLE clusters;
DROP FUNCTION controller_status_mark();
DROP FUNCTION clusters_schedule();
DROP FUNCTION clusters_stale();
DROP FUNCTION clusters_touch();
