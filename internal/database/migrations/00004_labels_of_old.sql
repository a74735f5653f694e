-- The labels of the clusters that were there before the triggers of 00003. A commit every
-- thousand clusters, so that nobody waits for long; running it again does no harm.

-- +goose NO TRANSACTION
-- +goose Up

-- +goose StatementBegin
DO $$
DECLARE
    done  uuid := '00000000-0000-0000-0000-000000000000';
    batch uuid[];
BEGIN
    LOOP
        SELECT array_agg(b.id ORDER BY b.id) INTO batch
        FROM (SELECT id FROM clusters WHERE id > done ORDER BY id LIMIT 1000) b;
        EXIT WHEN batch IS NULL;
        -- Under the lock of the row, so that no label comes back that is just being changed.
        INSERT INTO cluster_labels (key, value, created_at, cluster_id)
        SELECT l.key, l.value, c.created_at, c.id
        FROM (SELECT * FROM clusters WHERE id = ANY (batch) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE) c,
             jsonb_each_text(c.labels) l
        WHERE l.value IS NOT NULL
        ON CONFLICT DO NOTHING;
        done := batch[cardinality(batch)];
        COMMIT;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down

-- The rows go with their table.
