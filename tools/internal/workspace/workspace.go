// Package workspace knows the modules of the repository, from go.work, for the checks in this folder.
package workspace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Prefix begins the path of every module of the suite.
const Prefix = "github.com/concord-suite/concord/"

// Workspace is the repository.
type Workspace struct {
	Root    string   // absolute path of the folder that holds go.work
	Modules []Module // in the order of their folders
}

// Module is one module of go.work.
type Module struct {
	Dir  string // relative to the root, slashes: "services/auth"
	Mod  ModFile
	Path string // import path
}

// ModFile is a go.mod as `go mod edit -json` shows it.
type ModFile struct {
	Module  struct{ Path string }
	Go      string
	Require []Require
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
}

// Require is one line of a require block.
type Require struct {
	Path, Version string
	Indirect      bool
}

// Open finds the workspace around the current folder and reads its modules.
func Open() (*Workspace, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
			break
		}
		parent := filepath.Dir(root)
		if parent == root {
			return nil, fmt.Errorf("no go.work here or above")
		}
		root = parent
	}
	var work struct{ Use []struct{ DiskPath string } }
	if err := goJSON(&work, root, nil, "work", "edit", "-json"); err != nil {
		return nil, err
	}
	w := &Workspace{Root: root}
	for _, use := range work.Use {
		m := Module{Dir: filepath.ToSlash(filepath.Clean(use.DiskPath))}
		if err := goJSON(&m.Mod, filepath.Join(root, m.Dir), nil, "mod", "edit", "-json"); err != nil {
			return nil, err
		}
		m.Path = m.Mod.Module.Path
		w.Modules = append(w.Modules, m)
	}
	slices.SortFunc(w.Modules, func(a, b Module) int { return strings.Compare(a.Dir, b.Dir) })
	return w, nil
}

// Go runs the go command in a module's folder and returns what it prints. GOWORK is off: a module is judged alone, as its
// image is built.
func (w *Workspace) Go(m Module, args ...string) ([]byte, error) {
	return run(filepath.Join(w.Root, m.Dir), []string{"GOWORK=off"}, args...)
}

// GoTogether runs the go command in a module's folder with the workspace on, where a go.mod that is not tidy yet is no
// obstacle.
func (w *Workspace) GoTogether(m Module, args ...string) ([]byte, error) {
	return run(filepath.Join(w.Root, m.Dir), nil, args...)
}

func goJSON(into any, dir string, env []string, args ...string) error {
	out, err := run(dir, env, args...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

func run(dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, stderr.String())
	}
	return out, nil
}

// Files lists the Go files of a module that people wrote: not generated, not test data. Paths are relative to the root.
func (w *Workspace) Files(m Module) ([]string, error) {
	var files []string
	root := filepath.Join(w.Root, m.Dir)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			name := entry.Name()
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (nested == nil || name == "testdata" || name == "gen" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		generated, err := isGenerated(path)
		if err != nil || generated {
			return err
		}
		relative, err := filepath.Rel(w.Root, path)
		files = append(files, filepath.ToSlash(relative))
		return err
	})
	return files, err
}

func isGenerated(path string) (bool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	first, _, _ := bytes.Cut(data, []byte("\n"))
	return bytes.HasPrefix(first, []byte("// Code generated ")) && bytes.Contains(first, []byte("DO NOT EDIT")), nil
}
