package middleware

import (
	"net/http"
	"slices"
	"strings"
)

// Head answers HEAD wherever next answers GET (RFC 9110, section 9.3.2). The body that
// next writes is dropped by net/http, which goes by the request that it read itself.
func Head(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			as := *r
			as.Method = http.MethodGet
			r = &as
		}
		next.ServeHTTP(w, r)
	})
}

// withHead adds HEAD to the methods of an Allow header that has GET.
func withHead(allow string) string {
	methods := strings.Split(allow, ", ")
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
