// Package models holds the rules of the service: validation, defaults, permissions, the
// calculation of a status, and when to wake the controllers of a resource.
//
// Everything here is pure. Facts and the time come in as arguments, answers go out as
// values; there is no clock, no database and no network, and the package imports the
// standard library and api/v1 only. Rules are written once for every kind of resource.
package models
