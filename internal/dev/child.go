package dev

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// killGrace is how long an immediate shutdown may take before SIGKILL.
const killGrace = 5 * time.Second

// child is a process that we started and wait for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process is reaped
	err  error         // what Wait said; read after done
}

// startChild starts cmd. Linux sends the signal of SysProcAttr.Pdeathsig when
// the thread that forked ends, not the process, so the goroutine stays on its
// thread for as long as the child lives.
func startChild(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// StartChild starts a program in a process group of its own, so that Ctrl-C does
// not reach it, and waits for it: ended is closed once it is reaped, and
// cmd.ProcessState then says how it ended. Where the kernel offers that it is
// sent a signal at our end, however we end.
func StartChild(cmd *exec.Cmd, atOurEnd syscall.Signal) (ended <-chan struct{}, err error) {
	cmd.SysProcAttr = processAttributes(atOurEnd)
	c, err := startChild(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c.done, nil
}

// runChild runs cmd to its end. When ctx ends first, cmd is asked to end and
// its end is waited for.
func runChild(ctx context.Context, cmd *exec.Cmd) error {
	c, err := startChild(cmd)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		c.signal(syscall.SIGTERM)
		<-c.done
		return ctx.Err()
	}
}

// signal sends sig. A child that has ended needs none: the error is dropped.
func (c *child) signal(sig os.Signal) { _ = c.cmd.Process.Signal(sig) }

// kill ends a server at once and waits for its end: SIGQUIT is its immediate
// shutdown, which takes the shared memory along as SIGKILL would not.
func (c *child) kill() {
	c.signal(syscall.SIGQUIT)
	select {
	case <-c.done:
	case <-time.After(killGrace):
		c.signal(syscall.SIGKILL)
		<-c.done
	}
}

// command prepares one of PostgreSQL's programs: in a process group of its own,
// so that Ctrl-C in the terminal does not reach it; with deathSignal at our end
// where the kernel offers that; as the folder's account; and holding the folder's
// lock, so that the folder counts as used until the last process is gone.
//
// The environment is ours alone: PGDATA, PGOPTIONS and the like of the caller
// would change what is started.
func (b binaries) command(name string, f *folder, deathSignal syscall.Signal, args ...string) *exec.Cmd {
	cmd := exec.Command(b.path(name), args...) //nolint:noctx // it outlives the start, and SIGKILL is no way to end it
	cmd.Dir = f.path
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if b.libraries != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+b.libraries)
	}
	cmd.ExtraFiles = []*os.File{f.lock}
	cmd.SysProcAttr = processAttributes(deathSignal)
	if f.owner != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: f.owner.uid, Gid: f.owner.gid}
	}
	return cmd
}
