package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkGet and BenchmarkList measure the service alone, without a socket, over a
// real database: CPU of PostgreSQL is not in them, waiting for it is.
func BenchmarkGet(b *testing.B) {
	back := newBackend(b)
	c := back.create(ada, `{"name":"orders","spec":{"platform":{"type":"gcp"}}}`)
	benchmark(b, back, clusters+"/"+c.ID)
}

func BenchmarkList(b *testing.B) {
	back := newBackend(b)
	for i := range 60 {
		back.create(ada, fmt.Sprintf(`{"name":"c%d","labels":{"env":"prod"},"spec":{"platform":{"type":"gcp"}}}`, i))
	}
	benchmark(b, back, clusters)
}

func BenchmarkInfo(b *testing.B) { benchmark(b, newBackendOn(b, nil, nil), "/api/v1/info") }

func benchmark(b *testing.B, back *backend, path string) {
	b.Helper()
	back.get(ada, path).is(http.StatusOK) // The first read stores the status.
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.RemoteAddr = back.remote
		r.Header.Set("X-User-Email", ada)
		back.server.ServeHTTP(httptest.NewRecorder(), r)
	}
}
