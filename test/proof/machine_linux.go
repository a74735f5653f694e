package proof

import (
	"os"
	"strconv"
	"strings"
)

// memory is what the machine has, in bytes.
func memory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	kib, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
