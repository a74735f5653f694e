// Package migrations holds the schema as numbered SQL files, embedded in the binary.
//
// Each file has its Down, and runs in a transaction of its own. Files are only ever
// added, and only add: the previous binary must run on the new schema, since both run
// side by side while a release rolls out. No statement may hold a lock on a table in
// use for more than a second; an index on a table with rows is built CONCURRENTLY, alone in
// its file, marked NO TRANSACTION, and written so that it can run again.
package migrations

import "embed"

// FS holds the files, for goose.
//
//go:embed *.sql
var FS embed.FS
