-- The orders of lists beside the newest first: by name, which the index by name and time does not
-- have for one name of many owners, and by the last change.

-- +goose NO TRANSACTION
-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS clusters_by_name;
CREATE INDEX CONCURRENTLY clusters_by_name ON clusters (name, id) WHERE deleted_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS clusters_by_change;
CREATE INDEX CONCURRENTLY clusters_by_change ON clusters (updated_at, id) WHERE deleted_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS nodepools_by_name;
CREATE INDEX CONCURRENTLY nodepools_by_name ON nodepools (name, id) WHERE deleted_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS nodepools_by_change;
CREATE INDEX CONCURRENTLY nodepools_by_change ON nodepools (updated_at, id) WHERE deleted_at IS NULL;

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS nodepools_by_change;
DROP INDEX CONCURRENTLY IF EXISTS nodepools_by_name;
DROP INDEX CONCURRENTLY IF EXISTS clusters_by_change;
DROP INDEX CONCURRENTLY IF EXISTS clusters_by_name;
