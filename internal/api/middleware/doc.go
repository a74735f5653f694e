// Package middleware is what every request passes before its handler: a request id, the
// caller's identity, limits, cross-origin rules, and afterwards the log line, the metric
// and the answer to a failure or a panic.
//
// What it finds out travels in the request's context as an [Exchange]. Failures are
// written here and nowhere else, so that they look the same whether a handler, the
// router or the identity check refused.
package middleware
