//go:build !linux

package main

import "errors"

// cores are none: only Linux lets one program decide where another runs.
func cores() ([]int, error) { return nil, nil }

func pinTo(int, int) error { return errors.ErrUnsupported }
