package database

import (
	"strings"
	"sync"

	"github.com/cls-backend/cls-backend/internal/models"
)

// ofNodePools turns a statement on clusters into the same one on node pools. Each table, function
// and column of theirs is named after its model by one rule, which the schema knows as
// like_clusters (migrations/00008_nodepools.sql), so every statement is written once.
//
// The pairs are tried in this order at each place of the text.
//
//nolint:gochecknoglobals // a constant table
var ofNodePools = strings.NewReplacer(
	// A node pool has none itself.
	withPools, "AND false",
	// A new node pool needs a cluster that lives on. The lock keeps a deletion out until it is there.
	"/* in its cluster */", ", (SELECT FROM clusters WHERE id = $9 AND deletion_timestamp IS NULL FOR SHARE) its_cluster",
	"$1::uuid AS in_cluster", "(SELECT cluster_id FROM nodepools WHERE id = $1) AS in_cluster",
	// An event names the cluster beside the resource.
	"kind, cluster_id, resource_id", "kind, cluster_id, resource_id",
	"'cluster', c.id, c.id", "'nodepool', c.cluster_id, c.id",
	// The one column that clusters and node pools do not have in common.
	"target_project_id", "cluster_id",
	"clusters", "nodepools",
	"cluster_id", "nodepool_id",
	"cluster_labels", "nodepool_labels",
	"cluster_revisions", "nodepool_revisions",
	"controller_status", "nodepool_controller_status",
	"reconciliation_schedule", "nodepool_schedule",
	"stale_statuses", "stale_nodepool_statuses",
	"store_report", "store_nodepool_report",
)

// statements are those on the resources of one kind.
type statements struct {
	db   *DB
	kind models.Kind
}

// renamed are the statements on node pools, by those on clusters: renaming one costs ten microseconds.
var renamed sync.Map //nolint:gochecknoglobals // of constant texts, which are as many as there are in this package

// sql returns a statement on clusters, a constant, as one on resources of the kind.
func (s *statements) sql(onClusters string) string {
	if s.kind == models.KindCluster {
		return onClusters
	}
	known, ok := renamed.Load(onClusters)
	if sql, isText := known.(string); ok && isText {
		return sql
	}
	sql := ofNodePools.Replace(onClusters)
	renamed.Store(onClusters, sql)
	return sql
}

// composed is sql for a statement that is put together for a call.
func (s *statements) composed(onClusters string) string {
	if s.kind == models.KindCluster {
		return onClusters
	}
	return ofNodePools.Replace(onClusters)
}

// Resources are the statements on the resources of one kind, beside those of the [DB] itself.
type Resources struct {
	*DB
	statements
}

// Resources returns the statements on the resources of a kind.
func (db *DB) Resources(kind models.Kind) *Resources {
	return &Resources{DB: db, statements: statements{db, kind}}
}
