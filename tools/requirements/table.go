package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ids are all requirements, in the order of the table.
func ids() []string {
	var all []string
	for _, group := range []struct {
		letter string
		last   int
		format string
	}{{"S", 22, "%s%02d"}, {"N", 59, "%s%02d"}, {"C", 7, "%s%d"}, {"T", 16, "%s%02d"}} {
		for i := 1; i <= group.last; i++ {
			all = append(all, fmt.Sprintf(group.format, group.letter, i))
		}
	}
	return all
}

// row is one line of the table: id, requirement, where it is met, what proves it.
type row struct {
	id, requirement, where, proof string
	line                          int // counted from 0
}

// elsewhere begins the proof of a requirement that no program can meet: whose it is follows.
const elsewhere = "not software's: "

var (
	rowStart = regexp.MustCompile(`^\| *([SNCT][0-9]+) *\|`)
	quoted   = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
)

// rows reads the lines of the table.
func rows(text string) []row {
	var all []row
	for i, line := range strings.Split(text, "\n") {
		if !rowStart.MatchString(line) {
			continue
		}
		r := row{line: i}
		for n, cell := range strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			cell = strings.TrimSpace(cell)
			switch n {
			case 0:
				r.id = cell
			case 1:
				r.requirement = cell
			case 2:
				r.where = cell
			case 3:
				r.proof = cell
			}
		}
		all = append(all, r)
	}
	return all
}

// compare lists what is wrong with the table, given the tests of the tree.
func compare(text string, tests map[string][]string) []string {
	var mistakes []string
	fail := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	seen := map[string]bool{}
	known := ids()
	for _, r := range rows(text) {
		switch {
		case !slices.Contains(known, r.id):
			fail("%s: no such requirement", r.id)
		case seen[r.id]:
			fail("%s: a second row", r.id)
		case r.requirement == "" || r.where == "":
			fail("%s: say what is required and where it is met", r.id)
		}
		seen[r.id] = true
		compareProof(r, tests, fail)
	}
	for _, id := range known {
		if !seen[id] {
			fail("%s: no row", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(tests)) {
		if !slices.Contains(known, id) {
			fail("%s: named after a requirement that there is not", strings.Join(tests[id], ", "))
		}
	}
	return mistakes
}

// compareProof compares the tests that a row names with those there are.
func compareProof(r row, tests map[string][]string, fail func(string, ...any)) {
	var said []string
	for _, m := range quoted.FindAllStringSubmatch(r.proof, -1) {
		said = append(said, m[1])
		if !slices.Contains(tests[r.id], m[1]) {
			fail("%s: there is no test %s", r.id, m[1])
		}
	}
	for _, name := range tests[r.id] {
		if !slices.Contains(said, name) {
			fail("%s: %s is missing", r.id, name)
		}
	}
	if len(said) == 0 && (!strings.HasPrefix(r.proof, elsewhere) || len(r.proof) < len(elsewhere)+10) {
		fail("%s: no test; a requirement that is not software's says whose it is (%q)", r.id, elsewhere)
	}
}

// fill writes the names of the tests into the rows. A row whose requirement is not software's keeps its words when there
// is no test.
func fill(text string, tests map[string][]string) string {
	lines := strings.Split(text, "\n")
	for _, r := range rows(text) {
		if len(tests[r.id]) > 0 {
			r.proof = "`" + strings.Join(tests[r.id], "`, `") + "`"
		} else if !strings.HasPrefix(r.proof, elsewhere) {
			r.proof = ""
		}
		lines[r.line] = strings.TrimRight(fmt.Sprintf("| %s | %s | %s | %s", r.id, r.requirement, r.where, r.proof), " ") + " |"
	}
	return strings.Join(lines, "\n")
}
