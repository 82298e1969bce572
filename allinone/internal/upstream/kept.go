package upstream

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Kept are the settings that the last start on the data directory wrote there; none in a directory that is not a
// demonstration's.
func Kept(dir string) ([]string, error) {
	text, err := os.ReadFile(file(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the settings of the simulated world: %w", err)
	}
	return strings.Fields(string(text)), nil
}

// keep writes settings, one a line, so that a crash leaves the old or the new ones.
func keep(dir string, environ []string) error {
	fresh := file(dir) + ".new"
	err := os.WriteFile(fresh, []byte(strings.Join(environ, "\n")+"\n"), 0o600)
	if err == nil {
		err = os.Rename(fresh, file(dir))
	}
	if err != nil {
		return fmt.Errorf("the settings of the simulated world can't be kept: %w", err)
	}
	return nil
}

func file(dir string) string { return filepath.Join(dir, "simulated.env") }

// keyOf finds the webhook's key among settings, or makes one.
func keyOf(environ []string) string {
	for _, pair := range environ {
		if key, ok := strings.CutPrefix(pair, webhookKey+"="); ok && key != "" {
			return key
		}
	}
	return rand.Text()
}
