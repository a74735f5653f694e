package dev

import "syscall"

// processAttributes puts a child into a process group of its own and has the
// kernel send it deathSignal when we are gone, even by SIGKILL (prctl(2),
// PR_SET_PDEATHSIG).
func processAttributes(deathSignal syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: deathSignal}
}
