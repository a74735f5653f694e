package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// cores are those that this program may run on.
func cores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("ask for the cores: %w", err)
	}
	var list []int
	for core := 0; len(list) < set.Count(); core++ {
		if set.IsSet(core) {
			list = append(list, core)
		}
	}
	return list, nil
}

// pinTo keeps a process, its threads and its children on a core. What they start from then on inherits that. One that is
// started while they are listed may be missed, so they are listed until there is no new one.
func pinTo(root, core int) error {
	var set unix.CPUSet
	set.Set(core)
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
			if err := unix.SchedSetaffinity(thread, &set); err != nil && !errors.Is(err, syscall.ESRCH) { // It has ended since.
				return fmt.Errorf("pin thread %d to core %d: %w", thread, core, err)
			}
			pinned[thread], news = true, true
		}
		if !news {
			return nil
		}
	}
}

// threads are those of a process and of its children.
func threads(root int) ([]int, error) {
	family, err := children(root)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, pid := range append(slices.Collect(maps.Keys(family)), strconv.Itoa(root)) {
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
