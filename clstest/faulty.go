package clstest

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// faulty stands before the service and fails some calls. It is safe for concurrent use.
type faulty struct {
	server  *httptest.Server
	to      *httputil.ReverseProxy
	reports atomic.Int64 // how many more fail
	share   atomic.Value // float64: of all calls
}

func newFaulty(t testing.TB, address string) *faulty {
	t.Helper()
	f := &faulty{to: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	f.to.Transport = transport
	f.to.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) } // The caller has left.
	f.share.Store(0.0)
	f.server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.server.Close()
		transport.CloseIdleConnections()
	})
	return f
}

// ServeHTTP implements [http.Handler].
func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/status") && f.reports.Add(-1) >= 0 {
		fail(w)
		return
	}
	share, _ := f.share.Load().(float64)
	if luck := rand.Float64(); luck < share { //nolint:gosec // it keeps no secret
		if luck < share/2 { // The caller is not to know that it was carried out.
			f.to.ServeHTTP(&deaf{header: http.Header{}}, r)
		}
		fail(w)
		return
	}
	f.to.ServeHTTP(w, r)
}

func fail(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, `{"error":"a fault on purpose","message":"a fault on purpose","code":"UNAVAILABLE","request_id":"clstest"}`)
}

// deaf is an answer that nobody gets.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header       { return d.header }
func (*deaf) Write(b []byte) (int, error) { return len(b), nil }
func (*deaf) WriteHeader(int)             {}
