package api

import (
	"embed"
	"encoding/json"
	"mime"
	"net/http"
	"path"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/cls-backend/cls-backend/internal/api/handlers"
)

// Where the contract is found.
const (
	pathYAML = "/openapi.yaml"
	pathJSON = "/openapi.json"
	pathDocs = "/docs"
)

//go:embed docs
var assets embed.FS

// pagePolicy lets the page load from this server only (Content Security Policy Level 3).
const pagePolicy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// document is the OpenAPI document in both its forms.
type document struct{ yaml, json []byte }

// render completes a document that all operations have been added to. huma would make it
// on the first request, in a race with the second.
func render(d *huma.OpenAPI) (document, error) {
	handlers.Describe(d)
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return document{}, err
	}
	asYAML, err := d.YAML()
	return document{yaml: asYAML, json: text}, err
}

// describe says of the API what no operation can.
func describe(d *huma.OpenAPI) {
	d.Info = &huma.Info{
		Title: "CLS Backend", Version: "1.0.0",
		Description: "The control plane of a fleet of clusters. Users declare clusters, controllers are told of every change " +
			"through Pub/Sub and report back, and each cluster has one status made of all reports.\n\n" +
			"Every failure has the body ErrorBody, or Problem (RFC 9457) for a client that accepts application/problem+json. " +
			"Fields may be added to answers at any time.",
		License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
	}
	d.Servers = []*huma.Server{{URL: "/", Description: "The server that this document came from"}}
	d.Tags = handlers.Tags()
	d.Components.SecuritySchemes = map[string]*huma.SecurityScheme{handlers.SecurityScheme: {
		Type: "apiKey", In: "header", Name: "X-User-Email",
		Description: "The caller's e-mail address, set by the gateway that has authenticated them. It is believed from trusted peers only.",
	}}
}

// serve adds the document and its page to the routes.
func (d document) serve(r *gin.Engine, notFound gin.HandlerFunc) {
	r.GET(pathYAML, func(g *gin.Context) { g.Data(http.StatusOK, "application/yaml", d.yaml) })
	r.GET(pathJSON, func(g *gin.Context) { g.Data(http.StatusOK, "application/json", d.json) })
	page := func(g *gin.Context, name string) {
		if !asset(g, name) {
			notFound(g)
		}
	}
	r.GET(pathDocs, func(g *gin.Context) { page(g, "index.html") })
	r.GET(pathDocs+"/:asset", func(g *gin.Context) { page(g, g.Param("asset")) })
}

// asset writes a file of the page, and reports whether there is one of that name.
func asset(g *gin.Context, name string) bool {
	text, err := assets.ReadFile("docs/" + path.Base(name))
	if err != nil {
		return false
	}
	h := g.Writer.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	g.Data(http.StatusOK, mime.TypeByExtension(path.Ext(name)), text)
	return true
}
