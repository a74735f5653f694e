package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// alarm wakes its owner at a time, to some microseconds: Go's timers are up to a millisecond late in a program that has
// nothing else to do, which is as long as a request takes. It is a file of the kernel's (timerfd_create(2)) that can be
// read when it is time. It is not safe for concurrent use.
type alarm struct{ file *os.File }

func newAlarm() (*alarm, error) {
	const monotonic = 1 // CLOCK_MONOTONIC
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil, fmt.Errorf("make a timer: %w", errno)
	}
	return &alarm{os.NewFile(fd, "timer")}, nil
}

// wait returns after a while; with an error when the alarm was closed.
func (a *alarm) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	once := struct{ interval, value syscall.Timespec }{value: syscall.NsecToTimespec(d.Nanoseconds())}
	raw, err := a.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&once)), 0, 0, 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err == nil {
		var expirations [8]byte
		_, err = a.file.Read(expirations[:])
	}
	if err != nil {
		return fmt.Errorf("wait for a timer: %w", err)
	}
	return nil
}

func (a *alarm) close() error { return a.file.Close() }
