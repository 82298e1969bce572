// Command thirdparty copies the third-party .proto files of the contract out of pinned Go modules.
//
// usage: thirdparty LIST OUTDIR
//
// Each line of LIST reads "module version sum folder file...". The module is downloaded with the go command, which checks
// it against the module checksum database; its sum must also equal the one written in LIST, so that a generation on a
// machine without that database still cannot take other bytes. OUTDIR is replaced.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: thirdparty LIST OUTDIR")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "thirdparty:", err)
		os.Exit(1)
	}
}

// source is one line of the list: some files of one version of one module.
type source struct {
	module, version, sum, folder string
	files                        []string
}

func run(list, out string) error {
	sources, err := parse(list)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for _, s := range sources {
		dir, err := download(s)
		if err != nil {
			return err
		}
		for _, file := range s.files {
			if err := copyFile(filepath.Join(dir, s.folder, file), filepath.Join(out, file)); err != nil {
				return err
			}
		}
	}
	return nil
}

func parse(list string) ([]source, error) {
	f, err := os.Open(list)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var sources []source
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) < 5 {
			return nil, fmt.Errorf("%s:%d: want module, version, sum, folder and at least one file", list, n)
		}
		sources = append(sources, source{words[0], words[1], words[2], words[3], words[4:]})
	}
	return sources, lines.Err()
}

// download makes sure the module is in the module cache and returns its folder there.
func download(s source) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", s.module+"@"+s.version)
	cmd.Dir = os.TempDir() // outside every module: no go.mod may change the answer
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stderr = os.Stderr
	answer, err := cmd.Output()
	var got struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(answer, &got); jsonErr != nil {
		return "", fmt.Errorf("%s@%s: %v (%v)", s.module, s.version, err, jsonErr)
	}
	switch {
	case got.Error != "":
		return "", fmt.Errorf("%s@%s: %s", s.module, s.version, got.Error)
	case err != nil:
		return "", fmt.Errorf("%s@%s: %w", s.module, s.version, err)
	case got.Sum != s.sum:
		return "", fmt.Errorf("%s@%s: sum is %s, the list says %s", s.module, s.version, got.Sum, s.sum)
	}
	return got.Dir, nil
}

// copyFile writes a plain, writable copy; files of the module cache are read-only.
func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
