-- The answers to POSTs with an Idempotency-Key. A key is stored with what was created, in one
-- transaction.

-- +goose Up

CREATE TABLE idempotency_keys (
    identity   text        NOT NULL,
    route      text        NOT NULL,
    key        text        NOT NULL,
    -- A digest of the body that came with it.
    request    bytea       NOT NULL,
    etag       text        NOT NULL DEFAULT '',
    location   text        NOT NULL DEFAULT '',
    body       bytea       NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (identity, route, key)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- +goose Down

DROP TABLE idempotency_keys;
