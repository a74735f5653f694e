// Package demo runs the demo controllers of "cls-backend dev": one for each platform, so
// that a first cluster and its node pools become Ready without anything else being installed.
//
// They build nothing. Apart from that they are what every controller is, and reach the
// service as an outside program does: each has a subscription of its own on the topic of
// either kind, decides by the platform what concerns it, reads the resource over HTTP,
// works, and reports. That of azure also takes down what it has built, which a deletion waits
// for. They keep no memory: what has been done already stands in their own reports, so that
// they can die and start again at any moment.
package demo
