package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = "kind: fixed\npart: connector\nnote: A connection no longer asks to sign in again.\n"

func TestParse(t *testing.T) {
	if f, err := parse(good); err != nil || f.kind != "fixed" || f.part != "connector" {
		t.Error(f, err)
	}
	for _, bad := range []string{
		"", "kind: fixed\n", strings.Replace(good, "fixed", "improved", 1), strings.Replace(good, "connector", "core", 1),
		strings.Replace(good, "again.", "again", 1), good + "kind: fixed\n", good + "author: me\n",
	} {
		if _, err := parse(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestRelease(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2025-01-01\n")
	write("changes/a.yaml", good)
	write("changes/b.yaml", "kind: added\npart: sync\nnote: Runs show how long they will take.\n")
	if err := run(root, "0.2.0", "2026-01-31"); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-01-31\n\n### Added\n\n- sync: Runs show how long they will take.\n" +
		"\n### Fixed\n\n- connector: A connection no longer asks to sign in again.\n\n## [0.1.0] - 2025-01-01\n"
	if string(log) != want {
		t.Errorf("got\n%s\nwant\n%s", log, want)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "changes/*.yaml")); len(left) != 0 {
		t.Error(left)
	}
}
