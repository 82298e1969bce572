package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// shape collects what is measured of one module.
type shape struct {
	functions        []int // lines of each function that is no test
	code, comments   int   // lines, tests left out
	breaks, warnings []string
}

func (s *shape) fail(format string, args ...any) {
	s.breaks = append(s.breaks, fmt.Sprintf(format, args...))
}

func (s *shape) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// add measures one file. documented remembers, by folder, whether any file has the package comment.
func (s *shape) add(root, path string, documented map[string]bool) error {
	source, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, path, source, parser.ParseComments)
	if err != nil {
		return err
	}
	lines := bytes.Count(source, []byte("\n"))
	switch {
	case lines > maxFile:
		s.fail("%s: %d lines, at most %d: split it by what it does", path, lines, maxFile)
	case lines > warnFile:
		s.warn("%s: %d lines", path, lines)
	}
	test := strings.HasSuffix(path, "_test.go")
	s.measureFunctions(set, syntax, path, test)
	if test {
		return nil
	}
	s.countLines(set, syntax, source)
	dir := filepath.ToSlash(filepath.Dir(path))
	documented[dir] = documented[dir] || syntax.Doc != nil
	if syntax.Name.Name != "main" {
		s.checkDocs(set, syntax, path)
	}
	return nil
}

func (s *shape) measureFunctions(set *token.FileSet, syntax *ast.File, path string, test bool) {
	for _, decl := range syntax.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		lines := span(set, fn.Body) - tableLines(set, fn.Body)
		if lines > maxFunc {
			s.fail("%s:%d: %s has %d lines, at most %d", path, set.Position(fn.Pos()).Line, fn.Name.Name, lines, maxFunc)
		}
		if !test {
			s.functions = append(s.functions, lines)
		}
	}
}

// span returns how many lines a node covers.
func span(set *token.FileSet, node ast.Node) int {
	return set.Position(node.End()).Line - set.Position(node.Pos()).Line + 1
}

// tableLines returns the lines of the outermost composite literals below a node.
func tableLines(set *token.FileSet, body ast.Node) int {
	total := 0
	ast.Inspect(body, func(node ast.Node) bool {
		if literal, ok := node.(*ast.CompositeLit); ok {
			total += span(set, literal) - 1
			return false
		}
		return true
	})
	return total
}

func (s *shape) countLines(set *token.FileSet, syntax *ast.File, source []byte) {
	comment := map[int]bool{}
	for _, group := range syntax.Comments {
		for line := set.Position(group.Pos()).Line; line <= set.Position(group.End()).Line; line++ {
			comment[line] = true
		}
	}
	for i, line := range bytes.Split(source, []byte("\n")) {
		text := bytes.TrimSpace(line)
		switch {
		case len(text) == 0:
		case comment[i+1] && bytes.HasPrefix(text, []byte("//")):
			s.comments++
		default:
			s.code++
		}
	}
}

func (s *shape) finish(module string, documented map[string]bool) {
	for dir, has := range documented {
		if !has {
			s.fail("%s: the package has no comment: say what it does, how, and what it does not do", dir)
		}
	}
	if len(s.functions) > 0 {
		slices.Sort(s.functions)
		if p90 := s.functions[len(s.functions)*9/10]; p90 > p90Func {
			s.fail("%s: one function in ten has %d lines or more, at most %d", module, p90, p90Func)
		}
	}
	if s.code > 500 { // below, the ratio says nothing
		if ratio := float64(s.comments) / float64(s.code); ratio < minComment || ratio > maxComment {
			s.warn("%s: %.2f comment lines per line of code", module, ratio)
		}
	}
	slices.Sort(s.breaks)
	slices.Sort(s.warnings)
}
