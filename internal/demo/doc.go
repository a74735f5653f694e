// Package demo runs the demo controllers of "cls-backend dev": one for each platform, so
// that a first cluster and its node pools become Ready without anything else being installed.
//
// They build nothing. Apart from that they are what every controller is: written with package controller, in a process that
// happens to be the service's, which they reach as an outside program does. That of azure also takes down what it has
// built, which a deletion waits for. They keep no memory: what has been done already stands in their own reports.
package demo
