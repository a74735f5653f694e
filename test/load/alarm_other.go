//go:build !linux

package main

import (
	"os"
	"sync"
	"time"
)

// alarm wakes its owner at a time.
type alarm struct {
	closed chan struct{}
	once   sync.Once
}

func newAlarm() (*alarm, error) { return &alarm{closed: make(chan struct{})}, nil }

// wait returns after a while; with an error when the alarm was closed.
func (a *alarm) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-a.closed:
		return os.ErrClosed
	}
}

func (a *alarm) close() error {
	a.once.Do(func() { close(a.closed) })
	return nil
}
