package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// whole is a table with a row for every id, each proven by a test.
func whole() (string, map[string][]string) {
	var b strings.Builder
	tests := map[string][]string{}
	for _, id := range ids() {
		tests[id] = []string{"Test" + id + "_IsMet"}
		b.WriteString("| " + id + " | something | here | `Test" + id + "_IsMet` |\n")
	}
	return b.String(), tests
}

func TestATableThatIsTrueHasNoMistakes(t *testing.T) {
	text, tests := whole()
	if n := len(ids()); n != 22+59+7+16 {
		t.Error(n)
	}
	if m := compare(text, tests); len(m) != 0 {
		t.Error(m)
	}
	delete(tests, "S12")
	text = strings.Replace(text, "`TestS12_IsMet`", elsewhere+"whoever runs the servers", 1)
	if m := compare(text, tests); len(m) != 0 {
		t.Error(m)
	}
}

func TestEveryLieIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		change func(text string, tests map[string][]string) string
		want   string
	}{
		"a row is missing": {func(s string, _ map[string][]string) string {
			return strings.Replace(s, "| S01 |", "", 1)
		}, "S01: no row"},
		"two rows": {func(s string, _ map[string][]string) string {
			return strings.Replace(s, "| S02 |", "| S01 |", 1)
		}, "S01: a second row"},
		"no such id": {func(s string, _ map[string][]string) string {
			return s + "| S99 | a | b | `TestS99_X` |\n"
		}, "S99: no such requirement"},
		"the test is gone": {func(s string, tests map[string][]string) string {
			delete(tests, "N13")
			return s
		}, "N13: there is no test TestN13_IsMet"},
		"a test nobody names": {func(s string, tests map[string][]string) string {
			tests["T09"] = append(tests["T09"], "TestT09_Another")
			return s
		}, "T09: TestT09_Another is missing"},
		"another requirement's test": {func(s string, _ map[string][]string) string {
			return strings.Replace(s, "`TestN14_IsMet`", "`TestN13_IsMet`", 1)
		}, "N14: there is no test TestN13_IsMet"},
		"no test and no owner": {func(s string, tests map[string][]string) string {
			delete(tests, "C3")
			return strings.Replace(s, "`TestC3_IsMet`", "", 1)
		}, "C3: no test"},
		"a test of no requirement": {func(s string, tests map[string][]string) string {
			tests["T17"] = []string{"TestT17_X"}
			return s
		}, "TestT17_X: named after a requirement that there is not"},
	} {
		text, tests := whole()
		text = c.change(text, tests)
		if m := compare(text, tests); !slices.ContainsFunc(m, func(s string) bool { return strings.HasPrefix(s, c.want) }) {
			t.Errorf("%s: want %q, got %q", name, c.want, m)
		}
	}
}

func TestNamesAreWrittenIn(t *testing.T) {
	text, tests := whole()
	tests["C1"] = []string{"TestC1_A", "TestC1_B"}
	delete(tests, "C2")
	text = fill(text, tests)
	for _, want := range []string{"| C1 | something | here | `TestC1_A`, `TestC1_B` |\n", "| C2 | something | here | |\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	kept := "| S12 | servers | there | " + elsewhere + "the operator's |\n"
	if got := fill(kept, nil); got != kept {
		t.Error(got)
	}
}

func TestTestsAreFoundByWhatGoRuns(t *testing.T) {
	dir := t.TempDir()
	write := func(name, code string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(code), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a_test.go", `package p
import "testing"
func TestN13_Once(t *testing.T) {}
func TestN14(t *testing.T) {}
func TestN15_Helper(t testing.TB) {}
func (x) TestN16_Method(t *testing.T) {}
// func TestN17_Comment(t *testing.T) {}
type x int
`)
	write("b.mjs", "check('TestN54_TheBrowserHoldsNoToken', () => {})\n")
	var got []string
	add := func(name string) {
		if named.MatchString(name) {
			got = append(got, name)
		}
	}
	if err := functions(filepath.Join(dir, "a_test.go"), add); err != nil {
		t.Fatal(err)
	}
	if err := scripts(dir, add); err != nil {
		t.Fatal(err)
	}
	if want := []string{"TestN13_Once", "TestN54_TheBrowserHoldsNoToken"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
