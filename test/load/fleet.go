package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The callers.
const (
	admin      = "admin@bench.example"
	controller = "controller@system.local" // the identity that CONTROLLER_IDENTITIES defaults to
	newcomer   = "newcomer@bench.example"  // who creates clusters
)

// The shape of the fleet. It grows by owners: fifty for each 10,000 clusters, of whom each has 200.
const (
	owners      = 50
	perOwners   = 10_000
	costCenters = 100
	failedEvery = 50 // every 50th cluster is Failed; the others are Ready
)

func platforms() []string { return []string{"gcp", "aws", "azure"} }

func environments() []string { return []string{"prod", "stage", "dev"} }

func clusterID(i int) string   { return idPrefix + fmt.Sprintf("%012d", i) }
func poolID(i int) string      { return poolPrefix + fmt.Sprintf("%012d", i) }
func clusterName(i int) string { return fmt.Sprintf("cluster-%03d", i/owners) }
func platform(i int) string    { return platforms()[i%3] }
func environment(i int) string { return environments()[i/3%3] }
func costCenter(i int) string  { return fmt.Sprintf("cc-%02d", i%costCenters) }
func owner(i int) string       { return fmt.Sprintf("owner-%02d@bench.example", i%owners+i/perOwners*owners) }

// idPrefix makes ids of version 7 that grow with their number, as the service's own grow
// with time.
const (
	idPrefix   = "01900000-0000-7000-8000-"
	poolPrefix = "01900000-0000-7000-9000-"
)

func labels(i int) map[string]string {
	return map[string]string{"env": environment(i), "team": fmt.Sprintf("team-%d", i/7%20), "cost-center": costCenter(i)}
}

// spec is about 1 KB of JSON as a user writes it. Those for gcp carry a signing key, as
// its command line sends one, which every answer to a user must leave out.
func spec(i int) json.RawMessage {
	key := ""
	if platform(i) == "gcp" {
		key = `"serviceAccountSigningKey":"` + strings.Repeat("c2lnbmluZy1rZXktbWF0ZXJpYWwt", 8) + `",`
	}
	return json.RawMessage(fmt.Sprintf(`{%s"infraID":"infra-%06d","platform":{"type":%q,"region":"region-%d","projectID":"project-%d",`+
		`"network":{"name":"net-%d","subnets":[{"name":"nodes","cidr":"10.%d.0.0/18","zone":"a"},`+
		`{"name":"pods","cidr":"10.%d.64.0/18","zone":"b"},`+
		`{"name":"services","cidr":"10.%d.128.0/20","zone":"c"}]},"tags":{"managed-by":"cls","owner":%q,"purpose":"a fleet member"}},`+
		`"release":{"version":"4.20.3","channelGroup":"stable","image":"registry.example/release@sha256:%064d"},`+
		`"networking":{"clusterNetwork":["10.128.0.0/14"],"serviceNetwork":["172.30.0.0/16"],"machineNetwork":["10.0.0.0/16"],`+
		`"type":"OVNKubernetes"},`+
		`"dns":{"baseDomain":"fleet-%d.example","publicZone":"zone-%d","privateZone":"private-%d"},`+
		`"etcd":{"encryption":true,"storage":{"size":"16Gi","class":"fast"}},"autoscaling":{"enabled":true,"minNodes":3,"maxNodes":12},`+
		`"nodes":{"replicas":3,"machineType":"standard-8","diskGiB":120}}`,
		key, i, platform(i), i%7, i%97, i%97, i%200, i%200, i%200, owner(i), i, i%31, i%31, i%31))
}

// controllers are the three that report on each cluster, and on its node pool.
func controllers(i int) []string { return []string{"dns", "network", platform(i) + "-provisioner"} }

// report is what a controller says of a cluster when all is well, or of every 50th that
// the last one has given up.
func report(i, slot int) v1.StatusReport {
	r := v1.StatusReport{
		ControllerName: controllers(i)[slot], ObservedGeneration: 1,
		Conditions: []v1.ReportedCondition{
			{Type: "Applied", Status: v1.ConditionTrue, Reason: "Applied", Message: "all resources are applied"},
			{Type: v1.ConditionAvailable, Status: v1.ConditionTrue, Reason: "Ready", Message: "everything is there and answers"},
			{Type: "Healthy", Status: v1.ConditionTrue, Reason: "Probed", Message: "the last probe succeeded"},
		},
		Metadata: v1.Object(fmt.Sprintf(
			`{"platform":%q,"resources":{"created":12,"names":["zone-%d","record-%d"]},"version":"1.4.2"}`, platform(i), i, i)),
	}
	if failed(i) && slot == 2 {
		r.Conditions[1].Status, r.Conditions[1].Reason = v1.ConditionFalse, "QuotaExceeded"
		r.LastError = &v1.ReportError{
			ErrorType: v1.ErrorConfiguration, ErrorCode: "QUOTA", Message: "the project has no quota left", UserActionable: true,
		}
	}
	return r
}

func failed(i int) bool { return i%failedEvery == failedEvery-1 }

// age is how long ago the fleet was made, and last reported: long enough to be out of the
// attention lane, and for the next heartbeat to be due.
const age = 24 * time.Hour

// filling is a part of the fleet that a database is filled with.
type filling struct {
	from, to int // numbers of clusters
	then     time.Time
	due      func() time.Time // when the controllers are first woken
	// like has what the service calculates; nil leaves that to it.
	like *likeness
}

