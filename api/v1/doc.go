// Package v1 holds the wire types of the CLS Backend API: what the server answers, what
// clients and controllers send, and what travels in Pub/Sub messages.
//
// One set of types is shared by the server, its clients and its controllers, so that
// the contract is written once. The package imports the standard library only. Every
// type is a plain value: copies are independent except for the maps and byte slices
// they hold, and nothing here is safe for concurrent modification.
//
// Names of fields and their JSON spelling are fixed: fields may be added, and none is
// renamed, removed or retyped within v1.
package v1
