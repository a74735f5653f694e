package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/service"
	"github.com/cls-backend/cls-backend/internal/telemetry"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// Who calls in these tests.
const (
	ada        = "ada@example.com"
	bob        = "bob@example.com"
	admin      = "root@example.com"
	controller = "controller@system.local"
	dnsOnly    = "dns@system.local"
)

const (
	clusters    = "/api/v1/clusters"
	nodepools   = "/api/v1/nodepools"
	controllers = "/api/v1/controllers"
	// unknown is the id of nothing.
	unknown = "00000000-0000-7000-8000-000000000000"
)

// backend is a server over a database of its own.
type backend struct {
	t      testing.TB
	server *api.Server
	pool   *pgxpool.Pool
	logs   *lockedBuffer
	// remote is the address that requests seem to come from.
	remote string
}

// newBackend starts one; change alters its options before.
func newBackend(t testing.TB, change ...func(*api.Options)) *backend {
	t.Helper()
	url := dbtest.New(t)
	db, err := database.Open(t.Context(), database.Options{URL: url, MaxOpenConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return newBackendOn(t, db, pool, change...)
}

func newBackendOn(t testing.TB, db *database.DB, pool *pgxpool.Pool, change ...func(*api.Options)) *backend {
	t.Helper()
	secrets := models.NewSecrets([]string{"credentials.token"})
	metrics := telemetry.NewMetrics()
	if db == nil {
		db = &database.DB{}
	}
	rules := service.Settings{Secrets: secrets, ProgressDeadline: 30 * time.Minute, Cadence: cadence()}
	b := &backend{t: t, pool: pool, logs: &lockedBuffer{}, remote: "127.0.0.1:4711"}
	o := api.Options{
		Clusters:  service.NewResources(models.KindCluster, db, rules, nil, metrics),
		NodePools: service.NewResources(models.KindNodePool, db, rules, nil, metrics), Controllers: service.NewControllers(db),
		Info: v1.Info{Service: v1.Source, Version: "test", APIVersion: "v1", Environment: "test"},
		Auth: api.Auth{
			TrustedProxies: prefixes("127.0.0.0/8", "::1/128"), Admins: []string{admin},
			Controllers: []api.Controller{{Email: controller}, {Email: dnsOnly, Name: "dns"}},
		},
		MaxBodyBytes: 1 << 20, Secrets: secrets, RequestTimeout: 30 * time.Second, Admit: db.Admit,
		Health: func(context.Context) v1.Health {
			return v1.Health{Status: v1.Healthy, Components: map[string]v1.Component{"database": {Status: v1.Healthy}}, Timestamp: time.Now()}
		},
		Ready: func(context.Context) error { return nil },
		Log:   slog.New(slog.NewJSONHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), Metrics: metrics,
	}
	for _, f := range change {
		f(&o)
	}
	server, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.server = server
	return b
}

func cadence() models.Cadence {
	return models.Cadence{Attention: 30 * time.Second, Stable: 5 * time.Minute, AttentionAge: 2 * time.Hour, Debounce: 2 * time.Second}
}

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// call is one request of a test.
type call struct {
	method, path, as string
	body             string
	header           http.Header
}

// reply is its answer.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

func (b *backend) do(c call) reply {
	b.t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r := httptest.NewRequestWithContext(b.t.Context(), c.method, c.path, body)
	r.RemoteAddr = b.remote
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.as != "" {
		r.Header.Set("X-User-Email", c.as)
	}
	maps.Copy(r.Header, c.header)
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	return reply{t: b.t, status: w.Code, header: w.Result().Header, body: w.Body.String()}
}

func (b *backend) get(as, path string) reply {
	b.t.Helper()
	return b.do(call{method: http.MethodGet, path: path, as: as})
}

// create declares a cluster that must be accepted.
func (b *backend) create(as, body string) v1.Cluster {
	b.t.Helper()
	return into[v1.Cluster](b.do(call{method: http.MethodPost, path: clusters, as: as, body: body}).is(http.StatusCreated))
}

// collection is the resources of one kind on a backend. What is asked of one kind is asked of the
// other, so that most tests run on the collections of both.
type collection struct {
	*backend

	kind models.Kind
	path string
	// home is the cluster that new node pools are in; "" for clusters.
	home string
	// nameExists is the code for a name that stands.
	nameExists v1.Code
}

// eachKind runs a test on the resources of each kind, on a backend of its own. Node pools are
// in a cluster of ada's.
func eachKind(t *testing.T, test func(of collection)) {
	t.Helper()
	for _, kind := range models.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(newBackend(t).collection(kind, ada))
		})
	}
}

