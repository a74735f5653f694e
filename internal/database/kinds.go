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
	// A new node pool belongs to its cluster.
	newOwner, "home.created_by", newSpec, inheritRelease, inItsCluster, inHome,
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

// What is said of a new cluster, by marks that its node pools replace.
const (
	newOwner     = `/* owner */ $13`
	newSpec      = `/* spec */ $15`
	inItsCluster = ` /* in its cluster */`
)

const (
	// inHome is the cluster of a new node pool, which must live on. The lock keeps a deletion out until it is there.
	inHome = `, (SELECT created_by, ` + clusterRelease + ` AS release FROM clusters
		WHERE id = $9 AND deletion_timestamp IS NULL AND ($13 = '' OR created_by = $13) FOR SHARE) home`
	// inheritRelease fills in the release of the cluster, as models.Rules fill in a default.
	inheritRelease = `CASE
		WHEN home.release = '' OR coalesce($15::jsonb #>> '{release,version}', '') <> ''
			OR jsonb_typeof(coalesce($15::jsonb -> 'release', '{}')) <> 'object' THEN $15::jsonb
		ELSE $15::jsonb || jsonb_build_object('release',
			coalesce($15::jsonb -> 'release', '{}') || jsonb_build_object('version', home.release)) END`
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
