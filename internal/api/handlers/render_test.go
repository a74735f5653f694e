package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The text that is put together by hand must be the one that the wire type encodes to:
// the same values in the same order, and the same spelling of times and numbers. White
// space and escapes may differ.
func TestAppendResource_IsTheWireType(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyResource(anyKind(t)).Draw(t, "resource")
		if diff := cmp.Diff(encoded(t, wire(t, r)), tokens(t, appendResource(nil, r))); diff != "" {
			t.Fatalf("-json.Marshal +appendResource:\n%s", diff)
		}
	})
}

func TestAppendPage_IsTheWireType(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kind := anyKind(t)
		page := &models.Page{
			Resources: rapid.SliceOfN(anyResource(kind), 0, 3).Draw(t, "resources"),
			Total:     rapid.Int64Range(0, 1<<40).Draw(t, "total"), TotalIsLowerBound: rapid.Bool().Draw(t, "more"),
			NextPageToken: rapid.SampledFrom([]string{"", "dG9rZW4-_w"}).Draw(t, "next"),
		}
		q := models.ListQuery{Limit: rapid.IntRange(1, 100).Draw(t, "limit"), Offset: rapid.IntRange(0, 1<<30).Draw(t, "offset")}
		if diff := cmp.Diff(encoded(t, wirePage(t, kind, page, q)), tokens(t, appendPage(kind, page, q))); diff != "" {
			t.Fatalf("-json.Marshal +appendPage:\n%s", diff)
		}
	})
}

func TestAppendStatus_IsTheWireType(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyResource(anyKind(t)).Draw(t, "resource")
		reports := exampleStatus().ControllerStatus[:rapid.IntRange(0, 1).Draw(t, "reports")]
		got, err := appendStatus(r, reports)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(encoded(t, wireStatus(t, r, reports)), tokens(t, got)); diff != "" {
			t.Fatalf("-json.Marshal +appendStatus:\n%s", diff)
		}
	})
}

