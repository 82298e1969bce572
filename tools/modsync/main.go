// Command modsync keeps the go.mod files of the workspace in step.
//
// usage: modsync [-w]
//
// A module must list every local module it reaches, with version v0.0.0 and a replace line: replace lines of dependencies
// are ignored, and images build with GOWORK=off. All modules have the same go line and, of a third party, the same
// version: in a workspace the highest version wins, so tests would run other code than images. modsync prints what is
// out of step; with -w it writes the missing local lines.
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
	write := flag.Bool("w", false, "write missing local require and replace lines")
	flag.Parse()
	w, err := workspace.Open()
	if err == nil {
		var breaks []string
		breaks, err = check(w, *write)
		for _, b := range breaks {
			fmt.Println(b)
		}
		if err == nil && len(breaks) > 0 {
			os.Exit(1)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "modsync:", err)
		os.Exit(1)
	}
}

func check(w *workspace.Workspace, write bool) ([]string, error) {
	byPath := map[string]workspace.Module{}
	for _, m := range w.Modules {
		byPath[m.Path] = m
	}
	var breaks []string
	for _, m := range w.Modules {
		if m.Mod.Go != w.Modules[0].Mod.Go {
			breaks = append(breaks, fmt.Sprintf("%s: go %s, elsewhere go %s", m.Dir, m.Mod.Go, w.Modules[0].Mod.Go))
		}
		missing := localBreaks(m, byPath)
		if write && len(missing) > 0 {
			if err := add(w, m, byPath, missing); err != nil {
				return nil, err
			}
			continue
		}
		for _, path := range missing {
			breaks = append(breaks, fmt.Sprintf("%s: reaches %s and does not list it with v0.0.0 and its replace line (modsync -w)", m.Dir, path))
		}
	}
	return append(breaks, versionBreaks(w)...), nil
}

// reached returns the local modules that a module reaches through require lines, itself left out.
func reached(m workspace.Module, byPath map[string]workspace.Module) []string {
	seen := map[string]bool{}
	var walk func(workspace.Module)
	walk = func(from workspace.Module) {
		for _, r := range from.Mod.Require {
			if to, local := byPath[r.Path]; local && !seen[r.Path] {
				seen[r.Path] = true
				walk(to)
			}
		}
	}
	walk(m)
	delete(seen, m.Path)
	return slices.Sorted(maps.Keys(seen))
}

// localBreaks returns the local modules that are reached and not listed as they must be.
func localBreaks(m workspace.Module, byPath map[string]workspace.Module) []string {
	required, replaced := map[string]string{}, map[string]string{}
	for _, r := range m.Mod.Require {
		required[r.Path] = r.Version
	}
	for _, r := range m.Mod.Replace {
		replaced[r.Old.Path] = r.New.Path
	}
	var missing []string
	for _, path := range reached(m, byPath) {
		if required[path] != "v0.0.0" || replaced[path] != relative(m, byPath[path]) {
			missing = append(missing, path)
		}
	}
	return missing
}

// relative returns the path from one module's folder to another's, as a replace line has it.
func relative(from, to workspace.Module) string {
	path, err := filepath.Rel(from.Dir, to.Dir)
	if err != nil {
		return to.Dir
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, ".") {
		path = "./" + path
	}
	return path
}

func add(w *workspace.Workspace, m workspace.Module, byPath map[string]workspace.Module, missing []string) error {
	args := []string{"mod", "edit"}
	for _, path := range missing {
		args = append(args, "-require="+path+"@v0.0.0", "-replace="+path+"="+relative(m, byPath[path]))
	}
	_, err := w.Go(m, args...)
	return err
}

// versionBreaks returns the third parties that modules ask for in different versions.
func versionBreaks(w *workspace.Workspace) []string {
	askers := map[string]map[string][]string{} // module path, version, who asks
	for _, m := range w.Modules {
		for _, r := range m.Mod.Require {
			if strings.HasPrefix(r.Path, workspace.Prefix) {
				continue // localBreaks judges those
			}
			if askers[r.Path] == nil {
				askers[r.Path] = map[string][]string{}
			}
			askers[r.Path][r.Version] = append(askers[r.Path][r.Version], m.Dir)
		}
	}
	var breaks []string
	for _, path := range slices.Sorted(maps.Keys(askers)) {
		if len(askers[path]) < 2 {
			continue
		}
		var parts []string
		for _, version := range slices.Sorted(maps.Keys(askers[path])) {
			parts = append(parts, version+" by "+strings.Join(askers[path][version], ", "))
		}
		breaks = append(breaks, fmt.Sprintf("%s: asked for in different versions: %s (go work sync)", path, strings.Join(parts, "; ")))
	}
	return breaks
}