// collection returns the resources of a kind; node pools are in a new cluster of the owner's.
func (b *backend) collection(kind models.Kind, owner string) collection {
	b.t.Helper()
	if kind == models.KindCluster {
		return collection{backend: b, kind: kind, path: clusters, nameExists: v1.CodeClusterNameExists}
	}
	home := b.create(owner, `{"name":"home"}`).ID
	return collection{backend: b, kind: kind, path: nodepools, home: home, nameExists: v1.CodeNodePoolNameExists}
}

// with is the same collection in the hands of another test.
func (c collection) with(t testing.TB) collection {
	t.Helper()
	c.backend = c.backend.with(t)
	return c
}

// body returns the body of a POST with the cluster, if one is needed. What is no object stays as it is.
func (c collection) body(text string) string {
	rest, isObject := strings.CutPrefix(text, "{")
	if c.home == "" || !isObject {
		return text
	}
	separator := ","
	if strings.HasPrefix(rest, "}") {
		separator = ""
	}
	return `{"cluster_id":"` + c.home + `"` + separator + rest
}

// ids returns the ids by which answers name a resource: its cluster, and the node pool if it is one.
func (c collection) ids(id string) (cluster, pool string) {
	if c.kind == models.KindCluster {
		return id, ""
	}
	return c.home, id
}

// resource is a cluster or a node pool.
type resource struct {
	v1.Cluster

	ClusterID string `json:"cluster_id"`
}

// page is a page of either.
type page struct {
	v1.ClusterList

	Clusters  []resource `json:"clusters"`
	NodePools []resource `json:"nodepools"`
}

func (p page) all() []resource { return append(p.Clusters, p.NodePools...) }

func (p page) names() string {
	var names []string
	for _, r := range p.all() {
		names = append(names, r.Name)
	}
	return strings.Join(names, " ")
}

// declare makes a resource that must be accepted.
func (c collection) declare(as, body string) resource {
	c.t.Helper()
	return into[resource](c.do(call{method: http.MethodPost, path: c.path, as: as, body: c.body(body)}).is(http.StatusCreated))
}

// list returns a page of the resources that somebody sees.
func (c collection) list(as, query string) page {
	c.t.Helper()
	return into[page](c.get(as, c.path+"?"+query).is(http.StatusOK))
}

// status returns the status of a resource of ada's; that of a cluster has no node pool.
func (c collection) status(id string) v1.NodePoolStatus {
	c.t.Helper()
	return into[v1.NodePoolStatus](c.get(ada, c.path+"/"+id+"/status").is(http.StatusOK))
}

// report sends what a controller says of a resource, and must be taken.
func (c collection) report(id, body string) v1.ReportResult {
	c.t.Helper()
	return into[v1.ReportResult](c.do(call{method: http.MethodPut, path: c.path + "/" + id + "/status", as: controller, body: body}).is(http.StatusOK))
}

// remove asks for the end of a resource of ada's, which must be taken.
func (c collection) remove(id, query string) v1.Deletion {
	c.t.Helper()
	return into[v1.Deletion](c.do(call{method: http.MethodDelete, path: c.path + "/" + id + query, as: ada}).is(http.StatusAccepted))
}

// finalizer is the controller that the deletions of these tests wait for.
const finalizer = "teardown"

