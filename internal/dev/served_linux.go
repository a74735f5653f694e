package dev

import (
	"os"
	"strconv"
)

// servedBy says whether the process is a server on the data: PostgreSQL's
// working folder is its data folder.
func (f *folder) servedBy(pid int) bool {
	cwd, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
	return err == nil && cwd == f.data()
}
