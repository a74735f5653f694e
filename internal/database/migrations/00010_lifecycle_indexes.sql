-- What 00009 has for node pools, for clusters, of which there may be many.

-- +goose NO TRANSACTION
-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS clusters_registry;
CREATE INDEX CONCURRENTLY clusters_registry ON clusters (registry_version) WHERE deleted_at IS NULL AND registry_version > 0;
DROP INDEX CONCURRENTLY IF EXISTS clusters_let_go;
CREATE INDEX CONCURRENTLY clusters_let_go ON clusters (deletion_timestamp)
    WHERE deletion_timestamp IS NOT NULL AND deleted_at IS NULL AND holders = '{}';
DROP INDEX CONCURRENTLY IF EXISTS controller_status_name;
CREATE INDEX CONCURRENTLY controller_status_name ON controller_status (controller_name);

-- +goose Down

DROP INDEX CONCURRENTLY IF EXISTS clusters_let_go;
DROP INDEX CONCURRENTLY IF EXISTS clusters_registry;
DROP INDEX CONCURRENTLY IF EXISTS controller_status_name;
