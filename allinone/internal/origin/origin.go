// Package origin remembers which practice a data directory was begun with. The simulated world goes on with that one, so
// another that is asked for later must be refused instead of ignored.
package origin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Practice says where a practice came from.
type Practice struct {
	// Path is the file or folder as it was named, empty for a generated practice; Sum tells its contents.
	Path string `json:"path,omitempty"`
	Sum  string `json:"sum,omitempty"`
	// Clients is the size of a generated practice.
	Clients int `json:"clients,omitempty"`
}

// Of describes a practice that was asked for: a path, or a size where that is empty.
func Of(path string, clients int) (Practice, error) {
	if path == "" {
		return Practice{Clients: clients}, nil
	}
	sum, err := contents(path)
	return Practice{Path: path, Sum: sum}, err
}

// Same says whether both are one practice, whatever its file is called today.
func (p Practice) Same(other Practice) bool {
	return p != Practice{} && p.Sum == other.Sum && p.Clients == other.Clients
}

// String names the practice for people.
func (p Practice) String() string {
	switch {
	case p.Path != "":
		return fmt.Sprintf("the practice of %s as it was then", p.Path)
	case p.Clients == 1:
		return "a generated practice of 1 client"
	case p.Clients > 0:
		return fmt.Sprintf("a generated practice of %d clients", p.Clients)
	}
	return "a practice of an earlier version"
}

// In reads which practice the data directory was begun with. found is false for a directory that has none; one that
// nothing is written about is the zero Practice.
func In(dir string) (p Practice, found bool, err error) {
	b, err := os.ReadFile(file(dir))
	if errors.Is(err, fs.ErrNotExist) {
		_, err := os.Stat(World(dir))
		return Practice{}, err == nil, nil
	}
	if err != nil {
		return Practice{}, false, err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return Practice{}, false, fmt.Errorf("%s can't be read: %w", file(dir), err)
	}
	return p, true, nil
}

// Keep writes it into the data directory, before the world is made there.
func Keep(dir string, p Practice) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file(dir)+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(file(dir)+".new", file(dir))
}

// World is where the simulated world keeps its state in a data directory.
func World(dir string) string { return filepath.Join(dir, "world") }

func file(dir string) string { return filepath.Join(dir, "practice.json") }

// contents is a digest of a file, or of a folder's files with their names.
func contents(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	err = filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(path, at)
		fmt.Fprintf(sum, "%q %d\n", name, len(b))
		sum.Write(b)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}
