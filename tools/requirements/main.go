// Command requirements keeps docs/security/requirements.md true: what an assessor asks for, and the tests that prove it.
//
// usage: requirements       fail when the table and the tests of the tree differ
//
//	requirements -w    write the names of the tests into the table, and its copy for the evidence pack
//
// A test proves a requirement by its name: TestN13_PINsAreAcceptedOnce proves N13, in a Go file of the workspace or as the
// name of a test in an .mjs file. Every id has one row; a row without a test says whose the requirement is instead.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

// page is the table; copied is where it is built into a program, which can't embed a file of another module.
const (
	page   = "docs/security/requirements.md"
	copied = "services/auth/internal/api/pack/requirements.md"
)

// inPack is a copy of the table inside the module of auth, whose evidence pack shows it: a module holds no files of others.
const inPack = "services/auth/internal/api/pack/requirements.md"

func main() {
	write := flag.Bool("w", false, "write the names of the tests into the table")
	flag.Parse()
	w, err := workspace.Open()
	if err == nil {
		err = run(w, *write)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "requirements:", err)
		os.Exit(1)
	}
}

func run(w *workspace.Workspace, write bool) error {
	path := filepath.Join(w.Root, page)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	tests, err := find(w)
	if err != nil {
		return err
	}
	copied := filepath.Join(w.Root, inPack)
	if write {
		text = []byte(fill(string(text), tests))
		return errors.Join(os.WriteFile(path, text, 0o644), os.WriteFile(copied, text, 0o644))
	}
	mistakes := compare(string(text), tests)
	if have, err := os.ReadFile(copied); err != nil || !bytes.Equal(have, text) {
		mistakes = append(mistakes, inPack+" is not the same table")
	}
	for _, m := range mistakes {
		fmt.Println(m)
	}
	if len(mistakes) > 0 {
		return fmt.Errorf("%s: %d mistakes; requirements -w writes the names of the tests", page, len(mistakes))
	}
	return nil
}
