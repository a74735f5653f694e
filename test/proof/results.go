package proof

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Keep writes a result as JSON to where Kept finds it.
func Keep(file string, result any) error {
	text, err := json.MarshalIndent(result, "", "\t")
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the result: %w", err)
	}
	return nil
}

// Kept reads a result; false when there is none yet.
func Kept(file string, result any) (bool, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, result)
	}
	if err != nil {
		return false, fmt.Errorf("read the result %s: %w", file, err)
	}
	return true, nil
}
