package handlers

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// appendResource appends the JSON of the v1.Cluster or v1.NodePool that c is. The spec and the status go
// out as the text that the database keeps: decoding and encoding them again would cost
// several times the query.
func appendResource(b []byte, c *models.Resource) []byte {
	b = slices.Grow(b, 1024+len(c.Spec)+len(c.Status))
	b = appendText(append(b, `{"id":`...), c.ID)
	if c.Kind == models.KindNodePool {
		b = appendText(append(b, `,"cluster_id":`...), c.ClusterID)
	}
	b = appendText(append(b, `,"name":`...), c.Name)
	if c.Kind == models.KindCluster {
		b = appendText(append(b, `,"target_project_id":`...), c.TargetProjectID)
	}
	b = appendText(append(b, `,"description":`...), c.Description)
	b = strconv.AppendBool(append(b, `,"paused":`...), c.Paused)
	b = strconv.AppendBool(append(b, `,"deletion_protection":`...), c.DeletionProtection)
	b = appendText(append(b, `,"created_by":`...), c.CreatedBy)
	b = strconv.AppendInt(append(b, `,"generation":`...), c.Generation, 10)
	b = strconv.AppendInt(append(b, `,"resource_version":"`...), c.ResourceVersion, 10)
	b = appendLabels(append(b, `","labels":`...), c.Labels)
	b = append(append(b, `,"spec":`...), c.Spec.String()...)
	b = append(append(b, `,"status":`...), c.Status...)
	b = appendTime(append(b, `,"created_at":`...), c.CreatedAt)
	b = appendTime(append(b, `,"updated_at":`...), c.UpdatedAt)
	if c.DeletionTimestamp != nil {
		b = appendTime(append(b, `,"deletion_timestamp":`...), *c.DeletionTimestamp)
	}
	return append(b, '}')
}

// appendPage returns the JSON of the v1.ClusterList or v1.NodePoolList that a page is.
func appendPage(kind models.Kind, page *models.Page, q models.ListQuery) []byte {
	size := 128
	for _, c := range page.Resources {
		size += 1024 + len(c.Spec) + len(c.Status)
	}
	b := appendText(append(make([]byte, 0, size), '{'), string(kind)+"s")
	b = append(b, ":["...)
	for i, c := range page.Resources {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendResource(b, c)
	}
	b = strconv.AppendInt(append(b, `],"total":`...), page.Total, 10)
	if page.TotalIsLowerBound {
		b = append(b, `,"total_is_lower_bound":true`...)
	}
	b = strconv.AppendInt(append(b, `,"limit":`...), int64(q.Limit), 10)
	b = strconv.AppendInt(append(b, `,"offset":`...), int64(q.Offset), 10)
	if page.NextPageToken != "" {
		b = appendText(append(b, `,"next_page_token":`...), page.NextPageToken)
	}
	return append(b, '}')
}

// appendStatus returns the JSON of the v1.ClusterStatus or v1.NodePoolStatus of a resource and its reports.
func appendStatus(c *models.Resource, reports []v1.ControllerStatus) ([]byte, error) {
	if reports == nil {
		reports = []v1.ControllerStatus{}
	}
	list, err := json.Marshal(reports)
	if err != nil {
		return nil, fmt.Errorf("encode the reports on %s: %w", c.ID, err)
	}
	b := make([]byte, 0, 256+len(c.Status)+len(list))
	b = append(b, '{')
	if c.Kind == models.KindNodePool {
		b = append(appendText(append(b, `"nodepool_id":`...), c.ID), ',')
	}
	b = appendText(append(b, `"cluster_id":`...), c.Ref().ClusterID)
	b = strconv.AppendInt(append(b, `,"generation":`...), c.Generation, 10)
	b = append(append(b, `,"status":`...), c.Status...)
	b = append(append(b, `,"controller_status":`...), list...)
	return append(b, '}'), nil
}

func appendLabels(b []byte, labels map[string]string) []byte {
	b = append(b, '{')
	for i, key := range slices.Sorted(maps.Keys(labels)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(appendText(b, key), ':'), labels[key])
	}
	return append(b, '}')
}

// appendText appends a JSON string. Nearly all are plain, and are copied.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendEscaped(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // No string is refused: bad UTF-8 is replaced.
		panic("handlers: encode a string: " + err.Error())
	}
	return append(b, text...)
}

// appendTime appends a time as encoding/json does: RFC 3339, as many decimals as it has.
func appendTime(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}
