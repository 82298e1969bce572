// Command changes checks the fragments of the changelog and gathers them for a release.
//
// usage: changes                                check the fragments in changes/
//
//	changes -release 1.2.0 -date 2026-01-31   move them into CHANGELOG.md
//
// A fragment is a file changes/<anything>.yaml of three lines:
//
//	kind: fixed
//	part: connector
//	note: A connection no longer asks to sign in again when the provider's reply to a refresh is lost.
//
// The note begins with what the user sees and is a sentence.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

var (
	// kinds are those of Keep a Changelog, in its order.
	kinds = []string{"added", "changed", "deprecated", "removed", "fixed", "security"}
	parts = []string{"auth", "connector", "sync", "documents", "gateway", "allinone", "sim", "platform", "api", "deploy"}
)

func main() {
	release := flag.String("release", "", "version to gather the fragments under")
	date := flag.String("date", "", "date of the release, YYYY-MM-DD")
	flag.Parse()
	w, err := workspace.Open()
	if err == nil {
		err = run(w.Root, *release, *date)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "changes:", err)
		os.Exit(1)
	}
}

// fragment is one unreleased change.
type fragment struct{ file, kind, part, note string }

func run(root, release, date string) error {
	fragments, err := readAll(filepath.Join(root, "changes"))
	if err != nil || release == "" {
		return err
	}
	if date == "" {
		return fmt.Errorf("a release needs its -date")
	}
	path := filepath.Join(root, "CHANGELOG.md")
	log, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	gathered, err := gather(string(log), release, date, fragments)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(gathered), 0o644); err != nil {
		return err
	}
	for _, f := range fragments {
		if err := os.Remove(f.file); err != nil {
			return err
		}
	}
	return nil
}

func readAll(dir string) ([]fragment, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var fragments []fragment
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		f, err := parse(string(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		f.file = file
		fragments = append(fragments, f)
	}
	return fragments, nil
}

func parse(text string) (fragment, error) {
	var f fragment
	fields := map[string]*string{"kind": &f.kind, "part": &f.part, "note": &f.note}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		field := fields[key]
		if field == nil || *field != "" {
			return f, fmt.Errorf("want the lines kind, part and note, each once, not %q", strings.TrimSpace(line))
		}
		*field = strings.TrimSpace(value)
	}
	switch {
	case !slices.Contains(kinds, f.kind):
		return f, fmt.Errorf("kind must be one of %s", strings.Join(kinds, ", "))
	case !slices.Contains(parts, f.part):
		return f, fmt.Errorf("part must be one of %s", strings.Join(parts, ", "))
	case len(f.note) < 20 || !strings.HasSuffix(f.note, "."):
		return f, fmt.Errorf("note must be a sentence")
	}
	return f, nil
}

// unreleased is the heading under which a release is put in.
const unreleased = "## [Unreleased]\n"

// gather puts the fragments into the changelog as a release.
func gather(log, release, date string, fragments []fragment) (string, error) {
	before, after, found := strings.Cut(log, unreleased)
	if !found {
		return "", fmt.Errorf("CHANGELOG.md has no heading %q", strings.TrimSpace(unreleased))
	}
	var b strings.Builder
	b.WriteString(before + unreleased)
	fmt.Fprintf(&b, "\n## [%s] - %s\n", release, date)
	for _, kind := range kinds {
		var lines []string
		for _, f := range fragments {
			if f.kind == kind {
				lines = append(lines, fmt.Sprintf("- %s: %s\n", f.part, f.note))
			}
		}
		if len(lines) > 0 {
			slices.Sort(lines)
			fmt.Fprintf(&b, "\n### %s\n\n%s", strings.ToUpper(kind[:1])+kind[1:], strings.Join(lines, ""))
		}
	}
	return b.String() + after, nil
}
