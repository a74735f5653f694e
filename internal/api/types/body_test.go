package types

import (
	"encoding/json"
	"errors"
	"reflect"
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
		want := models.Draft{
			Name: rapid.String().Draw(t, "name"), Description: rapid.String().Draw(t, "description"),
			Paused: rapid.Bool().Draw(t, "paused"), DeletionProtection: rapid.Bool().Draw(t, "protected"), Spec: v1.Object(`{"a":1}`),
		}
		if rapid.Bool().Draw(t, "labelled") {
			want.Labels = rapid.MapOfN(rapid.String(), rapid.String(), 1, 3).Draw(t, "labels")
		}
		cluster, pool := want, want
		cluster.TargetProjectID = rapid.String().Draw(t, "project")
		pool.ClusterID = rapid.StringMatching(`[0-9a-f-]{0,36}`).Draw(t, "cluster")
		for _, of := range []struct {
			kind models.Kind
			wire any
			want models.Draft
		}{
			{models.KindCluster, v1.CreateCluster{
				Name: cluster.Name, TargetProjectID: cluster.TargetProjectID, Description: cluster.Description, Paused: cluster.Paused,
				DeletionProtection: cluster.DeletionProtection, Labels: cluster.Labels, Spec: cluster.Spec,
			}, cluster},
			{models.KindNodePool, v1.CreateNodePool{
				Name: pool.Name, ClusterID: pool.ClusterID, Description: pool.Description, Paused: pool.Paused,
				DeletionProtection: pool.DeletionProtection, Labels: pool.Labels, Spec: pool.Spec,
			}, pool},
		} {
			got, faults, err := DecodeCreate(of.kind, encode(t, of.wire))
			if diff := cmp.Diff(of.want, got); diff != "" || len(faults) > 0 || err != nil {
				t.Fatalf("%s: faults %v, error %v, -want +got:\n%s", of.kind, faults, err, diff)
			}
		}
	})
}

func TestDecodeUpdate_ReadsTheWireType(t *testing.T) {
	t.Parallel()
	text, flag, number := "x", true, int64(7)
	labels, spec := map[string]string{"a": "b"}, v1.Object(`{"a":1}`)
	common := models.Edit{
		Common: models.Common{
			Fixed: models.Fixed{ID: &text, Name: &text}, Description: &text, Paused: &flag, DeletionProtection: &flag, Generation: &number,
		},
		Labels: labels, Spec: spec,
	}
	cluster, pool := common, common
	cluster.TargetProjectID, pool.ClusterID = &text, &text
	for _, of := range []struct {
		kind models.Kind
		wire any
		want models.Edit
	}{
		{models.KindCluster, v1.UpdateCluster{
			ID: &text, Name: &text, TargetProjectID: &text, Description: &text, Paused: &flag, DeletionProtection: &flag,
			Labels: labels, Spec: spec, Generation: &number,
		}, cluster},
		{models.KindNodePool, v1.UpdateNodePool{
			ID: &text, Name: &text, ClusterID: &text, Description: &text, Paused: &flag, DeletionProtection: &flag,
			Labels: labels, Spec: spec, Generation: &number,
		}, pool},
	} {
		got, faults, err := DecodeUpdate(of.kind, encode(t, of.wire))
		if diff := cmp.Diff(of.want, got); diff != "" || len(faults) > 0 || err != nil {
			t.Errorf("%s: faults %v, error %v, -want +got:\n%s", of.kind, faults, err, diff)
		}
	}
}

