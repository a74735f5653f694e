// Package conformance holds a running backend to its contract, from outside: by its API, and by its events if it is told
// where they are published. Whatever answers at the address may be behind it.
//
// A [Check] is one promise. [Run] runs them against a backend and says of each whether it was kept; of one that was not,
// what was expected, what was seen, and the last request before that. A check makes what it needs and removes it again:
// clusters of a platform that nobody else has, named conformance-..., and entries of the registry, which it retires.
//
// No other controller may be registered for every platform: [Run] refuses to begin where one is.
package conformance

//go:generate go test -run ^TestTheDocumentHasEveryCheck$ -update .
