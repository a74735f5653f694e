package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/cls-backend/cls-backend/internal/dev"
)

// TestPinTo: a process, all its threads and what it has started stay on the core.
func TestPinTo(t *testing.T) {
	t.Parallel()
	list, err := cores()
	if err != nil || len(list) == 0 {
		t.Fatalf("cores %v, %v", list, err)
	}
	core := list[len(list)-1]
	// This program as a helper has threads of its own.
	service, _, err := startHelper(pubsubHelper, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := service.stop(); err != nil {
			t.Error(err)
		}
	}()
	shell := exec.CommandContext(t.Context(), "sh", "-c", "sleep 600 & echo there; read end; kill $!")
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	done, err := dev.StartChild(shell, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = in.Close(), <-done }()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for name, pid := range map[string]int{"threads": service.pid(), "children": shell.Process.Pid} {
		if err := pinTo(pid, core); err != nil {
			t.Fatal(err)
		}
		all, err := threads(pid)
		if err != nil || len(all) < 2 {
			t.Fatalf("%s: %v, %v", name, all, err)
		}
		for _, thread := range all {
			status := read(t, fmt.Sprintf("/proc/%d/status", thread))
			allowed := regexp.MustCompile(`(?m)^Cpus_allowed_list:\s*(\S*)$`).FindStringSubmatch(status)
			if len(allowed) != 2 || allowed[1] != strconv.Itoa(core) {
				t.Errorf("%s: thread %d may run on %v, want %d", name, thread, allowed, core)
			}
		}
	}
}