// finalized is its report that it has let go, or not.
func finalized(status v1.ConditionStatus) string {
	return `{"controller_name":"` + finalizer + `","conditions":[{"type":"Finalized","status":"` + string(status) + `"}]}`
}

// hold begins the deletion of a resource of ada's, which waits for the finalizer.
func (c collection) hold(id string) v1.Deletion {
	c.t.Helper()
	c.report(id, finalized(v1.ConditionFalse))
	return c.remove(id, "")
}

// once declares a resource of ada's by a call that may be repeated.
func (c collection) once(of, body string) reply {
	c.t.Helper()
	return c.do(call{method: http.MethodPost, path: c.path, as: ada, body: c.body(body), header: key(of)})
}

// is fails the test when the status is another.
func (r reply) is(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d; body: %.600s", r.status, status, r.body)
	}
	return r
}

// fails checks that the answer is the failure of a code, in the one form, and returns it.
func (r reply) fails(code v1.Code) v1.ErrorBody {
	r.t.Helper()
	body := into[v1.ErrorBody](r.is(code.HTTPStatus()))
	if body.Code != code {
		r.t.Fatalf("code %s, want %s; body: %.600s", body.Code, code, r.body)
	}
	if body.Error == "" || body.Error != body.Message {
		r.t.Errorf("error %q and message %q must be the same sentence", body.Error, body.Message)
	}
	if body.RequestID == "" || body.RequestID != r.header.Get("X-Request-ID") {
		r.t.Errorf("request_id %q, header %q", body.RequestID, r.header.Get("X-Request-ID"))
	}
	return body
}

// failsAt is fails with the first field at fault, "" for none.
func (r reply) failsAt(code v1.Code, field string) v1.ErrorBody {
	r.t.Helper()
	body := r.fails(code)
	got := ""
	if body.Details != nil {
		got = body.Details.Field
	}
	if got != field {
		r.t.Errorf("field %q, want %q; body: %.600s", got, field, r.body)
	}
	return body
}

// into decodes the body, refusing what the type does not know.
func into[T any](r reply) T {
	r.t.Helper()
	var value T
	d := json.NewDecoder(strings.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&value); err != nil {
		r.t.Fatalf("decode %.600s: %v", r.body, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		r.t.Errorf("more behind the body: %.600s", r.body)
	}
	return value
}

// count counts the rows of a table.
func (b *backend) count(table string) int {
	b.t.Helper()
	var n int
	if err := b.pool.QueryRow(b.t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// state is a text that differs when anything that users or controllers can change does.
func (b *backend) state() string {
	b.t.Helper()
	const common = "id, name, description, paused, deletion_protection, labels, spec, created_by, generation, resource_version, updated_at, " +
		"deletion_timestamp, holders, forced_by, force_reason, deleted_at"
	var text string
	err := b.pool.QueryRow(b.t.Context(), `SELECT concat_ws('#',
		(SELECT string_agg(c::text, E'\n' ORDER BY id) FROM (SELECT `+common+`, target_project_id FROM clusters) c),
		(SELECT string_agg(n::text, E'\n' ORDER BY id) FROM (SELECT `+common+`, cluster_id FROM nodepools) n),
		(SELECT string_agg(s::text, E'\n' ORDER BY cluster_id, controller_name) FROM controller_status s),
		(SELECT string_agg(s::text, E'\n' ORDER BY nodepool_id, controller_name) FROM nodepool_controller_status s),
		(SELECT string_agg(c::text, E'\n' ORDER BY name) FROM controllers c),
		(SELECT version FROM registry), (SELECT count(*) FROM idempotency_keys),
		(SELECT count(*) FROM outbox))`).Scan(&text)
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// with is the same server in the hands of another test.
func (b *backend) with(t testing.TB) *backend {
	t.Helper()
	mine := *b
	mine.t = t
	return &mine
}

// lockedBuffer is a log that may be written and read at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
