//go:build !linux

package proof

func memory() int64 { return 0 }
