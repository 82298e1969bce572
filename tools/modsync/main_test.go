package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

func module(dir string, requires ...string) workspace.Module {
	m := workspace.Module{Dir: dir, Path: workspace.Prefix + dir}
	for _, r := range requires {
		path, version, _ := strings.Cut(r, "@")
		m.Mod.Require = append(m.Mod.Require, workspace.Require{Path: path, Version: version})
	}
	return m
}

func TestATransitiveLocalModuleMustBeListed(t *testing.T) {
	const p = workspace.Prefix
	all := map[string]workspace.Module{}
	for _, m := range []workspace.Module{module("proto"), module("platform", p+"proto@v0.0.0"), module("services/auth", p+"platform@v0.0.0")} {
		all[m.Path] = m
	}
	auth := all[p+"services/auth"]
	if got := reached(auth, all); !slices.Equal(got, []string{p + "platform", p + "proto"}) {
		t.Fatal(got)
	}
	if got := localBreaks(auth, all); len(got) != 2 { // platform has no replace line, proto is not listed at all
		t.Error(got)
	}
	auth.Mod.Require = append(auth.Mod.Require, workspace.Require{Path: p + "proto", Version: "v0.0.0"})
	for _, name := range []string{"platform", "proto"} {
		r := struct {
			Old, New struct{ Path, Version string }
		}{}
		r.Old.Path, r.New.Path = p+name, "../../"+name
		auth.Mod.Replace = append(auth.Mod.Replace, r)
	}
	if got := localBreaks(auth, all); len(got) != 0 {
		t.Error(got)
	}
}

func TestOneVersionOfAThirdParty(t *testing.T) {
	w := &workspace.Workspace{Modules: []workspace.Module{module("a", "x@v1.0.0", "y@v1.0.0"), module("b", "x@v1.1.0", "y@v1.0.0")}}
	if got := versionBreaks(w); len(got) != 1 || !strings.Contains(got[0], "v1.0.0 by a; v1.1.0 by b") {
		t.Error(got)
	}
}
