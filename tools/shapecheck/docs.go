package main

import (
	"go/ast"
	"go/token"
)

// checkDocs fails every exported name without a comment. A group of constants or variables may share one comment; a
// method counts when its type is exported.
func (s *shape) checkDocs(set *token.FileSet, syntax *ast.File, path string) {
	missing := func(name *ast.Ident, what string) {
		s.fail("%s:%d: exported %s %s has no comment", path, set.Position(name.Pos()).Line, what, name.Name)
	}
	for _, decl := range syntax.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
				missing(d.Name, "func")
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				checkSpec(d, spec, missing)
			}
		}
	}
}

func checkSpec(group *ast.GenDecl, spec ast.Spec, missing func(*ast.Ident, string)) {
	switch sp := spec.(type) {
	case *ast.TypeSpec:
		if sp.Name.IsExported() && sp.Doc == nil && sp.Comment == nil && group.Doc == nil {
			missing(sp.Name, "type")
		}
	case *ast.ValueSpec:
		for _, name := range sp.Names {
			if name.IsExported() && sp.Doc == nil && sp.Comment == nil && group.Doc == nil {
				missing(name, group.Tok.String())
			}
		}
	}
}

// exportedReceiver says whether a function is seen from outside: it is no method, or one of an exported type.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return true
	}
	kind := fn.Recv.List[0].Type
	for {
		switch t := kind.(type) {
		case *ast.StarExpr:
			kind = t.X
		case *ast.IndexExpr:
			kind = t.X
		case *ast.IndexListExpr:
			kind = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return true
		}
	}
}
