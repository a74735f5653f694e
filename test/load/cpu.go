package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc's times: USER_HZ is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// times are the CPU times of a process in user and system mode (proc(5), /proc/pid/stat).
type times struct {
	parent   int
	own      time.Duration
	children time.Duration // of those that ended and were waited for, with theirs
}

func readTimes(pid string) (times, error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return times{}, fmt.Errorf("read the CPU time of process %s (only Linux tells it): %w", pid, err)
	}
	return parseTimes(string(text))
}

// parseTimes reads a line of /proc/pid/stat. The second field is the program's name in
// brackets and may hold anything, brackets too.
func parseTimes(line string) (times, error) {
	const parent, utime, cutime = 1, 11, 13 // Counted from the field after the name.
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < cutime+2 {
		return times{}, fmt.Errorf("%q is no line of /proc/pid/stat", line)
	}
	var numbers [5]int64
	for i, at := range []int{parent, utime, utime + 1, cutime, cutime + 1} {
		var err error
		if numbers[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return times{}, fmt.Errorf("read /proc/pid/stat: %w", err)
		}
	}
	return times{
		parent:   int(numbers[0]),
		own:      time.Duration(numbers[1]+numbers[2]) * tick,
		children: time.Duration(numbers[3]+numbers[4]) * tick,
	}, nil
}

// processCPU is what a process has used so far, all its threads together.
func processCPU(pid int) (time.Duration, error) {
	t, err := readTimes(strconv.Itoa(pid))
	return t.own, err
}

// treeCPU is what a process and all its children have used so far, those included that
// have ended: for a PostgreSQL server every backend, background worker and writer. A child that ends
// while they are added up would count twice or not at all, so they are added up again.
func treeCPU(root int) (time.Duration, error) {
	for {
		before, err := readTimes(strconv.Itoa(root))
		if err != nil {
			return 0, err
		}
		children, err := childrenCPU(root)
		if err != nil {
			return 0, err
		}
		after, err := readTimes(strconv.Itoa(root))
		if err != nil {
			return 0, err
		}
		if before.children == after.children {
			return after.own + after.children + children, nil
		}
	}
}

// childrenCPU is what the living children of a process have used so far.
func childrenCPU(root int) (time.Duration, error) {
	all, err := children(root)
	var total time.Duration
	for _, t := range all {
		total += t.own
	}
	return total, err
}

// children are the living children of a process, by their pids.
func children(root int) (map[string]times, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	all := map[string]times{}
	for _, file := range stats {
		pid := filepath.Base(filepath.Dir(file))
		if t, err := readTimes(pid); err == nil && t.parent == root { // Others have ended since.
			all[pid] = t
		}
	}
	return all, nil
}
