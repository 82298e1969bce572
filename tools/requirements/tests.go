package main

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

// named is how a test says what it proves.
var named = regexp.MustCompile(`^Test([SNCT][0-9]+)_[A-Z0-9]`)

// script is a test of a JavaScript file: test('N54 …') or a string that is its whole name.
var script = regexp.MustCompile(`['"\x60](Test[SNCT][0-9]+_[A-Za-z0-9]+)['"\x60]`)

// find lists the tests that are named after a requirement, by its id.
func find(w *workspace.Workspace) (map[string][]string, error) {
	tests := map[string][]string{}
	add := func(name string) {
		if m := named.FindStringSubmatch(name); m != nil && !slices.Contains(tests[m[1]], name) {
			tests[m[1]] = append(tests[m[1]], name)
		}
	}
	for _, m := range w.Modules {
		files, err := w.Files(m)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				continue
			}
			if err := functions(filepath.Join(w.Root, file), add); err != nil {
				return nil, err
			}
		}
	}
	if err := scripts(filepath.Join(w.Root, "test/node"), add); err != nil {
		return nil, err
	}
	for _, names := range tests {
		slices.Sort(names)
	}
	return tests, nil
}

// functions gives the name of every top-level test of a Go file.
func functions(path string, add func(string)) error {
	syntax, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, decl := range syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && isTest(fn) {
			add(fn.Name.Name)
		}
	}
	return nil
}

// isTest says whether `go test` runs a function: one parameter, no result.
func isTest(fn *ast.FuncDecl) bool {
	p := fn.Type.Params.List
	if len(p) != 1 || len(p[0].Names) > 1 || fn.Type.Results != nil {
		return false
	}
	star, ok := p[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	sel, ok := star.X.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "T"
}

// scripts gives the names in the JavaScript files of a folder, installed packages left out.
func scripts(dir string, add func(string)) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Name() == "node_modules" {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.IsDir() || filepath.Ext(path) != ".mjs" {
			return nil
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			for _, m := range script.FindAllStringSubmatch(lines.Text(), -1) {
				add(m[1])
			}
		}
		return lines.Err()
	})
}