func TestDecodePatch_ReadsTheWireType(t *testing.T) {
	t.Parallel()
	text, flag, number := "x", true, int64(7)
	labels, spec := v1.Object(`{"a":null}`), v1.Object(`{"a":1}`)
	common := models.Patch{
		Common: models.Common{
			Fixed: models.Fixed{ID: &text, Name: &text}, Description: &text, Paused: &flag, DeletionProtection: &flag, Generation: &number,
		},
		Labels: labels, Spec: spec,
	}
	cluster, pool := common, common
	cluster.TargetProjectID, pool.ClusterID = &text, &text
	for _, of := range []struct {
		kind models.Kind
		wire any
		want models.Patch
	}{
		{models.KindCluster, v1.PatchCluster{
			ID: &text, Name: &text, TargetProjectID: &text, Description: &text, Paused: &flag, DeletionProtection: &flag,
			Labels: labels, Spec: spec, Generation: &number,
		}, cluster},
		{models.KindNodePool, v1.PatchNodePool{
			ID: &text, Name: &text, ClusterID: &text, Description: &text, Paused: &flag, DeletionProtection: &flag,
			Labels: labels, Spec: spec, Generation: &number,
		}, pool},
	} {
		got, faults, err := DecodePatch(of.kind, encode(t, of.wire))
		if diff := cmp.Diff(of.want, got); diff != "" || len(faults) > 0 || err != nil {
			t.Errorf("%s: faults %v, error %v, -want +got:\n%s", of.kind, faults, err, diff)
		}
	}
}

// A field that a wire type grows is taken, before anybody thinks of it in the tests above.
func TestDecode_KnowsEachFieldOfTheWireTypes(t *testing.T) {
	t.Parallel()
	create := func(kind models.Kind, text []byte) []v1.FieldError {
		_, faults, _ := DecodeCreate(kind, text)
		return faults
	}
	update := func(kind models.Kind, text []byte) []v1.FieldError {
		_, faults, _ := DecodeUpdate(kind, text)
		return faults
	}
	patch := func(kind models.Kind, text []byte) []v1.FieldError {
		_, faults, _ := DecodePatch(kind, text)
		return faults
	}
	for _, test := range []struct {
		kind   models.Kind
		decode func(models.Kind, []byte) []v1.FieldError
		wire   reflect.Type
	}{
		{models.KindCluster, create, reflect.TypeFor[v1.CreateCluster]()},
		{models.KindCluster, update, reflect.TypeFor[v1.UpdateCluster]()},
		{models.KindCluster, patch, reflect.TypeFor[v1.PatchCluster]()},
		{models.KindNodePool, create, reflect.TypeFor[v1.CreateNodePool]()},
		{models.KindNodePool, update, reflect.TypeFor[v1.UpdateNodePool]()},
		{models.KindNodePool, patch, reflect.TypeFor[v1.PatchNodePool]()},
	} {
		for field := range test.wire.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if faults := test.decode(test.kind, []byte(`{"`+name+`":null}`)); len(faults) > 0 {
				t.Errorf("%s.%s: %v", test.wire.Name(), name, faults)
			}
		}
	}
}

func TestDecodeRegistration_ReadsTheWireType(t *testing.T) {
	t.Parallel()
	want := v1.RegisterController{Platforms: []string{"gcp"}, Kinds: []string{"cluster"}, Finalizes: true, Required: true}
	got, faults, err := DecodeRegistration(encode(t, want))
	if diff := cmp.Diff(want, got); diff != "" || len(faults) > 0 || err != nil {
		t.Errorf("faults %v, error %v, -want +got:\n%s", faults, err, diff)
	}
}

// An entry of the registry as it was read is a registration, with each field that it has or grows.
func TestDecodeRegistration_TakesAnEntryAsItWasRead(t *testing.T) {
	t.Parallel()
	for field := range reflect.TypeFor[v1.Controller]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, faults, err := DecodeRegistration([]byte(`{"` + name + `":null}`)); len(faults) > 0 || err != nil {
			t.Errorf("%s: %v %v", name, faults, err)
		}
	}
	for field, reason := range map[string]string{
		"platforms": "must be a list of strings", "kinds": "must be a list of strings", "finalizes": "must be true or false",
		"required": "must be true or false", "Required": "is not a field of this request", "status": "is not a field of this request",
	} {
		_, faults, _ := DecodeRegistration([]byte(`{"` + field + `":7}`))
		want := []v1.FieldError{{Field: field, Reason: reason, Value: json.Number("7")}}
		if diff := cmp.Diff(want, faults); diff != "" {
			t.Errorf("%s: -want +got:\n%s", field, diff)
		}
	}
}

