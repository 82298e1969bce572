// Command shapecheck keeps files and functions small and exported names explained.
//
// usage: shapecheck
//
// It fails on a file over 700 lines, a function over 100 lines, 90 % of a module's functions over 50 lines, and an
// exported name or package without a comment. It warns of a file over 400 lines and of a module whose comments are few
// or many. Generated code does not count; the lines of tables (composite literals) do not count in functions.
package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

const (
	warnFile = 400 // lines; the best codebases have a median near 100
	maxFile  = 700
	maxFunc  = 100 // lines of one function without its tables
	p90Func  = 50  // lines that nine of ten functions stay under
	// minComment and maxComment bound comment lines per code line: fewer leave the why out, more repeat the code.
	minComment, maxComment = 0.08, 0.45
)

func main() {
	failed, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "shapecheck:", err)
		os.Exit(1)
	}
	if failed {
		os.Exit(1)
	}
}

func run() (failed bool, err error) {
	w, err := workspace.Open()
	if err != nil {
		return false, err
	}
	modules := append(slices.Clone(w.Modules), workspace.Module{Dir: "tools"})
	for _, m := range modules {
		files, err := w.Files(m)
		if err != nil {
			return false, err
		}
		var s shape
		documented := map[string]bool{}
		for _, file := range files {
			if err := s.add(w.Root, file, documented); err != nil {
				return false, err
			}
		}
		s.finish(m.Dir, documented)
		for _, line := range s.breaks {
			fmt.Println(line)
		}
		for _, line := range s.warnings {
			fmt.Println("warning:", line)
		}
		failed = failed || len(s.breaks) > 0
	}
	return failed, nil
}
