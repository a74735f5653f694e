// Package faultpoint marks the moments of a change at which the death of the process would cost most, so that a test can
// have it die, or stand still, right there: a kill from outside hits them once in thousands.
//
// The released binary has none of it: both functions are inlined, and [Hit] away. Built with -tags faultpoint a process
// does what its environment says. FAULTPOINT is a list such as
//
//	after-commit:kill@17,before-publish:stop@3
//
// which kills it (SIGKILL) at the 17th pass of one point and stops it (SIGSTOP, until somebody sends SIGCONT) at the third
// of another. FAULTPOINT_CLOCK, a duration such as -5m, is how far off its clock is.
package faultpoint

// The points, in the order in which a change passes them.
const (
	// BeforeCommit is when the work of a transaction is done and its commit is not sent. Of a statement that is a
	// transaction by itself it is when the statement is not sent.
	BeforeCommit = "before-commit"
	// AfterCommit is when PostgreSQL has acknowledged a commit and the caller has no answer.
	AfterCommit = "after-commit"
	// BeforePublish is when an event is committed and claimed by a relay, and not on its way to Pub/Sub.
	BeforePublish = "before-publish"
	// BeforeMark is when Pub/Sub has events that are not marked as published.
	BeforeMark = "before-mark"
)
