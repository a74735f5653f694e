// Package types is the shape of what comes in: the bodies and the queries of requests,
// decoded with every fault named, and described for the OpenAPI document.
//
// It judges form alone, such as a number where a text belongs. Whether a well-formed
// value is allowed is for the rules of the service.
package types
