// Package database keeps everything in PostgreSQL, and is all the SQL there is.
//
// A method is one statement wherever one statement can do the work: a row and its
// event are written by the same INSERT, a report is stored, compared and turned into a
// wake-up by the same upsert. Where a rule has to be asked in between, a use case opens
// a transaction with [DB.InTx] and calls the methods of [Tx].
//
// Locks are taken in one order, so that nothing deadlocks: the cluster's row, then its
// reports, then its place in the schedule, then the outbox, where a statement on several
// rows goes by the resource's id. Whoever takes an event's number
// holds the row of the resource, which makes the order of numbers the order of commits.
//
// Errors are [models.Error] with the codes that callers can act on (UNAVAILABLE,
// NOT_FOUND, CLUSTER_NAME_EXISTS), wrapped in what was being done; anything else is an
// INTERNAL one. A DB is safe for concurrent use; a Tx is not.
package database
