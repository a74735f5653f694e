// Package demo runs the demo controllers of "cls-backend dev": one for each platform, so
// that a first cluster becomes Ready without anything else being installed.
//
// They build nothing. Apart from that they are what every controller is, and reach the
// service as an outside program does: each has a subscription of its own on the topic of
// cluster events, decides by the platform what concerns it, reads the cluster over HTTP,
// works, and reports. They keep no memory: what has been done already stands in their
// own reports, so that they can die and start again at any moment.
package demo
