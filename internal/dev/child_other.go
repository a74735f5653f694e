//go:build unix && !linux

package dev

import "syscall"

// processAttributes puts a child into a process group of its own. Only Linux
// tells a child of its parent's death: elsewhere a server whose parent was
// killed goes on until the next start on its folder ends it.
func processAttributes(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
