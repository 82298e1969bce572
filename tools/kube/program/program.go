// Package program asks the suite's programs, as they are built, what they take and whom they need, so that no rule about the
// manifests rests on a copy of that.
package program

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Parts are the suite's programs that a cluster runs.
var Parts = []string{"auth", "connector", "documents", "gateway", "sync"}

// Program is one of them.
type Program struct {
	Name     string
	Settings map[string]Setting // by variable, "CONCORD_AUTH_GRACE"
	path     string
	checked  map[string][]string // what config check said, by the environment
}

// Setting is a line of `config doc`.
type Setting struct {
	Key, Variable, Default, Rules, Meaning string
}

// Required tells whether the program does not start without the setting.
func (s Setting) Required() bool { return strings.Contains(s.Rules, "required") }

// Secret tells whether nobody may see the setting's value.
func (s Setting) Secret() bool { return strings.Contains(s.Rules, "secret") }

// Load asks the programs in a folder, named concord-<part> there.
func Load(folder string) (map[string]*Program, error) {
	all := map[string]*Program{}
	for _, name := range Parts {
		p := &Program{Name: name, Settings: map[string]Setting{}, path: filepath.Join(folder, "concord-"+name), checked: map[string][]string{}}
		doc, err := p.run(nil, "config", "doc")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(doc) {
			if s, ok := row(line); ok {
				p.Settings[s.Variable] = s
			}
		}
		if len(p.Settings) == 0 {
			return nil, fmt.Errorf("concord-%s config doc: no settings in %q", name, doc)
		}
		all[name] = p
	}
	return all, nil
}

// row reads a line of the table, whose cells may hold an escaped bar.
func row(line string) (Setting, bool) {
	line = strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00")
	cells := strings.Split(strings.Trim(line, "|"), "|")
	if len(cells) != 5 || !strings.Contains(cells[1], "`CONCORD_") {
		return Setting{}, false
	}
	for i, cell := range cells {
		cells[i] = strings.Trim(strings.TrimSpace(strings.ReplaceAll(cell, "\x00", "|")), "`–")
	}
	return Setting{Key: cells[0], Variable: cells[1], Default: cells[2], Rules: cells[3], Meaning: cells[4]}, true
}

// run runs the program with an environment of its own and returns what it prints on standard output.
func (p *Program) run(env []string, args ...string) (string, error) {
	cmd := exec.Command(p.path, args...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(p.path), strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Print runs a command of the program that only prints.
func (p *Program) Print(args ...string) (string, error) { return p.run(nil, args...) }

// lacks is how a program asks for the address of a service it calls.
var lacks = regexp.MustCompile(`lacks ([a-z-]+)=address`)

// Peers are the services that the program calls: "auth" by gRPC, "documents-http" by HTTP. The program itself says so, when
// it is given none.
func (p *Program) Peers() ([]string, error) {
	mistakes, err := p.Check(nil)
	if err != nil {
		return nil, err
	}
	var peers []string
	for _, line := range mistakes {
		if found := lacks.FindStringSubmatch(line); found != nil {
			peers = append(peers, found[1])
		}
	}
	return peers, nil
}

// Variable is the name of one of the program's variables: Variable("GRACE") is "CONCORD_AUTH_GRACE".
func (p *Program) Variable(name string) string {
	return "CONCORD_" + strings.ToUpper(p.Name) + "_" + name
}