// seed fills a migrated database. Triggers are off, so that nothing is marked or woken
// 30,000 times; the service calculates the statuses when it starts.
func seed(ctx context.Context, db *pgx.Conn, f filling) error {
	if _, err := db.Exec(ctx, `SET session_replication_role = replica`); err != nil {
		return fmt.Errorf("switch triggers off: %w", err)
	}
	for _, t := range f.tables() {
		rows := pgx.CopyFromSlice(t.each*(f.to-f.from), func(k int) ([]any, error) { return t.row(t.each*f.from + k), nil })
		if _, err := db.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, rows); err != nil {
			return fmt.Errorf("fill %s: %w", t.name, err)
		}
	}
	for _, sql := range []string{pooledReports, clusterLabels, poolLabels} {
		if _, err := db.Exec(ctx, sql, clusterID(f.from), clusterID(f.to)); err != nil {
			return fmt.Errorf("fill what follows from others: %w", err)
		}
	}
	if _, err := db.Exec(ctx, `RESET session_replication_role`); err != nil {
		return fmt.Errorf("switch triggers on: %w", err)
	}
	return nil
}

// filled is a table, with so many rows for each cluster.
type filled struct {
	name    string
	columns []string
	each    int
	row     func(int) []any
}

func (f filling) tables() []filled {
	base := []string{"name", "created_by", "labels", "spec", "created_at", "updated_at", "generation_started_at", "id"}
	resource := func(i int, id, name string) []any {
		at := f.then.Add(time.Duration(i) * time.Second)
		if f.like != nil { // What is added later is older, so that nothing is from the future.
			at = f.then.Add(-time.Duration(i) * time.Second)
		}
		return []any{name, owner(i), labels(i), spec(i), at, at, f.then, id}
	}
	tables := []filled{
		{
			"clusters", slices.Concat(base, f.like.columns("clusters")), 1,
			func(i int) []any {
				return append(resource(i, clusterID(i), clusterName(i)), f.like.row("clusters", i)...)
			},
		},
		// Each cluster has a node pool that is like it.
		{
			"nodepools", slices.Concat(base, []string{"cluster_id"}, f.like.columns("nodepools")), 1,
			func(i int) []any {
				return append(append(resource(i, poolID(i), "workers"), clusterID(i)), f.like.row("nodepools", i)...)
			},
		},
		{
			"controller_status", reportFields(), 3,
			func(k int) []any { return reportRow(k/3, report(k/3, k%3), f.then) },
		},
		{
			"reconciliation_schedule",
			[]string{"cluster_id", "next_reconcile_at"},
			1,
			func(i int) []any { return []any{clusterID(i), f.due()} },
		},
		{
			"nodepool_schedule",
			[]string{"nodepool_id", "next_reconcile_at"},
			1,
			func(i int) []any { return []any{poolID(i), f.due()} },
		},
	}
	if f.like == nil {
		tables = append(tables,
			filled{"stale_statuses", []string{"cluster_id"}, 1, func(i int) []any { return []any{clusterID(i)} }},
			filled{"stale_nodepool_statuses", []string{"nodepool_id"}, 1, func(i int) []any { return []any{poolID(i)} }})
	}
	return tables
}

// reportColumns are those of a report but for what it is on.
const reportColumns = "controller_name, observed_generation, conditions, metadata, last_error, available, content, signal, " +
	"failed, error_type, available_generation, updated_at, stored_at, counted_at, moved_at, created_at, available_changed_at"

// reportFields are the columns of a report on a cluster, as reportRow fills them.
func reportFields() []string {
	return append([]string{"cluster_id"}, strings.Split(reportColumns, ", ")...)
}

// What follows from the clusters $1 up to, but without, $2: the reports on their node pools, and what the triggers would
// have done for labels.
const (
	pooledReports = `
	INSERT INTO nodepool_controller_status (nodepool_id, ` + reportColumns + `)
	SELECT replace(cluster_id::text, '` + idPrefix + `', '` + poolPrefix + `')::uuid, ` + reportColumns + `
	FROM controller_status WHERE cluster_id >= $1 AND cluster_id < $2`

	clusterLabels = `
	INSERT INTO cluster_labels (key, value, created_at, cluster_id)
	SELECT l.key, l.value, c.created_at, c.id FROM clusters c, jsonb_each_text(c.labels) l WHERE c.id >= $1 AND c.id < $2`

	poolLabels = `
	INSERT INTO nodepool_labels (key, value, created_at, nodepool_id)
	SELECT l.key, l.value, p.created_at, p.id FROM nodepools p, jsonb_each_text(p.labels) l
	WHERE p.cluster_id >= $1 AND p.cluster_id < $2`
)

// reportRow is a report as the service stores it, with its digests, so that the same
// report over the API counts as equal.
func reportRow(i int, r v1.StatusReport, at time.Time) []any {
	content, signal := models.Content(r), models.Signal(r)
	available := models.AvailableStatus(r)
	generation := 0
	if available == v1.ConditionTrue {
		generation = 1
	}
	var lastError, errorType any
	if r.LastError != nil {
		lastError, errorType = r.LastError, r.LastError.ErrorType
	}
	return []any{
		clusterID(i), r.ControllerName, r.ObservedGeneration, r.Conditions, json.RawMessage(r.Metadata), lastError, string(available),
		content[:], signal[:], models.SaysFailed(r), errorType, generation, at, at, at, at, at, at,
	}
}
