// Command depscheck compares what each module's programs link with the list in its deps.txt.
//
// usage: depscheck [-w]
//
// The list names modules, not versions, and comes from the packages that end up in a binary, not from go.mod: what only
// tests use must never show there. A new line needs a reason in the review. With -w the lists are written.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

func main() {
	write := flag.Bool("w", false, "write the lists")
	flag.Parse()
	ok, err := run(*write)
	if err != nil {
		fmt.Fprintln(os.Stderr, "depscheck:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(write bool) (ok bool, err error) {
	w, err := workspace.Open()
	if err != nil {
		return false, err
	}
	ok = true
	for _, m := range w.Modules {
		linked, err := linkedModules(w, m)
		if err != nil {
			return false, err
		}
		if linked == nil {
			continue
		}
		golden := filepath.Join(w.Root, m.Dir, "deps.txt")
		if write {
			if err := os.WriteFile(golden, []byte(lines(linked)), 0o644); err != nil {
				return false, err
			}
			continue
		}
		known, err := os.ReadFile(golden)
		if err != nil && !os.IsNotExist(err) {
			return false, err
		}
		for _, line := range difference(strings.Fields(string(known)), linked) {
			fmt.Printf("%s/deps.txt: %s   (make deps-update, and say why in the review)\n", m.Dir, line)
			ok = false
		}
	}
	return ok, nil
}

// linkedModules returns the third-party modules that the programs of a module link, or nil for a module without programs.
func linkedModules(w *workspace.Workspace, m workspace.Module) ([]string, error) {
	out, err := w.Go(m, "list", "-f", "{{if eq .Name \"main\"}}{{.ImportPath}}{{end}}", "./...")
	if err != nil {
		return nil, err
	}
	programs := strings.Fields(string(out))
	if len(programs) == 0 {
		return nil, nil
	}
	args := append([]string{"list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}"}, programs...)
	out, err = w.Go(m, args...)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, path := range strings.Fields(string(out)) {
		if !strings.HasPrefix(path, workspace.Prefix) {
			seen[path] = true
		}
	}
	return slices.AppendSeq(make([]string, 0, len(seen)), slices.Values(slices.Sorted(maps.Keys(seen)))), nil
}

// lines puts each path on a line of its own.
func lines(paths []string) string {
	var b strings.Builder
	for _, path := range paths {
		b.WriteString(path + "\n")
	}
	return b.String()
}

// difference returns "+ x" for what is new and "- x" for what is gone.
func difference(known, linked []string) []string {
	var found []string
	for _, path := range linked {
		if !slices.Contains(known, path) {
			found = append(found, "+ "+path)
		}
	}
	for _, path := range known {
		if !slices.Contains(linked, path) {
			found = append(found, "- "+path)
		}
	}
	return found
}
