package main

import "syscall"

// attributes has the kernel end a child when we are gone (prctl(2), PR_SET_PDEATHSIG).
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// inMemory reports whether a folder is on a file system without a disk.
func inMemory(dir string) (bool, error) {
	const tmpfs = 0x01021994 // statfs(2), TMPFS_MAGIC
	var fs syscall.Statfs_t
	err := syscall.Statfs(dir, &fs)
	return fs.Type == tmpfs, err
}