func TestAppendStatus_NoReportIsAnEmptyList(t *testing.T) {
	t.Parallel()
	got, err := appendStatus(&models.Resource{ID: exampleID, Status: json.RawMessage(`{}`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"controller_status":[]`; !bytes.Contains(got, []byte(want)) {
		t.Errorf("%s lacks %s", got, want)
	}
}

func anyKind(t *rapid.T) models.Kind { return rapid.SampledFrom(models.Kinds()).Draw(t, "kind") }

// anyResource is a resource of a kind as it is stored: each field that the kind has, and no other.
func anyResource(kind models.Kind) *rapid.Generator[*models.Resource] {
	return rapid.Custom(func(t *rapid.T) *models.Resource {
		r := drawResource(t)
		r.Kind = kind
		if kind == models.KindNodePool {
			r.ClusterID = rapid.StringMatching(`[0-9a-f-]{36}`).Draw(t, "cluster")
		} else {
			r.TargetProjectID = rapid.String().Draw(t, "project")
		}
		return r
	})
}

func drawResource(t *rapid.T) *models.Resource {
	c := &models.Resource{
		ID: rapid.StringMatching(`[0-9a-f-]{36}`).Draw(t, "id"), Name: rapid.String().Draw(t, "name"),
		Description: anyText().Draw(t, "description"),
		Paused:      rapid.Bool().Draw(t, "paused"), DeletionProtection: rapid.Bool().Draw(t, "protected"),
		CreatedBy: rapid.String().Draw(t, "by"), Generation: rapid.Int64().Draw(t, "generation"),
		ResourceVersion: rapid.Int64().Draw(t, "version"),
		Labels:          rapid.MapOfN(anyText(), anyText(), 0, 4).Draw(t, "labels"),
		Spec:            rapid.SampledFrom([]v1.Object{nil, v1.Object("null"), v1.Object("{}"), v1.Object(`{"b": 1.50, "a": ["x", {"c": null}]}`)}).Draw(t, "spec"),
		CreatedAt:       anyTime().Draw(t, "created"), UpdatedAt: anyTime().Draw(t, "updated"),
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	status, err := json.Marshal(v1.Status{Phase: v1.PhaseReady, Conditions: []v1.Condition{}, LastUpdateTime: anyTime().Draw(t, "status")})
	if err != nil {
		t.Fatal(err)
	}
	c.Status = status
	if rapid.Bool().Draw(t, "deleting") {
		at := anyTime().Draw(t, "deleted")
		c.DeletionTimestamp = &at
	}
	return c
}

// anyText is heavy on what JSON has to escape.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("a\"\\\n\x00\x1f<>&\u2028\ufffdé"))))
}

// anyTime is a time as the database gives one: in UTC, to the microsecond.
func anyTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(0, 1<<51).Draw(t, "micros")).UTC()
	})
}

// wire is the wire type of a stored resource, field by field.
func wire(t *rapid.T, r *models.Resource) any {
	if r.Kind == models.KindNodePool {
		return wirePool(t, r)
	}
	return wireCluster(t, r)
}

func wireCluster(t *rapid.T, c *models.Resource) v1.Cluster {
	return v1.Cluster{
		ID: c.ID, Name: c.Name, TargetProjectID: c.TargetProjectID, Description: c.Description, Paused: c.Paused,
		DeletionProtection: c.DeletionProtection, CreatedBy: c.CreatedBy, Generation: c.Generation,
		ResourceVersion: strconv.FormatInt(c.ResourceVersion, 10), Labels: c.Labels, Spec: c.Spec, Status: status(t, c),
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, DeletionTimestamp: c.DeletionTimestamp,
	}
}

func wirePool(t *rapid.T, p *models.Resource) v1.NodePool {
	return v1.NodePool{
		ID: p.ID, ClusterID: p.ClusterID, Name: p.Name, Description: p.Description, Paused: p.Paused,
		DeletionProtection: p.DeletionProtection, CreatedBy: p.CreatedBy, Generation: p.Generation,
		ResourceVersion: strconv.FormatInt(p.ResourceVersion, 10), Labels: p.Labels, Spec: p.Spec, Status: status(t, p),
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, DeletionTimestamp: p.DeletionTimestamp,
	}
}

func wirePage(t *rapid.T, kind models.Kind, page *models.Page, q models.ListQuery) any {
	if kind == models.KindNodePool {
		list := v1.NodePoolList{
			NodePools: []v1.NodePool{}, Total: page.Total, TotalIsLowerBound: page.TotalIsLowerBound, Limit: q.Limit, Offset: q.Offset,
			NextPageToken: page.NextPageToken,
		}
		for _, p := range page.Resources {
			list.NodePools = append(list.NodePools, wirePool(t, p))
		}
		return list
	}
	list := v1.ClusterList{
		Clusters: []v1.Cluster{}, Total: page.Total, TotalIsLowerBound: page.TotalIsLowerBound, Limit: q.Limit, Offset: q.Offset,
		NextPageToken: page.NextPageToken,
	}
	for _, c := range page.Resources {
		list.Clusters = append(list.Clusters, wireCluster(t, c))
	}
	return list
}

func wireStatus(t *rapid.T, r *models.Resource, reports []v1.ControllerStatus) any {
	if r.Kind == models.KindNodePool {
		return v1.NodePoolStatus{
			NodePoolID: r.ID, ClusterID: r.ClusterID, Generation: r.Generation, Status: status(t, r), ControllerStatus: reports,
		}
	}
	return v1.ClusterStatus{ClusterID: r.ID, Generation: r.Generation, Status: status(t, r), ControllerStatus: reports}
}

func status(t *rapid.T, r *models.Resource) v1.Status {
	var s v1.Status
	if err := json.Unmarshal(r.Status, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func encoded(t *rapid.T, v any) []json.Token {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return tokens(t, text)
}

func tokens(t *rapid.T, text []byte) []json.Token {
	if !json.Valid(text) {
		t.Fatalf("not JSON: %s", text)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var all []json.Token
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, token)
	}
}

// The page ends sentences itself.
func TestMeanings_ArePlain(t *testing.T) {
	t.Parallel()
	plain := regexp.MustCompile(`[^.]$`)
	for schema, fields := range meanings {
		for field, meaning := range fields {
			if !plain.MatchString(meaning) {
				t.Errorf("%s.%s: %q must not be empty or end with a full stop", schema, field, meaning)
			}
		}
	}
}
