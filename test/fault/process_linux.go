package main

import (
	"os"
	"strconv"
	"strings"
)

// stopped reports whether a process stands still (proc_pid_stat(5): state T).
func stopped(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, after, found := strings.Cut(string(text), ") ")
	return err == nil && found && strings.HasPrefix(after, "T")
}