// A resource as it was read is a body of each request (AIP-203): read, edit, write.
func TestDecode_TakesAResourceAsItWasRead(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for kind, read := range map[models.Kind]any{
		models.KindCluster:  v1.Cluster{Name: "x", Spec: v1.Object(`{}`), Labels: map[string]string{}, DeletionTimestamp: &now},
		models.KindNodePool: v1.NodePool{Name: "x", Spec: v1.Object(`{}`), Labels: map[string]string{}, DeletionTimestamp: &now},
	} {
		text := encode(t, read)
		if _, faults, err := DecodeCreate(kind, text); len(faults) > 0 || err != nil {
			t.Errorf("a POST of a %s: %v %v", kind, faults, err)
		}
		if _, faults, err := DecodeUpdate(kind, text); len(faults) > 0 || err != nil {
			t.Errorf("a PUT of a %s: %v %v", kind, faults, err)
		}
		if _, faults, err := DecodePatch(kind, text); len(faults) > 0 || err != nil {
			t.Errorf("a PATCH of a %s: %v %v", kind, faults, err)
		}
	}
}

// What belongs to the other kind is no field of this one.
func TestDecode_KeepsTheKindsApart(t *testing.T) {
	t.Parallel()
	for kind, field := range map[models.Kind]string{models.KindCluster: "cluster_id", models.KindNodePool: "target_project_id"} {
		body := []byte(`{"name":"x","spec":{},"` + field + `":"y"}`)
		_, onCreate, _ := DecodeCreate(kind, body)
		_, onUpdate, _ := DecodeUpdate(kind, body)
		_, onPatch, _ := DecodePatch(kind, body)
		want := []v1.FieldError{{Field: field, Reason: "is not a field of this request", Value: "y"}}
		for call, got := range map[string][]v1.FieldError{"POST": onCreate, "PUT": onUpdate, "PATCH": onPatch} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of a %s: -want +got:\n%s", call, kind, diff)
			}
		}
	}
}

// The id of a cluster is taken in either case, and compared in its canonical one.
func TestDecode_LowersTheClusterOfANodePool(t *testing.T) {
	t.Parallel()
	const want = "01936b5e-8c4a-7c3e-9d5f-2b8f0a6c1e47"
	body := []byte(`{"cluster_id":"` + strings.ToUpper(want) + `"}`)
	draft, _, _ := DecodeCreate(models.KindNodePool, body)
	edit, _, _ := DecodeUpdate(models.KindNodePool, body)
	patch, _, _ := DecodePatch(models.KindNodePool, body)
	for call, got := range map[string]*string{"POST": &draft.ClusterID, "PUT": edit.ClusterID, "PATCH": patch.ClusterID} {
		if got == nil || *got != want {
			t.Errorf("%s: %v, want %s", call, got, want)
		}
	}
}

// Null and absence mean the same, but for a spec, whose null the rules judge.
func TestDecodeUpdate_NullIsAbsent(t *testing.T) {
	t.Parallel()
	for kind, own := range map[models.Kind]string{models.KindCluster: "target_project_id", models.KindNodePool: "cluster_id"} {
		got, faults, err := DecodeUpdate(kind, []byte(`{"id":null,"name":null,"`+own+`":null,"description":null,"paused":null,
			"deletion_protection":null,"labels":null,"generation":null,"spec":null}`))
		if diff := cmp.Diff(models.Edit{Spec: v1.Object("null")}, got); diff != "" || len(faults) > 0 || err != nil {
			t.Errorf("%s: faults %v, error %v, -want +got:\n%s", kind, faults, err, diff)
		}
	}
}

