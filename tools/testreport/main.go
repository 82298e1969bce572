// Command testreport runs `go test -json` commands and says in one line how it went.
//
// usage: testreport -- go test -json ... [-- go test -json ...]
//
// It prints the output of every failed test and package, one line per package as it ends, and last
// "N passed, N failed, N skipped". It fails when anything failed, when anything was skipped (a skipped test proves
// nothing and hides that), and when nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	commands := split(os.Args[1:])
	if len(commands) == 0 {
		fmt.Fprintln(os.Stderr, "usage: testreport -- go test -json ... [-- go test -json ...]")
		os.Exit(2)
	}
	r := newReport(os.Stdout)
	for _, command := range commands {
		if err := r.run(command); err != nil {
			fmt.Fprintln(os.Stderr, "testreport:", err)
			os.Exit(1)
		}
	}
	if !r.finish() {
		os.Exit(1)
	}
}

// split takes the arguments apart at each "--".
func split(args []string) [][]string {
	var commands [][]string
	for _, arg := range args {
		switch {
		case arg == "--":
			commands = append(commands, nil)
		case len(commands) == 0:
			return nil
		default:
			last := &commands[len(commands)-1]
			*last = append(*last, arg)
		}
	}
	return commands
}

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action, Package, Test, Output, ImportPath, FailedBuild string
	Elapsed                                                float64
}

// report counts tests, subtests included. A test that only groups subtests counts as well; it can fail by itself.
type report struct {
	out                     io.Writer
	passed, failed, skipped int
	packagesFailed          int
	commandFailed           bool
	output                  map[string]*strings.Builder // by package and test, until it is known to have passed
	tests                   map[string]int              // tests that ran, by package
	kept                    int                         // packages whose result the go command had kept
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[string]*strings.Builder{}, tests: map[string]int{}}
}

// run runs one command and reads its events. A command that fails without an event saying so counts as a failure.
func (r *report) run(command []string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := r.read(events)
	if err := cmd.Wait(); err != nil {
		r.commandFailed = true
	}
	return readErr
}

func (r *report) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.take(e)
			} else {
				r.out.Write(line) // not an event: a tool speaks
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	key := e.Package + "\x00" + e.Test
	if e.Package == "" {
		key = e.ImportPath
	}
	switch e.Action {
	case "output", "build-output":
		text := r.output[key]
		if text == nil {
			text = &strings.Builder{}
			r.output[key] = text
		}
		text.WriteString(e.Output)
	case "build-fail":
		r.show(key)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, key)
			return
		}
		r.tests[e.Package]++
		switch e.Action {
		case "pass":
			r.passed++
		case "fail":
			r.failed++
			r.show(key)
		case "skip":
			r.skipped++
			fmt.Fprintf(r.out, "--- SKIP %s %s\n", e.Package, e.Test)
			r.show(key)
		}
		delete(r.output, key)
	}
}

// endPackage prints a package's line. A package in which no test ran is passed over, one whose result was kept is counted.
func (r *report) endPackage(e event, key string) {
	switch e.Action {
	case "pass":
		if text := r.output[key]; text != nil && strings.Contains(text.String(), "\t(cached)") {
			r.kept++
		} else if r.tests[e.Package] > 0 {
			fmt.Fprintf(r.out, "ok   %7.2fs  %s\n", e.Elapsed, e.Package)
		}
	case "fail":
		r.packagesFailed++
		r.show(key)
		r.showUnended(e.Package)
		fmt.Fprintf(r.out, "FAIL %7.2fs  %s\n", e.Elapsed, e.Package)
	}
	delete(r.output, key)
}

func (r *report) show(key string) {
	if text := r.output[key]; text != nil {
		io.WriteString(r.out, text.String())
	}
}

// showUnended prints what the tests of a package said that never ended: a panic or a time-out stands there.
func (r *report) showUnended(pkg string) {
	for _, key := range slices.Sorted(maps.Keys(r.output)) {
		if test, ok := strings.CutPrefix(key, pkg+"\x00"); ok && test != "" {
			r.show(key)
			delete(r.output, key)
		}
	}
}

// finish prints the last line and says whether all is well.
func (r *report) finish() bool {
	if r.kept > 0 {
		fmt.Fprintf(r.out, "%d packages passed before, and nothing that they depend on has changed\n", r.kept)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	if r.failed == 0 && (r.packagesFailed > 0 || r.commandFailed) {
		fmt.Fprintln(r.out, "a package did not build, or ended outside its tests")
	}
	return r.passed > 0 && r.failed == 0 && r.skipped == 0 && r.packagesFailed == 0 && !r.commandFailed
}
