// Package api is the HTTP edge of the service: the router, the OpenAPI document that is
// made from the operations, and the page that shows it.
//
// Requests pass the middleware, then huma, then a handler. Errors of all three are
// answered in one form, which middleware.RefusalError writes.
package api

//go:generate go test -run ^TestDocument_IsTheCommittedOne$ -update .
