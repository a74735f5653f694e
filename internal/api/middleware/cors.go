package middleware

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// preflightAge is how long a browser may remember the answer to a preflight, in seconds.
const preflightAge = "600"

// corsRules are which web pages may call the API (the Fetch standard, "CORS protocol").
type corsRules struct {
	any     bool
	origins []string
}

func newCORS(origins []string) corsRules {
	rules := corsRules{any: slices.Contains(origins, "*")}
	for _, origin := range origins {
		rules.origins = append(rules.origins, strings.ToLower(origin))
	}
	return rules
}

// handle adds the headers for an allowed origin, and answers a preflight, which carries
// no identity. Without any allowed origin it does nothing, so that OPTIONS is a method
// like any other.
func (c corsRules) handle(g *gin.Context) {
	if len(c.origins) == 0 {
		return
	}
	h := g.Writer.Header()
	h.Add("Vary", "Origin")
	origin := g.GetHeader("Origin")
	allowed := origin != "" && (c.any || slices.Contains(c.origins, strings.ToLower(origin)))
	if allowed {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "ETag, Location, Retry-After, X-Request-ID")
	}
	if g.Request.Method != http.MethodOptions || g.GetHeader("Access-Control-Request-Method") == "" {
		return
	}
	if allowed {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers",
			"Accept, Authorization, Content-Type, If-Match, Traceparent, Tracestate, X-Request-ID, X-User-Email")
		h.Set("Access-Control-Max-Age", preflightAge)
	}
	g.AbortWithStatus(http.StatusNoContent)
}
