//go:build !unix

package journal

import (
	"fmt"
	"os"
)

// lockFile only holds the file open: these systems have no lock in the standard library.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	return f, nil
}
