package main

import (
	"context"
	"encoding/json"
	"fmt"
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

// The shape of the fleet. Each owner has one cluster of every name.
const (
	owners      = 50
	costCenters = 100
	failedEvery = 50 // every 50th cluster is Failed; the others are Ready
)

func platforms() []string { return []string{"gcp", "aws", "azure"} }

func environments() []string { return []string{"prod", "stage", "dev"} }

func clusterID(i int) string   { return idPrefix + fmt.Sprintf("%012d", i) }
func poolID(i int) string      { return poolPrefix + fmt.Sprintf("%012d", i) }
func owner(i int) string       { return fmt.Sprintf("owner-%02d@bench.example", i%owners) }
func clusterName(i int) string { return fmt.Sprintf("cluster-%03d", i/owners) }
func platform(i int) string    { return platforms()[i%3] }
func environment(i int) string { return environments()[i/3%3] }
func costCenter(i int) string  { return fmt.Sprintf("cc-%02d", i%costCenters) }

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

// seed fills a migrated database. Triggers are off, so that nothing is marked or woken
// 30,000 times; the service calculates the statuses when it starts.
func seed(ctx context.Context, db *pgx.Conn, n int) error {
	if _, err := db.Exec(ctx, `SET session_replication_role = replica`); err != nil {
		return fmt.Errorf("switch triggers off: %w", err)
	}
	then := time.Now().Add(-age)
	tables := []struct {
		name    string
		columns []string
		rows    int
		row     func(int) ([]any, error)
	}{
		{
			"clusters",
			[]string{"id", "name", "created_by", "labels", "spec", "created_at", "updated_at", "generation_started_at"},
			n,
			func(i int) ([]any, error) {
				at := then.Add(time.Duration(i) * time.Second)
				return []any{clusterID(i), clusterName(i), owner(i), labels(i), spec(i), at, at, then}, nil
			},
		},
		{
			"controller_status",
			append([]string{"cluster_id"}, strings.Split(reportColumns, ", ")...),
			3 * n,
			func(k int) ([]any, error) { return reportRow(k/3, report(k/3, k%3), then), nil },
		},
		{
			"stale_statuses",
			[]string{"cluster_id"},
			n,
			func(i int) ([]any, error) { return []any{clusterID(i)}, nil },
		},
		{
			"reconciliation_schedule",
			[]string{"cluster_id", "next_reconcile_at"},
			n,
			func(i int) ([]any, error) { return []any{clusterID(i), time.Now()}, nil },
		},
	}
	for _, t := range tables {
		if _, err := db.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromSlice(t.rows, t.row)); err != nil {
			return fmt.Errorf("fill %s: %w", t.name, err)
		}
	}
	_, err := db.Exec(ctx, pooled+labelled)
	return err
}

// reportColumns are those of a report but for what it is on.
const reportColumns = "controller_name, observed_generation, conditions, metadata, last_error, available, content, signal, " +
	"failed, error_type, available_generation, updated_at, stored_at, counted_at, moved_at, created_at, available_changed_at"

// pooled gives each cluster a node pool that is like it.
const pooled = `
	INSERT INTO nodepools (id, cluster_id, name, created_by, labels, spec, created_at, updated_at, generation_started_at)
	SELECT replace(id::text, '` + idPrefix + `', '` + poolPrefix + `')::uuid, id, 'workers', created_by, labels, spec,
		created_at, updated_at, generation_started_at
	FROM clusters;
	INSERT INTO nodepool_controller_status (nodepool_id, ` + reportColumns + `)
	SELECT replace(cluster_id::text, '` + idPrefix + `', '` + poolPrefix + `')::uuid, ` + reportColumns + ` FROM controller_status;
	INSERT INTO stale_nodepool_statuses SELECT id FROM nodepools;
	INSERT INTO nodepool_schedule (nodepool_id, next_reconcile_at) SELECT id, now() FROM nodepools;
	INSERT INTO nodepool_labels (key, value, created_at, nodepool_id)
	SELECT l.key, l.value, c.created_at, c.id FROM nodepools c, jsonb_each_text(c.labels) l;`

// labelled does what the triggers would have done for labels, and switches them on again.
const labelled = `
	INSERT INTO cluster_labels (key, value, created_at, cluster_id)
	SELECT l.key, l.value, c.created_at, c.id FROM clusters c, jsonb_each_text(c.labels) l;
	RESET session_replication_role`

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
