// Package pubsub is all that knows Google Cloud Pub/Sub: the form of a message, the
// topics, publishing, and receiving for those who play a controller.
//
// It keeps nothing. An event that cannot be published is an error, and the caller, who
// has it in the outbox, tries again; so the client's own retries are off, and one call
// is one attempt with one deadline.
//
// Events of a cluster carry its id as their ordering key. Each is a request of its own
// and its predecessor has been acknowledged before it is made, so nothing here has to
// be paused after a failure, or can stay paused.
package pubsub
