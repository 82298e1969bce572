package program

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Check asks the program what is wrong with an environment; every line names a setting. In place of the files that settings
// name, which a cluster mounts, it is given files with a sample. What it said once of an environment is kept: most pods of
// most renderings have the same.
func (p *Program) Check(env map[string]string) ([]string, error) {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		pairs = append(pairs, name+"="+env[name])
	}
	key := strings.Join(pairs, "\x00")
	if said, found := p.checked[key]; found {
		return said, nil
	}
	dir, err := os.MkdirTemp("", "kube-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasSuffix(name, "_FILE") || !strings.HasPrefix(value, "/") {
			continue
		}
		value = filepath.Join(dir, value)
		if err := sampleFile(value, name); err != nil {
			return nil, err
		}
		pairs[i] = fmt.Sprintf("%s=%s", name, value)
	}
	said, err := p.check(pairs)
	if err != nil {
		return nil, err
	}
	p.checked[key] = said
	return said, nil
}

func (p *Program) check(env []string) ([]string, error) {
	cmd := exec.Command(p.path, "config", "check")
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, env...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	if err == nil {
		return nil, nil
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n"), nil
}

// sampleFile writes what may stand in the file that a variable names: an address of a database, or a word.
func sampleFile(path, variable string) error {
	text := "word"
	if strings.HasSuffix(variable, "DATABASE_URL_FILE") {
		text = "postgres://part:word@database/part?sslmode=verify-full"
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