func TestDecode_SaysWhereJSONEnds(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"": "is missing", " \n": "is missing", "null": "must be a JSON object", "[]": "must be a JSON object", "7": "must be a JSON object",
		`{"name":x}`: "is not valid JSON (at byte 9)", `{`: "is not valid JSON (at byte 1)", `{} {}`: "is not valid JSON (at byte 4)",
		strings.Repeat("[", 20000): "is not valid JSON (at byte 10001)",
	} {
		for _, kind := range models.Kinds() {
			_, _, err := DecodeCreate(kind, []byte(body))
			if e, ok := errors.AsType[*BodyError](err); !ok || e.Error() != want {
				t.Errorf("%s %.20q: %v, want %q", kind, body, err, want)
			}
		}
	}
}

func TestParseQueries_TakeEachParameter(t *testing.T) {
	t.Parallel()
	const query = "limit=7&offset=8&order_by=-name&status=Ready&platform=gcp&name=n&created_by=a%40b&label_selector=a%3Db&total=exact"
	const id = "01936b5e-8c4a-7c3e-9d5f-2b8f0a6c1e47"
	common := List{
		Limit: 7, Offset: 8, OrderBy: "-name", Status: "Ready", Platform: "gcp", Name: "n", CreatedBy: "a@b", LabelSelector: "a=b", ExactTotal: true,
	}
	ofCluster := common
	ofCluster.ClusterID = id
	for _, test := range []struct {
		kind  models.Kind
		query string
		want  List
	}{
		{models.KindCluster, query, common},
		{models.KindNodePool, query, common},
		{models.KindNodePool, query + "&cluster_id=" + id, ofCluster},
		{models.KindNodePool, query + "&clusterId=" + strings.ToUpper(id), ofCluster},
		{models.KindCluster, "page_token=t&limit=1", List{Limit: 1, PageToken: "t"}},
		{models.KindNodePool, "page_token=t&limit=1", List{Limit: 1, PageToken: "t"}},
	} {
		list, faults := ParseList(test.kind, test.query)
		if diff := cmp.Diff(test.want, list); diff != "" || len(faults) > 0 {
			t.Errorf("%s ?%s: faults %v, -want +got:\n%s", test.kind, test.query, faults, diff)
		}
	}
	if list, faults := ParseListWithin(query); !cmp.Equal(common, list) || len(faults) > 0 {
		t.Errorf("within a cluster: faults %v, %+v", faults, list)
	}
	gone, faults := ParseDelete("force=true&reason=too+dear")
	if diff := cmp.Diff(Delete{Force: true, Reason: "too dear"}, gone); diff != "" || len(faults) > 0 {
		t.Errorf("faults %v, -want +got:\n%s", faults, diff)
	}
	if faults := ParseNoQuery(""); len(faults) > 0 {
		t.Errorf("faults %v", faults)
	}
}

// A fault of the filter by cluster names it as the caller did.
func TestParseList_NamesTheParameterThatWasGiven(t *testing.T) {
	t.Parallel()
	const id = "01936b5e-8c4a-7c3e-9d5f-2b8f0a6c1e47"
	for _, test := range []struct {
		kind         models.Kind
		query, field string
	}{
		{models.KindNodePool, "cluster_id=x", "cluster_id"},
		{models.KindNodePool, "clusterId=x", "clusterId"},
		{models.KindNodePool, "clusterId=", "clusterId"},
		{models.KindNodePool, "clusterId=" + id + "&cluster_id=" + id, "cluster_id"},
		{models.KindNodePool, "clusterid=" + id, "clusterid"},
		{models.KindCluster, "cluster_id=" + id, "cluster_id"},
	} {
		_, faults := ParseList(test.kind, test.query)
		if len(faults) != 1 || faults[0].Field != test.field {
			t.Errorf("%s ?%s: faults %v, want one of %s", test.kind, test.query, faults, test.field)
		}
	}
	if _, faults := ParseListWithin("cluster_id=" + id); len(faults) != 1 {
		t.Errorf("the cluster is in the path already: faults %v", faults)
	}
}

func encode(t interface{ Fatal(args ...any) }, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
