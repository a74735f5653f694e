package types

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// What the wire type encodes to is what the decoder reads: no field is forgotten when
// the type grows.
func TestDecodeCreate_ReadsTheWireType(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := v1.CreateCluster{
			Name: rapid.String().Draw(t, "name"), TargetProjectID: rapid.String().Draw(t, "project"),
			Description: rapid.String().Draw(t, "description"), Paused: rapid.Bool().Draw(t, "paused"),
			DeletionProtection: rapid.Bool().Draw(t, "protected"), Spec: v1.Object(`{"a":1}`),
		}
		if rapid.Bool().Draw(t, "labelled") {
			want.Labels = rapid.MapOfN(rapid.String(), rapid.String(), 1, 3).Draw(t, "labels")
		}
		got, faults, err := DecodeCreate(models.KindCluster, encode(t, want))
		if diff := cmp.Diff(want, got); diff != "" || len(faults) > 0 || err != nil {
			t.Fatalf("faults %v, error %v, -want +got:\n%s", faults, err, diff)
		}
	})
}

func TestDecodeUpdate_ReadsTheWireType(t *testing.T) {
	t.Parallel()
	text, flag, number := "x", true, int64(7)
	want := v1.UpdateCluster{
		ID: &text, Name: &text, TargetProjectID: &text, Description: &text, Paused: &flag, DeletionProtection: &flag,
		Labels: map[string]string{"a": "b"}, Spec: v1.Object(`{"a":1}`), Generation: &number,
	}
	got, faults, err := DecodeUpdate(models.KindCluster, encode(t, want))
	if diff := cmp.Diff(want, got); diff != "" || len(faults) > 0 || err != nil {
		t.Errorf("faults %v, error %v, -want +got:\n%s", faults, err, diff)
	}
}

// A cluster as it was read is a body of either request (AIP-203): read, edit, write.
func TestDecode_TakesAClusterAsItWasRead(t *testing.T) {
	t.Parallel()
	now := time.Now()
	read := encode(t, v1.Cluster{Name: "x", Spec: v1.Object(`{}`), Labels: map[string]string{}, DeletionTimestamp: &now})
	if _, faults, err := DecodeCreate(models.KindCluster, read); len(faults) > 0 || err != nil {
		t.Errorf("a POST of it: %v %v", faults, err)
	}
	if _, faults, err := DecodeUpdate(models.KindCluster, read); len(faults) > 0 || err != nil {
		t.Errorf("a PUT of it: %v %v", faults, err)
	}
}

// Null and absence mean the same, but for a spec, whose null the rules judge.
func TestDecodeUpdate_NullIsAbsent(t *testing.T) {
	t.Parallel()
	got, faults, err := DecodeUpdate(models.KindCluster, []byte(`{"id":null,"name":null,"target_project_id":null,"description":null,"paused":null,
		"deletion_protection":null,"labels":null,"generation":null,"spec":null}`))
	if diff := cmp.Diff(v1.UpdateCluster{Spec: v1.Object("null")}, got); diff != "" || len(faults) > 0 || err != nil {
		t.Errorf("faults %v, error %v, -want +got:\n%s", faults, err, diff)
	}
}

func TestDecode_SaysWhereJSONEnds(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"": "is missing", " \n": "is missing", "null": "must be a JSON object", "[]": "must be a JSON object", "7": "must be a JSON object",
		`{"name":x}`: "is not valid JSON (at byte 9)", `{`: "is not valid JSON (at byte 1)", `{} {}`: "is not valid JSON (at byte 4)",
		strings.Repeat("[", 20000): "is not valid JSON (at byte 10001)",
	} {
		_, _, err := DecodeCreate(models.KindCluster, []byte(body))
		if e, ok := errors.AsType[*BodyError](err); !ok || e.Error() != want {
			t.Errorf("%.20q: %v, want %q", body, err, want)
		}
	}
}

func TestParseQueries_TakeEachParameter(t *testing.T) {
	t.Parallel()
	list, faults := ParseList(models.KindCluster, "limit=7&offset=8&order_by=-name&status=Ready&platform=gcp&name=n&created_by=a%40b&label_selector=a%3Db&total=exact")
	want := List{
		Limit: 7, Offset: 8, OrderBy: "-name", Status: "Ready", Platform: "gcp", Name: "n", CreatedBy: "a@b", LabelSelector: "a=b", ExactTotal: true,
	}
	if diff := cmp.Diff(want, list); diff != "" || len(faults) > 0 {
		t.Errorf("faults %v, -want +got:\n%s", faults, diff)
	}
	if list, faults = ParseList(models.KindNodePool, "page_token=t&limit=1"); list.PageToken != "t" || len(faults) > 0 {
		t.Errorf("%+v, faults %v", list, faults)
	}
	gone, faults := ParseDelete("force=true&reason=too+dear")
	if diff := cmp.Diff(Delete{Force: true, Reason: "too dear"}, gone); diff != "" || len(faults) > 0 {
		t.Errorf("faults %v, -want +got:\n%s", faults, diff)
	}
	if faults := ParseNoQuery(""); len(faults) > 0 {
		t.Errorf("faults %v", faults)
	}
}

func encode(t interface{ Fatal(args ...any) }, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
