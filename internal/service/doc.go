// Package service holds the use cases: what each call of the API does, from its default
// values to its one transaction. They are the only writers of what users and
// controllers say.
//
// The order is always the same: fill defaults, validate, authorize, write. A method
// returns once what it did is committed. Its errors are [models.Error], with the codes that
// the API documents for the call; every method may fail with UNAVAILABLE.
package service
