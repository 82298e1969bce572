package kube

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/kube/schema"
)

// checklist are the ids of the table in docs/deploying.md: workloads, scheduling, probes, network, data, observability,
// delivery.
var checklist = []string{
	"W1", "W2", "W3", "W4", "W5", "W6",
	"S1", "S2", "S3", "S4", "S5", "S6", "S7",
	"P1", "P2", "P3", "P4",
	"N1", "N2", "N3", "N4", "N5", "N6",
	"D1", "D2", "D3", "D4", "D5", "D6",
	"O1", "O2",
	"X1", "X2", "X3", "X4", "X5",
}

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(repository + "/docs/deploying.md")
	require.NoError(t, err)
	return string(text)
}

var (
	row      = regexp.MustCompile(`(?m)^\| \*{0,2}([A-Z]\d)\*{0,2} \|(.*)$`)
	testName = regexp.MustCompile("`(Test\\w+)")
)

// TestX5_TheTableNamesEveryIDAndTestsThatExist also wants a row to have a test or a sentence in its last cell.
func TestX5_TheTableNamesEveryIDAndTestsThatExist(t *testing.T) {
	require.Empty(t, tableBreaks(page(t), tests(t)))
	broken := "| W1 | x | `TestW1_NoSuchTest` |\n| W2 | x | |\n"
	breaks := strings.Join(tableBreaks(broken, tests(t)), "\n")
	require.Contains(t, breaks, "W1: there is no TestW1_NoSuchTest")
	require.Contains(t, breaks, "W2: neither a test nor a reason")
	require.Contains(t, breaks, "X5: 0 rows")
}

func tableBreaks(page string, tests map[string]bool) []string {
	var breaks []string
	rows := map[string]int{}
	for _, found := range row.FindAllStringSubmatch(page, -1) {
		id, rest := found[1], strings.TrimSuffix(strings.TrimSpace(found[2]), "|")
		rows[id]++
		last := strings.TrimSpace(rest[strings.LastIndex(rest, "|")+1:])
		named := testName.FindAllStringSubmatch(rest, -1)
		for _, name := range named {
			if !tests[name[1]] {
				breaks = append(breaks, id+": there is no "+name[1])
			}
		}
		if len(named) == 0 && len(strings.Fields(last)) < 4 {
			breaks = append(breaks, id+": neither a test nor a reason")
		}
	}
	for _, id := range checklist {
		if rows[id] != 1 {
			breaks = append(breaks, id+": "+map[bool]string{true: "0", false: "several"}[rows[id] == 0]+" rows")
		}
	}
	return breaks
}

// tests are the names of all tests of the repository.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); strings.HasPrefix(name, ".") && name != ".." || name == "node_modules" || name == "gen" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, name := range declared.FindAllStringSubmatch(string(text), -1) {
			found[name[1]] = true
		}
		return err
	})
	require.NoError(t, err)
	require.Contains(t, found, t.Name())
	return found
}

func TestX4_SupportedVersionsAreThoseThatAreChecked(t *testing.T) {
	text := page(t)
	for module, version := range schema.Versions() {
		want := strings.TrimPrefix(version, "v")
		if module == "k8s.io/kubernetes" {
			want = want[:strings.LastIndex(want, ".")] // any patch of the minor version
		}
		require.Contains(t, text, want, module)
	}
}

func TestX5_ThePageLeadsFromInstallToUninstall(t *testing.T) {
	text := page(t)
	at := 0
	for _, heading := range []string{"## What it needs", "## Install", "## Verify", "## Upgrade", "## Roll back", "## Uninstall"} {
		next := strings.Index(text, "\n"+heading)
		require.Greater(t, next, at, heading)
		at = next
	}
}
