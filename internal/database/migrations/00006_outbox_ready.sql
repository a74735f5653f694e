-- The index of the claim, in place of outbox_changes. Its predicate follows from a comparison of
-- available_at, which only the claim makes: what looks for the queue of one resource cannot use
-- this index any more, and did when the outbox was empty as its plan was made.

-- +goose NO TRANSACTION
-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS outbox_ready;
CREATE INDEX CONCURRENTLY outbox_ready ON outbox (available_at, seq)
    WHERE published_at IS NULL AND set_aside_at IS NULL AND NOT wake AND available_at IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS outbox_changes;

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS outbox_changes;
CREATE INDEX CONCURRENTLY outbox_changes ON outbox (available_at, seq)
    WHERE published_at IS NULL AND set_aside_at IS NULL AND NOT wake;
DROP INDEX CONCURRENTLY IF EXISTS outbox_ready;
