package topology_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// TestWhoCallsIsLetIn reads every program's table of contents: a part answers exactly those that have it among their peers.
// One that is missing would be refused at its first call; one too many could call with a stolen certificate.
func TestWhoCallsIsLetIn(t *testing.T) {
	mains, err := filepath.Glob("../../services/*/cmd/*/main.go")
	if err != nil || len(mains) != 4 {
		t.Fatal(mains, err)
	}
	calls, answers := map[string][]string{}, map[string][]string{}
	for _, file := range append(mains, "../../gateway/cmd/gateway/main.go") {
		name := filepath.Base(filepath.Dir(file))
		options := optionsOf(t, file)
		for _, peer := range append(options["Peers"], options["HTTPPeers"]...) {
			if !slices.Contains(calls[peer], name) {
				calls[peer] = append(calls[peer], name)
			}
		}
		answers[name] = options["Callers"]
	}
	for name := range answers {
		slices.Sort(calls[name])
		slices.Sort(answers[name])
		if !slices.Equal(calls[name], answers[name]) {
			t.Errorf("%s is called by %q and answers %q", name, calls[name], answers[name])
		}
	}
}

// optionsOf returns the names that a main gives to the options of package boot.
func optionsOf(t *testing.T, file string) map[string][]string {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	options := map[string][]string{}
	ast.Inspect(syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := selector.X.(*ast.Ident); !ok || pkg.Name != "boot" {
			return true
		}
		for _, arg := range call.Args {
			if literal, ok := arg.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				name, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				options[selector.Sel.Name] = append(options[selector.Sel.Name], name)
			}
		}
		return true
	})
	return options
}
