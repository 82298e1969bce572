// Package pack writes the evidence of a firm for an assessor: a page that can be read and printed, and the same as JSON.
package pack

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/tlsscan"
)

// Fact is a setting or a limit that is in force.
type Fact struct {
	What  string `json:"what"`
	Value string `json:"value"`
}

// Dependency is a module that is linked into the program.
type Dependency struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	// Sum is the checksum of its content, as in go.sum; empty for the suite's own.
	Sum string `json:"sum,omitempty"`
}

// Pack is all of it.
type Pack struct {
	Evidence *authv1.Evidence
	// Administrators is how many of the firm's staff are.
	Administrators int
	Limits         []Fact
	Transport      []Fact
	// Scan is what was seen of the public address; nil when none was looked at, ScanFailed says why when it was tried.
	Scan       *tlsscan.Result
	ScanFailed string
}

// document is a pack as JSON.
type document struct {
	Evidence     json.RawMessage `json:"evidence"`
	Limits       []Fact          `json:"limits"`
	Transport    []Fact          `json:"transport"`
	Scan         *tlsscan.Result `json:"scan"`
	ScanFailed   string          `json:"scan_failed,omitempty"`
	Requirements []Requirement   `json:"requirements"`
	Dependencies []Dependency    `json:"dependencies"`
}

// JSON writes the pack as one document.
func (p Pack) JSON(w io.Writer) error {
	evidence, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(p.Evidence)
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(document{
		Evidence: evidence, Limits: p.Limits, Transport: p.Transport, Scan: p.Scan, ScanFailed: p.ScanFailed,
		Requirements: requirements(table), Dependencies: dependencies(),
	})
}

//go:embed page.html
var pageText string

// page is the template of HTML. What is put in is escaped.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"moment":   moment,
	"stamp":    func(t interface{ AsTime() time.Time }) string { return moment(t.AsTime()) },
	"yesno":    yesno,
	"duration": func(seconds int64) string { return Span(time.Duration(seconds) * time.Second) },
	"methods":  methods,
	"join":     func(all []string) string { return strings.Join(all, ", ") },
	"factor":   func(k authv1.FactorKind) string { return strings.TrimPrefix(k.String(), "FACTOR_KIND_") },
}).Parse(pageText))

// HTML writes the pack as a page without scripts and without anything from elsewhere.
func (p Pack) HTML(w io.Writer) error {
	all := requirements(table)
	proven, elsewhere := 0, 0
	for _, r := range all {
		switch {
		case r.Elsewhere != "":
			elsewhere++
		case len(r.Tests) > 0:
			proven++
		}
	}
	var text bytes.Buffer
	err := page.Execute(&text, struct {
		Pack
		Requirements      []Requirement
		Proven, Elsewhere int
		Dependencies      []Dependency
	}{p, all, proven, elsewhere, dependencies()})
	if err != nil {
		return err
	}
	_, err = w.Write(text.Bytes())
	return err
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func yesno(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// dependencies are the modules that are linked into this program, with what vouches for their content.
func dependencies() []Dependency {
	all := []Dependency{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return all
	}
	for _, d := range info.Deps {
		if d.Replace != nil && d.Replace.Version == "" {
			continue // the suite's own
		}
		if d.Replace != nil {
			d = d.Replace
		}
		all = append(all, Dependency{Path: d.Path, Version: d.Version, Sum: d.Sum})
	}
	return all
}
