package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// bootFile is the body of every main: the one place below main that reads the environment and ends the process.
const bootFile = "platform/boot/boot.go"

// maxMain is how long a main.go may be: a table of contents, not a program.
const maxMain = 40

// codeFile is one parsed file with what the rules need to know about it.
type codeFile struct {
	path    string // relative to the root
	set     *token.FileSet
	syntax  *ast.File
	names   map[string]string // import path by the name it has in this file
	test    bool              // a test, or test helpers
	program bool              // package main
}

// codeBreaks looks for calls and declarations that no file may have.
func codeBreaks(root, path string) ([]string, error) {
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, filepath.Join(root, path), nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return (&codeFile{
		path: path, set: set, syntax: syntax, names: importNames(syntax),
		test:    strings.HasSuffix(path, "_test.go") || isTestHelper(filepath.ToSlash(filepath.Dir(path))) || strings.HasPrefix(path, "test/"),
		program: syntax.Name.Name == "main" || path == bootFile,
	}).breaks(), nil
}

func importNames(syntax *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range syntax.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = path
	}
	return names
}

func (f *codeFile) breaks() []string {
	var found []string
	at := func(node ast.Node, rule string) {
		found = append(found, fmt.Sprintf("%s:%d: %s", f.path, f.set.Position(node.Pos()).Line, rule))
	}
	if lines := f.set.Position(f.syntax.End()).Line; f.program && strings.Contains(f.path, "/cmd/") &&
		strings.HasSuffix(f.path, "/main.go") && lines > maxMain {
		at(f.syntax.Name, fmt.Sprintf("%d lines: a main has at most %d, wiring belongs to New", lines, maxMain))
	}
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.CallExpr:
			if setsDeadline(n) {
				return false // a connection's deadline is the system's own clock
			}
			if rule := f.refusedCall(n); rule != "" {
				at(n, rule)
			}
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				at(n, "no init: registering by import is global state; call it from New")
			}
		case *ast.FuncLit:
			if f.takesTx(n) {
				for _, call := range f.remoteCalls(n) {
					at(call, "a remote call inside a database transaction: it holds the lock while the network thinks")
				}
			}
		}
		return true
	})
	return found
}

// refusedCall returns the rule that a call of a standard library function breaks. Taking such a function as a value (a
// default for Deps.Now) is not a call.
func (f *codeFile) refusedCall(call *ast.CallExpr) string {
	switch name := f.qualified(call.Fun); name {
	case "time.Sleep":
		return "time.Sleep: wait for a condition"
	case "time.Now", "time.Since", "time.Until":
		if !f.test && !f.program && systemClock[f.path] == "" {
			return name + ": take now func() time.Time from Deps"
		}
	case "os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln":
		if !f.program && !strings.HasSuffix(f.path, "_test.go") {
			return name + ": nothing below main ends the process; return an error"
		}
	case "os.Getenv", "os.LookupEnv", "os.Environ":
		if !f.test && !f.program && terminal[f.path] == "" {
			return name + ": settings come from platform/config"
		}
	}
	return ""
}

// systemClock are files that measure against the deadline of a context, which is the system's clock and not the one that
// is injected.
var systemClock = map[string]string{
	"platform/dial/retry.go": "is there time for another attempt before the caller's deadline",
	"platform/serve/edge.go": "is there time to answer before the caller's deadline",
}

// terminal are files that ask the environment about the terminal, which is no setting of the suite.
var terminal = map[string]string{
	"allinone/internal/demo/screen.go": "may it move the cursor",
}

// setsDeadline recognises SetDeadline, SetReadDeadline and SetWriteDeadline of a connection.
func setsDeadline(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	return ok && strings.HasPrefix(selector.Sel.Name, "Set") && strings.HasSuffix(selector.Sel.Name, "Deadline")
}

// qualified returns "package/path.Name" for a reference to an imported package's name, or "".
func (f *codeFile) qualified(expr ast.Expr) string {
	selector, ok := expr.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	name, ok := selector.X.(*ast.Ident)
	if !ok || name.Obj != nil { // a local variable of the same name
		return ""
	}
	if path, imported := f.names[name.Name]; imported {
		return path + "." + selector.Sel.Name
	}
	return ""
}

// takesTx says whether a function literal is the body of a transaction: it has a parameter *sqldb.Tx.
func (f *codeFile) takesTx(fn *ast.FuncLit) bool {
	for _, parameter := range fn.Type.Params.List {
		if star, ok := parameter.Type.(*ast.StarExpr); ok && strings.HasSuffix(f.qualified(star.X), "platform/sqldb.Tx") {
			return true
		}
	}
	return false
}

// remoteCalls finds calls that leave the process: of an HTTP client, and of a gRPC client, which is known by its second
// argument, a request message made on the spot.
func (f *codeFile) remoteCalls(fn *ast.FuncLit) []ast.Node {
	var calls []ast.Node
	ast.Inspect(fn.Body, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := f.qualified(call.Fun)
		if strings.HasPrefix(name, "net/http.") && !strings.HasPrefix(name, "net/http.Status") {
			calls = append(calls, call)
		}
		if len(call.Args) >= 2 && f.isRequest(call.Args[1]) {
			calls = append(calls, call)
		}
		return true
	})
	return calls
}

// isRequest recognises &xxxv1.SomethingRequest{...}.
func (f *codeFile) isRequest(expr ast.Expr) bool {
	address, ok := expr.(*ast.UnaryExpr)
	if !ok {
		return false
	}
	literal, ok := address.X.(*ast.CompositeLit)
	if !ok {
		return false
	}
	name := f.qualified(literal.Type)
	return strings.Contains(name, "/proto/gen/") && strings.HasSuffix(name, "Request")
}
