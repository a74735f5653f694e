-- The key by which the tokens of pages are signed. It is in the database so that every replica
-- takes the tokens of all others. A new one makes those that are out invalid, and nothing else:
-- replicas read it as they start.

-- +goose Up

CREATE TABLE page_token_key (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    key      bytea   NOT NULL CHECK (length(key) = 32)
);

-- A random UUID has 122 bits from a cryptographic source; four of them are more than a key has.
INSERT INTO page_token_key (key) SELECT sha256(string_agg(gen_random_uuid()::text, '')::bytea) FROM generate_series(1, 4);

-- +goose Down

DROP TABLE page_token_key;
