// Command archcheck keeps the walls of the house: who may import whom, and what no code may do anywhere.
//
// usage: archcheck
//
// It runs over every module of go.work and prints one line per break: the place, the rule, and what to do instead. The
// rules stand in CONTRIBUTING.md; the tables of this folder are their exact form.
package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

func main() {
	breaks, err := check()
	if err != nil {
		fmt.Fprintln(os.Stderr, "archcheck:", err)
		os.Exit(1)
	}
	slices.Sort(breaks)
	for _, b := range slices.Compact(breaks) {
		fmt.Println(b)
	}
	if len(breaks) > 0 {
		os.Exit(1)
	}
}

func check() ([]string, error) {
	w, err := workspace.Open()
	if err != nil {
		return nil, err
	}
	var breaks []string
	for _, m := range w.Modules {
		packages, err := list(w, m)
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			breaks = append(breaks, p.importBreaks(w)...)
			breaks = append(breaks, p.shapeBreaks()...)
		}
		linked, err := linkedBreaks(w, m)
		if err != nil {
			return nil, err
		}
		breaks = append(breaks, linked...)
		files, err := w.Files(m)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			found, err := codeBreaks(w.Root, file)
			if err != nil {
				return nil, err
			}
			breaks = append(breaks, found...)
		}
	}
	return breaks, nil
}
