package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cls-backend/cls-backend/internal/dev"
)

// endLimit is how long a process may take to end when it is asked to: the service drains
// for 25 s at most.
const endLimit = 30 * time.Second

// process is a program that we started. Its owner ends it with stop.
type process struct {
	cmd  *exec.Cmd
	done <-chan struct{} // closed once it is reaped
}

// start runs cmd. Ctrl-C does not reach it before we have stopped the load on it.
func start(cmd *exec.Cmd) (*process, error) {
	done, err := dev.StartChild(cmd, syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	return &process{cmd: cmd, done: done}, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks a process to end and waits for it. nil is a process that never started.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // It may have ended by itself.
	select {
	case <-p.done:
		return nil
	case <-time.After(endLimit):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %v and was killed", p.cmd.Path, endLimit)
	}
}

// The helpers are this program itself, as processes of their own so that their CPU time
// can be told from ours.
const (
	helperVariable = "CLS_LOAD_HELPER"
	pubsubHelper   = "pubsub"
	bareHelper     = "bare"
)

// startHelper runs this program as a helper and returns the address that it serves on.
func startHelper(name string, log io.Writer, env ...string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self) //nolint:noctx // it is ended by stop, in order
	cmd.Env = append(slices.Clone(env), helperVariable+"="+name)
	cmd.Stderr = log
	// Not StdoutPipe: Wait would close that under the reader.
	ours, its, err := os.Pipe()
	if err != nil {
		return nil, "", fmt.Errorf("start the %s helper: %w", name, err)
	}
	defer ours.Close()
	cmd.Stdout = its
	p, err := start(cmd)
	_ = its.Close()
	if err != nil {
		return nil, "", err
	}
	addr, err := bufio.NewReader(ours).ReadString('\n')
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("the %s helper did not say its address: %w", name, err), p.stop())
	}
	return p, strings.TrimSpace(addr), nil
}
