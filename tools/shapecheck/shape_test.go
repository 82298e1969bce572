package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// measure runs the checks over one file.
func measure(t *testing.T, name, code string) shape {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, name), []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	var s shape
	documented := map[string]bool{}
	if err := s.add(root, name, documented); err != nil {
		t.Fatal(err)
	}
	s.finish("m", documented)
	return s
}

const head = "// Package p is.\npackage p\n\n"

func TestShapeRules(t *testing.T) {
	long := func(lines int) string { return strings.Repeat("\t_ = 1\n", lines) }
	for name, c := range map[string]struct {
		file, code string
		breaks     int
	}{
		"fine":                   {"a.go", head + "// F does.\nfunc F() {}\n", 0},
		"no package comment":     {"a.go", "package p\n", 1},
		"no comment":             {"a.go", head + "func F() {}\ntype T int\nvar V int\nconst C = 1\n", 4},
		"unexported":             {"a.go", head + "func f() {}\ntype t int\nfunc (t) M() {}\n", 0},
		"method":                 {"a.go", head + "// T is.\ntype T[K any] struct{}\nfunc (t *T[K]) M() {}\n", 1},
		"group":                  {"a.go", head + "// Kinds.\nconst (\n\tA = 1\n\tB = 2\n)\n", 0},
		"long function":          {"a.go", head + "func f() {\n" + long(101) + "}\n", 2}, // itself, and nine of ten
		"long test":              {"a_test.go", head + "func f() {\n" + long(101) + "}\n", 1},
		"table":                  {"a_test.go", head + "func f() {\n_ = []int{\n" + strings.Repeat("\t1,\n", 200) + "}\n}\n", 0},
		"long file":              {"a.go", head + strings.Repeat("\n", 700), 1},
		"tests need no comments": {"a_test.go", "package p\nfunc TestX() {}\n", 0},
		"programs explain main":  {"a.go", "// Command a is.\npackage main\nfunc F() {}\n", 0},
	} {
		if s := measure(t, c.file, c.code); len(s.breaks) != c.breaks {
			t.Errorf("%s: want %d breaks, got %q", name, c.breaks, s.breaks)
		}
	}
	if s := measure(t, "a.go", head+strings.Repeat("\n", 450)); len(s.warnings) != 1 {
		t.Error(s.warnings)
	}
}
