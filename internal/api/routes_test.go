package api

import (
	"encoding/json"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"github.com/cls-backend/cls-backend/internal/api/handlers"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/telemetry"
)

// documented is the part of the document that these tests read.
type documented struct {
	Paths map[string]map[string]struct{ Security []any }
}

func documentOf(t *testing.T, s *Server) documented {
	t.Helper()
	var d documented
	if err := json.Unmarshal(s.document.json, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func newServer(t *testing.T) *Server {
	t.Helper()
	s, err := New(Options{Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewMetrics(), MaxBodyBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What the router answers is what the document says, but for the document itself and
// the page that shows it.
func TestRoutes_AreTheDocument(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	itself := []string{"GET " + pathYAML, "GET " + pathJSON, "GET " + pathDocs, "GET " + pathDocs + "/{asset}"}
	var routes []string
	for _, route := range s.engine.Routes() {
		path := regexp.MustCompile(`:(\w+)`).ReplaceAllString(route.Path, "{$1}")
		if name := route.Method + " " + path; !slices.Contains(itself, name) {
			routes = append(routes, name)
		}
	}
	var said []string
	for path, item := range documentOf(t, s).Paths {
		for method := range item {
			said = append(said, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(said)
	if diff := cmp.Diff(said, routes); diff != "" {
		t.Errorf("-document +router:\n%s", diff)
	}
}

// What can be asked of one kind can be asked of the other, by the same methods; beside that, a
// cluster lists its node pools.
func TestRoutes_OfTheKindsAreTheSame(t *testing.T) {
	t.Parallel()
	of := map[models.Kind][]string{}
	for path, item := range documentOf(t, newServer(t)).Paths {
		for _, kind := range models.Kinds() {
			rest, mine := strings.CutPrefix(path, "/api/v1/"+string(kind)+"s")
			if !mine || rest == "/{id}/nodepools" {
				continue
			}
			for method := range item {
				of[kind] = append(of[kind], method+" "+rest)
			}
		}
	}
	for _, kind := range models.Kinds() {
		slices.Sort(of[kind])
		if diff := cmp.Diff(of[models.KindCluster], of[kind]); diff != "" || len(of[kind]) < 10 {
			t.Errorf("%d calls, -cluster +%s:\n%s", len(of[kind]), kind, diff)
		}
	}
}

// A route is open exactly where the document says that it needs no identity.
func TestRoutes_OpenOnesAreDocumentedSo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	open := map[string]bool{}
	for _, path := range openRoutes() {
		open[strings.ReplaceAll(path, ":id", "{id}")] = true
	}
	for path, item := range documentOf(t, s).Paths {
		for method, op := range item {
			if needs := len(op.Security) > 0; needs == open[path] {
				t.Errorf("%s %s: open %v, documented to need %q %v", method, path, open[path], handlers.SecurityScheme, needs)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(open)) {
		if !slices.ContainsFunc(s.engine.Routes(), func(r gin.RouteInfo) bool { return r.Path == path }) {
			t.Errorf("%s is open and is no route", path)
		}
	}
}
