package dev

import (
	"os"
	"syscall"
)

// ScratchDir is where data that is thrown away belongs: in memory, where a disk
// that others write to is five times slower, if there is at least 1 GiB of that
// (a container's /dev/shm often has 64 MiB), and $TMPDIR is not set to say
// otherwise.
func ScratchDir() string {
	const memory, enough = "/dev/shm", 1 << 30
	var st syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &st) != nil {
		return os.TempDir()
	}
	if st.Bavail*uint64(st.Bsize) >= enough { //nolint:gosec // a block's size is positive, and no int64 on every CPU
		return memory
	}
	return os.TempDir()
}
