//go:build !linux

package main

func inMemory(string) (bool, error) { return false, nil }
