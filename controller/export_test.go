package controller

import "time"

// WithHeartbeat has a controller register again that often.
func WithHeartbeat(o Options, every time.Duration) Options {
	o.heartbeat = every
	return o
}
