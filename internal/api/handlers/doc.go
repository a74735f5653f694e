// Package handlers has one function for each call of the API. A handler takes its
// request apart, calls the use case, and returns what that returns: the answer to an
// error is written by the layers around it.
//
// Beside each handler stands its operation, from which the OpenAPI document is made.
package handlers
