// Package outbox is the only door from the database to Pub/Sub: a [Relay] claims the
// events that transactions have left in the outbox, publishes them and marks them.
//
// The event of a creation is born claimed by the relay of its process and is handed to it with the
// commit, which saves the claim and the wait for it (docs/adr/0020). The row is the same, so whatever
// becomes of the relay, of the hand-over or of the process, the event is claimed by another when the
// lease is over.
//
// The pattern is the transactional outbox (Chris Richardson, Microservices Patterns,
// chapter 3) with a polling publisher. Any number of relays may run on one database:
//
//   - An event is published at least once. It is marked after Pub/Sub has acknowledged
//     it, so a relay that dies in between leaves it to be published again, with the same
//     id, when its lease has ended.
//   - Changes of one resource are first published in the order of their commits. The
//     store hands out only the oldest unpublished change of a resource, which a creation
//     always is, so a relay that is slow, stopped or dead cannot be overtaken, only repeated.
//   - A key that hangs or fails holds up no other: each event is published by itself,
//     and what takes long goes on in the background.
package outbox
