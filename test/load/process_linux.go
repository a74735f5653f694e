package main

import "syscall"

// inMemory reports whether a folder is on a file system without a disk.
func inMemory(dir string) (bool, error) {
	const tmpfs = 0x01021994 // statfs(2), TMPFS_MAGIC
	var fs syscall.Statfs_t
	err := syscall.Statfs(dir, &fs)
	return fs.Type == tmpfs, err
}
