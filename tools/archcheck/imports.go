package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

// pkg is one package as `go list -json` shows it, with its module's folder.
type pkg struct {
	ImportPath, Name string
	GoFiles          []string
	Imports          []string
	TestImports      []string
	XTestImports     []string
	module           string
}

func list(w *workspace.Workspace, m workspace.Module) ([]pkg, error) {
	// The interop tag brings in the tests against outside data; nothing is built without it only.
	out, err := w.GoTogether(m, "list", "-e", "-tags", "interop", "-json=ImportPath,Name,GoFiles,Imports,TestImports,XTestImports", "./...")
	if err != nil {
		return nil, err
	}
	var all []pkg
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		p := pkg{module: m.Dir}
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

// use is one import, seen from the importing side.
type use struct {
	module, at string // the importing module's folder and package path below the prefix
	to, toPath string // the imported module's folder and package path below the prefix
	test       bool   // imported by a test, or by a package of test helpers
}

func (p pkg) importBreaks(w *workspace.Workspace) []string {
	var breaks []string
	at := strings.TrimPrefix(p.ImportPath, workspace.Prefix)
	see := func(imports []string, test bool) {
		for _, imported := range imports {
			if strings.HasPrefix(imported, natsServer) && !test && p.module != "allinone" {
				breaks = append(breaks, fmt.Sprintf("%s: imports %s: only allinone embeds the NATS server", at, imported))
			}
			toPath, ours := strings.CutPrefix(imported, workspace.Prefix)
			if !ours || imported == p.ImportPath {
				continue
			}
			u := use{module: p.module, at: at, to: moduleOf(w, toPath), toPath: toPath, test: test}
			if why := u.refused(); why != "" {
				breaks = append(breaks, fmt.Sprintf("%s: imports %s: %s", at, toPath, why))
			}
		}
	}
	helper := isTestHelper(at) || p.module == "test"
	see(p.Imports, helper)
	see(p.TestImports, true)
	see(p.XTestImports, true)
	return breaks
}

const natsServer = "github.com/nats-io/nats-server/"

// isTestHelper says whether a package exists for tests: its name ends in "test" ("sqldbtest").
func isTestHelper(at string) bool { return strings.HasSuffix(path.Base(at), "test") && at != "test" }

// moduleOf returns the folder of the module a package path belongs to.
func moduleOf(w *workspace.Workspace, toPath string) string {
	for _, m := range w.Modules {
		if toPath == m.Dir || strings.HasPrefix(toPath, m.Dir+"/") {
			return m.Dir
		}
	}
	return ""
}

// platformMay lists the packages of the contract that platform may know: the options, and the audit event it emits.
var platformMay = []string{"proto/gen/concord/options/v1", "proto/gen/concord/events/audit/v1"}

// refused returns why an import is not allowed, or "".
func (u use) refused() string {
	if isTestHelper(u.toPath) && !u.test {
		return "it is for tests only"
	}
	if u.to == u.module {
		return u.refusedInside()
	}
	switch u.module {
	case "proto":
		return "the contract imports nothing of ours"
	case "platform":
		for _, allowed := range platformMay {
			if u.toPath == allowed {
				return ""
			}
		}
		if u.test && strings.HasPrefix(u.toPath, "proto/gen/concord/events/") {
			return "" // a real payload to carry
		}
		return "platform knows no business: options and the audit event only"
	case "sim":
		return "the simulated world imports nothing of ours"
	case "test":
		if u.to == "proto" || u.to == "sim" || (u.to == "platform" && isTestHelper(u.toPath)) {
			return ""
		}
		return "the black-box tests know the contract, sim and platform's test helpers only"
	case "allinone":
		if strings.Contains(u.toPath, "/internal/") || (isService(u.to) && u.toPath != u.to) || (u.to == "gateway" && u.toPath != u.to) {
			return "of a service the all-in-one uses the root package only"
		}
		return ""
	}
	switch { // services and gateway
	case isService(u.module) && layer(u.at) == "domain" && !u.test:
		return "a domain package knows the standard library and other domain packages: convert at the edge"
	case u.to == "proto" || u.to == "platform":
		return ""
	case u.to == "sim" && u.test:
		return ""
	case u.to == "sim":
		return "sim is for tests"
	case isService(u.to):
		return "a service never imports another: use its RPCs and events"
	default:
		return "services and gateway import proto and platform only"
	}
}

func isService(module string) bool { return strings.HasPrefix(module, "services/") }

// layer says what an internal package of a service is for: api, inbound and store by name, edges by the table, everything
// else is domain.
func layer(at string) string {
	module, below, internal := strings.Cut(at, "/internal/")
	if !internal {
		return "root"
	}
	name, _, _ := strings.Cut(below, "/")
	switch {
	case name == "api" || name == "inbound" || name == "store":
		return name
	case edges[module+"/internal/"+name] != "":
		return "edge"
	default:
		return "domain"
	}
}

// refusedInside keeps the layers of a service: api over domain and store, inbound over domain and store, store over
// domain. A domain package knows nothing of ours but other domain packages.
func (u use) refusedInside() string {
	if !isService(u.module) || u.test {
		return ""
	}
	from, to := layer(u.at), layer(u.toPath)
	if from == "root" || from == to {
		return ""
	}
	switch {
	case to == "root":
		return "internal packages do not import the service's root package"
	case to == "api" || to == "inbound":
		return "only the root package wires " + to
	case from == "domain" && (to == "store" || to == "edge"):
		return "a domain package states rules; it knows no " + to
	case from == "store" && to == "edge":
		return "the store talks to its database only"
	}
	return ""
}

// linkedBreaks looks at what a module's own packages link, through every third party.
func linkedBreaks(w *workspace.Workspace, m workspace.Module) ([]string, error) {
	if m.Dir == "allinone" || m.Dir == "test" {
		return nil, nil
	}
	out, err := w.GoTogether(m, "list", "./...")
	if err != nil {
		return nil, err
	}
	var own []string
	for _, importPath := range strings.Fields(string(out)) {
		if !isTestHelper(strings.TrimPrefix(importPath, workspace.Prefix)) {
			own = append(own, importPath)
		}
	}
	if len(own) == 0 {
		return nil, nil
	}
	out, err = w.GoTogether(m, append([]string{"list", "-deps"}, own...)...)
	if err != nil {
		return nil, err
	}
	for _, linked := range strings.Fields(string(out)) {
		if strings.HasPrefix(linked, natsServer) {
			return []string{m.Dir + ": links " + linked + ": only allinone embeds the NATS server"}, nil
		}
	}
	return nil, nil
}
