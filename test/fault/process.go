package main

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/cls-backend/cls-backend/internal/dev"
)

// process is a program that we started and wait for.
type process struct {
	cmd  *exec.Cmd
	done <-chan struct{} // closed once it is reaped
}

// start runs cmd, which dies with us.
func start(cmd *exec.Cmd) (*process, error) {
	done, err := dev.StartChild(cmd, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	return &process{cmd: cmd, done: done}, nil
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // One that has ended needs none.

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// await waits for the end of a process.
func (p *process) await(limit time.Duration) error {
	select {
	case <-p.done:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("process %d still runs after %v", p.cmd.Process.Pid, limit)
	}
}

// exists reports whether there is a process.
func exists(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// killedBy is the signal that ended a process; 0 for none.
func (p *process) killedBy() syscall.Signal {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 0
	}
	return status.Signal()
}
