package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"
)

// coreMask has a bit for each core, as sched_setaffinity(2) takes it.
type coreMask [16]uint64

// cores are those that this program may run on.
func cores() ([]int, error) {
	var mask coreMask
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		return nil, fmt.Errorf("ask for the cores: %w", errno)
	}
	var list []int
	for i := range len(mask) * 64 {
		if mask[i/64]>>(i%64)&1 == 1 {
			list = append(list, i)
		}
	}
	return list, nil
}

// pinTo keeps a process, its threads and its children on a core. What they start from then on inherits that. One that is
// started while they are listed may be missed, so they are listed until there is no new one.
func pinTo(root, core int) error {
	pinned := map[int]bool{}
	for {
		list, err := threads(root)
		if err != nil {
			return err
		}
		news := false
		for _, thread := range list {
			if pinned[thread] {
				continue
			}
			if err := pinThread(thread, core); err != nil {
				return err
			}
			pinned[thread], news = true, true
		}
		if !news {
			return nil
		}
	}
}

func pinThread(thread, core int) error {
	var mask coreMask
	mask[core/64] = 1 << (core % 64)
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(thread), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 && !errors.Is(errno, syscall.ESRCH) { // It has ended since.
		return fmt.Errorf("pin thread %d to core %d: %w", thread, core, errno)
	}
	return nil
}

// threads are those of a process and of its children.
func threads(root int) ([]int, error) {
	processes := []string{strconv.Itoa(root)}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	for _, file := range stats {
		pid := filepath.Base(filepath.Dir(file))
		if t, err := readTimes(pid); err == nil && t.parent == root { // Others have ended since.
			processes = append(processes, pid)
		}
	}
	var list []int
	for _, pid := range processes {
		tasks, err := filepath.Glob("/proc/" + pid + "/task/[0-9]*")
		if err != nil {
			return nil, fmt.Errorf("list the threads of process %s: %w", pid, err)
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				return nil, fmt.Errorf("list the threads of process %s: %w", pid, err)
			}
			list = append(list, id)
		}
	}
	return list, nil
}
