-- A controller that has nothing to report on is heard of by its registrations.

-- +goose Up

ALTER TABLE controllers ADD COLUMN heard_at timestamptz;

-- +goose Down

ALTER TABLE controllers DROP COLUMN heard_at;
