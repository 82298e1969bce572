package pack

import (
	_ "embed"
	"regexp"
	"strings"
)

// table is docs/security/requirements.md as it was when the program was built: a module holds no files of others, so it is
// a copy, which `make lint` compares.
//
//go:embed requirements.md
var table string

// Requirement is a line of the table of security requirements.
type Requirement struct {
	ID    string `json:"id"`
	Text  string `json:"requirement"`
	Where string `json:"where"`
	// Tests prove it; Elsewhere says whose it is when no program can meet it.
	Tests     []string `json:"tests,omitempty"`
	Elsewhere string   `json:"elsewhere,omitempty"`
}

var (
	rowStart = regexp.MustCompile(`^\| *[SNCT][0-9]+ *\|`)
	quoted   = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
)

// notOurs begins what stands in place of tests for a requirement that no program can meet.
const notOurs = "not software's: "

// requirements reads the table.
func requirements(text string) (all []Requirement) {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !rowStart.MatchString(line) || len(cells) < 4 {
			continue
		}
		r := Requirement{ID: strings.TrimSpace(cells[0]), Text: strings.TrimSpace(cells[1]), Where: strings.TrimSpace(cells[2])}
		proof := strings.TrimSpace(cells[3])
		if why, ok := strings.CutPrefix(proof, notOurs); ok {
			r.Elsewhere = why
		}
		for _, m := range quoted.FindAllStringSubmatch(proof, -1) {
			r.Tests = append(r.Tests, m[1])
		}
		all = append(all, r)
	}
	return all
}
